"""init(local_mode=True): everything runs in this process, at the call, one after the other.  For a debugger.

The session is a real one, so references, get, put, wait, await and free are the usual ones; only what would go to a worker
is run here instead, and what comes of it is put.  Arguments and results are copied by way of a pickle, as they always
are.  What has no meaning without workers is not imitated: resources, limits of concurrency, deaths and restarts of
processes.  An actor lives until it is killed or leaves, or the session ends.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import contextvars
import inspect
import os
import threading
from typing import Any, Callable, Deque, Dict, Iterator, List, Optional

from . import _calls, _chain, _core, _env, _errors, _generator, _options, _session
from ._actor import ActorHandle
from ._ids import ActorID, TaskID, actor_hex
from .exceptions import ActorAlreadyExistsError, DeadlockError, RayTaskError, TaskCancelledError, _from_error
from .runtime_context import RuntimeContext


class _Frame:
    """What runs in this thread or coroutine."""

    def __init__(self, name: str, entry: str, options: Dict[str, Any], n_returns: int, actor: "Optional[_Actor]" = None):
        self.place = _core.put(None)  # its number is that of the task
        self.task = self.place._id
        self.name, self.entry, self.options, self.n_returns, self.actor = name, entry, options, n_returns, actor
        self.attempt = 1


_frame: "contextvars.ContextVar[Optional[_Frame]]" = contextvars.ContextVar("miniray-local", default=None)


@contextlib.contextmanager
def _inside(frame: _Frame, variables: Dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    token = _frame.set(frame)
    try:
        yield
    finally:
        _frame.reset(token)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _variables(options: Dict[str, Any]) -> Dict[str, str]:
    env = _env.merged(_env.current, options.get("runtime_env", {}))
    odd = [key for key in env if key != "env_vars"]
    if odd:
        raise ValueError(f"runtime_env[{odd[0]!r}] cannot be had in local mode, where there is one process; env_vars can")
    return env.get("env_vars", {})


class _Failed(Exception):
    """An argument is an error: so is the result, and nothing runs."""


def _arguments(packed: "_core.ObjectRef") -> tuple:
    """Copies of (args, kwargs), with the values of references."""
    args, kwargs = _core.get(packed)

    def value(x: Any) -> Any:
        if not isinstance(x, _core.ObjectRef):
            return x
        try:
            return _core.get(x)
        except Exception as why:
            raise _Failed from why

    return tuple(map(value, args)), {key: value(x) for key, x in kwargs.items()}


def _seal_error(exc: BaseException, frame: _Frame) -> "_core.ObjectRef":
    """A reference whose get raises what the call raised."""
    if isinstance(exc, _Failed):
        exc = exc.__cause__ or exc
        if isinstance(exc, RayTaskError):  # as it is
            return _core.put_error(("task", exc.function_name, exc.cause_class, "", exc.traceback_str, exc.pid,
                                    _chain.pack(exc.cause) if exc.cause is not None else None, None))
    return _core.put_error(_errors.encode(exc, frame.name, frame.actor.hex if frame.actor is not None else None))


def _seal(value: Any, frame: _Frame) -> "_core.ObjectRef":
    try:
        return _core.put(value)
    except Exception as why:
        return _seal_error(why, frame)


def _given(refs: "List[_core.ObjectRef]", n: int) -> Any:
    return None if n == 0 else refs[0] if n == 1 else refs


class Stream(_generator.ObjectRefGenerator):
    """Of a generator: it runs to its end at the call, or with a window so far ahead of its reader."""

    def __init__(self, steps: Iterator["_core.ObjectRef"], frame: _Frame, window: int):
        self._task, self._frame, self._window = frame.place, frame, window
        self._steps: "Optional[Iterator[_core.ObjectRef]]" = steps
        self._refs: "Deque[_core.ObjectRef]" = collections.deque()
        self._done = frame.place
        self._ended = False
        self._kept: "List[_core.ObjectRef]" = []
        self._fill(window)

    def __del__(self) -> None:
        self._steps = None

    def _fill(self, most: int) -> None:
        """most: so many items are to be there, -1: all."""
        while self._steps is not None and (most <= 0 or len(self._refs) < most):
            try:
                self._refs.append(next(self._steps))
            except StopIteration:
                self._steps = None
            except BaseException as why:
                self._steps = None
                if not isinstance(why, Exception):
                    raise
                self._done = _seal_error(why, self._frame)
                self._refs.append(self._done)

    def _next(self, timeout: Optional[float]) -> "_core.ObjectRef":
        self._fill(1)
        if not self._refs:
            self._ended = True
            raise StopIteration
        ref = self._refs.popleft()
        self._fill(self._window)
        return ref

    def completed(self) -> "_core.ObjectRef":
        self._fill(-1)
        return self._done

    def next_ready(self) -> bool:
        return not self._ended

    def is_finished(self) -> bool:
        self._ended = self._ended or self._steps is None and not self._refs
        return self._ended

    def cancel(self) -> None:
        if self._steps is not None:
            self._steps = None
            self._done = _core.put_error(_errors.encode(TaskCancelledError(), self._frame.name, None))
            self._refs.append(self._done)


class _Actor:
    def __init__(self, info: Any, cls: type, name: Optional[str], namespace: str, options: Dict[str, Any]):
        self.ref = _core.put(None)
        self.hex = actor_hex(self.ref._id)
        self.info, self.cls, self.name, self.namespace, self.options = info, cls, name, namespace, options
        self.instance: Any = None
        self.death: Optional[tuple] = None
        self.loop: "Optional[asyncio.AbstractEventLoop]" = None
        self.thread: Optional[threading.Thread] = None
        if info.is_async:
            self.loop = asyncio.new_event_loop()
            self.thread = threading.Thread(target=self.loop.run_forever, name="miniray-local", daemon=True)
            self.thread.start()

    def die(self, text: str, cause: Optional[BaseException] = None) -> None:
        self.death = ("exit", self.info.name, "SystemExit", text, "", os.getpid(), None if cause is None else _chain.pack(cause), self.hex)
        self.instance = None
        self.close()

    def close(self) -> None:
        loop, self.loop = self.loop, None
        if loop is None or self.thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        if self.thread is not threading.current_thread():
            self.thread.join()
            loop.close()

    def on_loop(self, step: Callable[[], Any], frame: _Frame) -> Any:
        """What `step` returns, awaited if it can be, where the actor's calls run."""
        loop = self.loop
        if loop is None:
            return step()
        if self.thread is threading.current_thread():
            raise DeadlockError(f"{frame.name}: in local mode, an async actor that calls itself would wait for itself")

        async def run() -> Any:
            """(what it gave, what it raised): a SystemExit would end the loop, and a future adds frames of its own."""
            token = _frame.set(frame)
            try:
                made = step()
                return await made if inspect.isawaitable(made) else made, None
            except BaseException as why:
                return None, why
            finally:
                _frame.reset(token)

        value, why = asyncio.run_coroutine_threadsafe(run(), loop).result()
        if why is not None:
            raise why
        return value


class Local:
    """What takes the place of workers in a session."""

    def __init__(self) -> None:
        self.actors: "Dict[int, _Actor]" = {}

    def in_actor(self) -> bool:
        """Does this code run in an actor?"""
        frame = _frame.get()
        return frame is not None and frame.actor is not None

    def context(self) -> RuntimeContext:
        """What get_runtime_context() gives."""
        return LocalContext()

    def close(self) -> None:
        for actor in self.actors.values():
            actor.close()
        self.actors.clear()

    # ---- calls ---------------------------------------------------------------------------------------------------

    def task(self, function: Any) -> Callable[..., Any]:
        """What runs a remote function."""
        options = function._options

        def call(*args: Any, **kwargs: Any) -> Any:
            frame = _Frame(options.get("name") or function._name, function._name, options, function._n_returns)
            return self._run(frame, function._target(), args, kwargs, options.get("max_retries", 3))

        return call

    def method(self, method: Any) -> Callable[..., Any]:
        """What runs a method of an actor."""
        options, info = method._options, method._info

        def call(*args: Any, **kwargs: Any) -> Any:
            actor = self.actors[method._actor_ref._id]
            entry = method._name
            frame = _Frame(options.get("name") or f"{info.name}.{entry}", f"{info.name}.{entry}", {**actor.options, **options},
                           method._n_returns, actor)
            if actor.death is not None:
                return self._dead(frame)
            info.lane(entry, options)
            if entry in _calls.SPECIAL:
                target: Any = _calls.SPECIAL[entry]
            else:
                def target(instance: Any, *args: Any, **kwargs: Any) -> Any:
                    return getattr(instance, entry)(*args, **kwargs)
            return self._run(frame, target, args, kwargs, options.get("max_task_retries", info.retries))

        return call

    def _dead(self, frame: _Frame) -> Any:
        actor = frame.actor
        assert actor is not None and actor.death is not None
        if frame.n_returns == _STREAM:
            return Stream(_raises(_from_error(actor.death)), frame, -1)
        return _given([_core.put_error(actor.death) for _ in range(max(1, frame.n_returns))], frame.n_returns)

    def _run(self, frame: _Frame, target: Callable, args: tuple, kwargs: Dict[str, Any], retries: int) -> Any:
        variables = _variables(frame.options)
        rule = frame.options.get("retry_exceptions", False)
        kinds = Exception if rule is True else tuple(rule or ())
        actor, n = frame.actor, frame.n_returns
        packed = _core.put((args, kwargs))
        while True:
            try:
                values, named = _arguments(packed)
                if n == _STREAM:
                    return Stream(self._steps(frame, variables, target, values, named), frame,
                                  frame.options.get("_generator_backpressure_num_objects", -1))
                with _inside(frame, variables):
                    return self._results(frame, self._call(frame, target, values, named))
            except KeyboardInterrupt:  # of the person at the keyboard
                raise
            except BaseException as why:
                if isinstance(why, kinds) and not isinstance(why, _Failed) and (retries < 0 or frame.attempt <= retries):
                    frame.attempt += 1
                    continue
                refs = [_seal_error(why, frame) for _ in range(max(1, n))]
                if actor is not None and isinstance(why, (_errors.ActorExit, SystemExit)):
                    self._gone(actor, "The actor is dead because its method called exit_actor().")
                return _given(refs, n)

    def _call(self, frame: _Frame, target: Callable, args: tuple, kwargs: Dict[str, Any]) -> Any:
        actor = frame.actor
        if actor is None:
            return target(*args, **kwargs)
        return actor.on_loop(lambda: target(actor.instance, *args, **kwargs), frame)

    def _results(self, frame: _Frame, made: Any) -> Any:
        n = frame.n_returns
        actor = frame.actor
        if inspect.isasyncgen(made):
            assert actor is not None
            made = list(_sync(actor, made, frame))
        if frame.options.get("num_returns") == "dynamic":
            made = _generator.DynamicObjectRefGenerator([_seal(item, frame) for item in made])
        if n == 0:
            return None
        values = [next(iter(made), None) if inspect.isgenerator(made) else made] if n == 1 else _calls.spread(frame, made)  # type: ignore[arg-type]
        return _given([_seal(value, frame) for value in values], n)

    def _steps(self, frame: _Frame, variables: Dict[str, str], target: Callable, args: tuple, kwargs: Dict[str, Any]
               ) -> "Iterator[_core.ObjectRef]":
        with _inside(frame, variables):
            made = self._call(frame, target, args, kwargs)
            steps = _sync(frame.actor, made, frame) if inspect.isasyncgen(made) and frame.actor is not None else iter(made)
        while True:
            with _inside(frame, variables):
                try:
                    item = next(steps)
                except StopIteration:
                    return
            yield _seal(item, frame)

    def cancel(self, ref: Any) -> None:
        """Nothing waits and nothing runs beside the caller, but a stream may be cut."""
        if isinstance(ref, Stream):
            ref.cancel()

    # ---- actors --------------------------------------------------------------------------------------------------

    def create(self, made: Any, args: tuple, kwargs: Dict[str, Any], name: Optional[str], namespace: str, if_exists: bool) -> Any:
        """The reference of a new actor."""
        if name is not None:
            known = self._named(name, namespace)
            if known is not None and if_exists:
                return known.ref
            if known is not None:
                raise ActorAlreadyExistsError(f'the name "{name}" is already taken in namespace "{namespace}" by a living actor')
        packed, variables = _core.put((args, kwargs)), _variables(made._options)
        actor = _Actor(made._info, made._target(), name, namespace, made._options)
        self.actors[actor.ref._id] = actor
        frame = _Frame(made._info.name, "__init__", made._options, 1, actor)
        try:
            values, named = _arguments(packed)
            with _inside(frame, variables):
                actor.instance = actor.cls(*values, **named)
        except KeyboardInterrupt:
            raise
        except BaseException as why:
            broken = _from_error(_errors.encode(why.__cause__ or why if isinstance(why, _Failed) else why, actor.info.name, actor.hex, True))
            self._gone(actor, f"The actor died because of an error raised in its creation task, {broken}", broken)
        return actor.ref

    def _gone(self, actor: _Actor, text: str, cause: Optional[BaseException] = None) -> None:
        if actor.death is None:
            actor.die(text, cause)

    def _named(self, name: str, namespace: str) -> Optional[_Actor]:
        return next((a for a in self.actors.values() if a.death is None and (a.name, a.namespace) == (name, namespace)), None)

    def find(self, name: str, namespace: str) -> Any:
        """(reference, description of the class) of a named actor; None: there is none."""
        actor = self._named(name, namespace)
        return None if actor is None else (actor.ref, actor.info)

    def rows(self) -> "List[Dict[str, Any]]":
        """The actors, with the fields that list_named_actors() reads."""
        return [{"name": a.name or "", "namespace": a.namespace, "state": "alive" if a.death is None else "dead"} for a in self.actors.values()]

    def kill(self, ref: "_core.ObjectRef") -> None:
        actor = self.actors[ref._id]
        self._gone(actor, f"actor {actor.info.name} died: the actor was killed by ray.kill")


_STREAM = -1


def _raises(exc: BaseException) -> Iterator[Any]:
    raise exc
    yield


def _sync(actor: Any, made: Any, frame: _Frame) -> Iterator[Any]:
    """The items of an async generator of an actor."""
    while True:
        try:
            yield actor.on_loop(made.__anext__, frame)
        except StopAsyncIteration:
            return


class LocalContext(RuntimeContext):
    """What get_runtime_context() gives in local mode."""

    def get(self) -> Dict[str, Any]:
        frame = _frame.get()
        out = super().get()
        return out if frame is None else {**out, "task_id": self.task_id, "actor_id": self.actor_id}

    def is_canceled(self) -> bool:
        if _frame.get() is None:
            raise RuntimeError("This method is only available in a task or an actor.")
        return False  # nobody can: who called it waits for it

    is_cancelled = is_canceled

    def get_task_id(self) -> Optional[str]:
        frame = _frame.get()
        return TaskID.of(frame.task).hex() if frame is not None else None

    def get_task_name(self) -> Optional[str]:
        frame = _frame.get()
        return frame.name if frame is not None else None

    def get_task_function_name(self) -> Optional[str]:
        frame = _frame.get()
        return frame.entry if frame is not None else None

    def get_task_attempt(self) -> int:
        frame = _frame.get()
        return frame.attempt if frame is not None else 0

    def get_actor_id(self) -> Optional[str]:
        frame = _frame.get()
        return frame.actor.hex if frame is not None and frame.actor is not None else None

    def get_actor_name(self) -> Optional[str]:
        frame = _frame.get()
        return frame.actor.name or "" if frame is not None and frame.actor is not None else None

    def get_assigned_resources(self) -> Dict[str, float]:
        frame = _frame.get()
        return {} if frame is None else _options.held(frame.options, frame.actor is not None)

    @property
    def current_actor(self) -> Any:
        frame = _frame.get()
        if frame is None or frame.actor is None:
            raise RuntimeError("This method is only available in an actor.")
        return ActorHandle(frame.actor.info, frame.actor.ref)

    @property
    def task_id(self) -> Optional[TaskID]:
        frame = _frame.get()
        return TaskID.of(frame.task) if frame is not None else None

    @property
    def actor_id(self) -> Optional[ActorID]:
        text = self.get_actor_id()
        return ActorID.from_hex(text) if text is not None else None
