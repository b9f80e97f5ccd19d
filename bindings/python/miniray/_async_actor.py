"""An async actor: one event loop on the main thread; calls are its tasks.  They begin in the order in which they came."""

from __future__ import annotations

import asyncio
import dis
import inspect
import os
import signal
import sys
import threading
import types
from typing import Any, Callable, Dict, Optional, Set

from . import _calls, _core, _errors
from ._calls import Left


_SUSPEND = {dis.opmap[name] for name in ("YIELD_VALUE", "YIELD_FROM", "SEND", "GET_AWAITABLE") if name in dis.opmap}


def _is_flat(function: Callable) -> bool:
    """An ``async def`` without an await: it cannot be suspended, so it needs no asyncio task of its own, unless it asks for
    that."""
    if not inspect.isfunction(function) or not inspect.iscoroutinefunction(function) or "current_task" in function.__code__.co_names:
        return False
    return not any(step.opcode in _SUSPEND for step in dis.get_instructions(function))


@types.coroutine
def _steps(coroutine: Any, number: int) -> Any:
    """``await coroutine``, where each of its steps runs as task `number`: what it submits then is a child of that."""
    made: Any = None
    throw = None
    while True:
        _core.set_current_task(number)
        try:
            made = coroutine.send(made) if throw is None else coroutine.throw(throw)
        except StopIteration as end:
            return end.value
        finally:
            _core.set_current_task(0)
        try:
            made, throw = (yield made), None
        except BaseException as why:
            throw = why


class _Serving:
    """One event loop and the calls on it.  With concurrency groups there is one for each, on a thread of its own, and the
    main thread only hands calls out: it answers whatever blocks a loop."""

    def __init__(self, instance: Any, groups: "Optional[list[str]]"):
        self.instance = instance
        self.main = self
        self.groups = groups  # None: this loop is the only one
        self.lanes: "Dict[int, _Serving]" = {}  # by number of the group; 0: the default one, -1: the system's
        self.loop = asyncio.new_event_loop()
        self.tasks: "Dict[int, asyncio.Task]" = {}
        self.methods: "Dict[int, tuple]" = {}  # by function number: the method, is it flat, does it run when it is called?
        self.unbegun: "Set[int]" = set()  # calls that the loop has still to begin
        self.leaving = False
        self.telling = False
        self.eager = sys.version_info >= (3, 12)

    def readable(self) -> None:
        """Takes what has come.  False: nothing more now; None: the node is gone."""
        while not self.leaving:
            call = _core.next_call(False)
            if call is None:
                self.stop(at_once=True)
                return
            if call is False:
                return
            self.take(call)

    def take(self, call: "_core.Call") -> None:
        """One call, to the loop that it belongs to."""
        kind = call.kind
        if kind == _core.CALL_METHOD:
            if self.groups is None:
                self.begin(call)
                return
            number = -1 if call.flags & _core.DEF_SYSTEM else call.lane
            lane = self.lanes.get(number) or self.new_lane(number)
            lane.loop.call_soon_threadsafe(lane.begin, call)
        elif kind == _core.CALL_CANCEL:
            for lane in (self, *self.lanes.values()):
                task = lane.tasks.get(call.task)
                if task is not None:
                    lane.loop.call_soon_threadsafe(task.cancel)
            call.finish(_core.OK)
        else:
            _calls.chore(call)
            if kind == _core.CALL_LEAVE:
                self.stop(at_once=False)

    def new_lane(self, number: int) -> "_Serving":
        lane = self.lanes[number] = _Serving(self.instance, None)
        lane.main = self
        name = self.groups[number - 1] if self.groups and number > 0 else "default" if number == 0 else "system"
        threading.Thread(target=lane.live, name=f"actor-{name}", daemon=True).start()
        return lane

    def live(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def begin(self, call: "_core.Call") -> None:
        known = self.methods.get(call.func)
        if known is None:
            function = _calls.method_for(call)
            flat = _is_flat(function)
            suspends = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
            known = self.methods[call.func] = (function, flat, flat or not suspends)
        if self.unbegun and known[2]:  # its turn comes after theirs
            self.unbegun.add(call.task)
            self.loop.call_soon(self.run, call, known[0], known[1])
            self.tell()
        else:
            self.run(call, known[0], known[1])

    def tell(self) -> None:
        """Looks for calls once more before the loop sleeps: what ended outside of `readable` is told to the node then."""
        if not self.telling:
            self.telling = True
            self.loop.call_soon(self.told)

    def told(self) -> None:
        self.telling = False
        if self.main is self:
            self.readable()
        else:
            _core.batch_end()  # the main thread takes the calls

    def run(self, call: "_core.Call", function: Callable, flat: bool) -> None:
        number = call.task
        self.unbegun.discard(number)
        _calls.current = call
        try:
            made = call.begin(function, self.instance, flat)
            if call.window > 0 and inspect.isgenerator(made):
                raise ValueError("_generator_backpressure_num_objects is not supported for a plain generator of an async actor: it "
                                 "would stop the event loop when it stands still; make it `async def`")
        except BaseException as exc:
            self.fail(call, exc)
            return
        if made is None:
            return
        if not inspect.iscoroutine(made) and not inspect.isasyncgen(made):
            self.end(call, made)
            return
        coroutine = self.follow(call, made, number)
        if self.eager:
            task = asyncio.Task(coroutine, loop=self.loop, eager_start=True)  # type: ignore[call-arg]
            if task.done():
                return
        else:
            self.unbegun.add(number)
            task = self.loop.create_task(coroutine)
        self.tasks[number] = task
        task.add_done_callback(lambda _task: self.over(call, number))

    async def follow(self, call: "_core.Call", made: Any, number: int) -> None:
        self.unbegun.discard(number)
        _calls.running[number] = call
        try:
            if inspect.isasyncgen(made):
                await self.drain(call, made)
                return
            value = await _steps(made, number)
        except asyncio.CancelledError:
            if not call.done:
                call.finish(_core.E_CANCELLED)
        except BaseException as exc:
            self.fail(call, exc)
        else:
            self.end(call, value)
        finally:
            _calls.running.pop(number, None)

    async def drain(self, call: "_core.Call", made: Any) -> None:
        """An async generator.  One with a window may have to wait for its reader, which must not stop the loop."""
        items = _calls.Items(call)
        waits = call.window > 0
        try:
            step = made.__anext__
            while True:
                try:
                    item = await _steps(step(), call.task)
                except StopAsyncIteration:
                    break
                if waits:
                    await self.loop.run_in_executor(None, items.take, item)
                else:
                    items.take(item)
                    self.tell()
            items.end()
        except Exception as exc:
            if not items.failed(exc):
                raise
        if not call.done:
            call.finish(_core.OK)

    def end(self, call: "_core.Call", value: Any) -> None:
        items = None
        try:
            if call.flags & _calls.ITEMS or call.n_returns > 1 and inspect.isgenerator(value):
                items = _calls.Items(call)
                for item in value:
                    items.take(item)
                items.end()
            else:
                call.give_all(value)
        except BaseException as exc:
            if items is None or not items.failed(exc):
                self.fail(call, exc)
                return
        call.finish(_core.OK)

    def fail(self, call: "_core.Call", exc: BaseException) -> None:
        from .exceptions import AsyncioActorExit

        try:
            _calls.fail(call, _errors.ActorExit() if isinstance(exc, AsyncioActorExit) else exc)
        except Left:
            self.stop(at_once=True)

    def over(self, call: "_core.Call", number: int) -> None:
        self.tasks.pop(number, None)
        self.tell()
        if number in self.unbegun:  # cancelled before its first step: `follow` never ran
            self.unbegun.discard(number)
            call.finish(_core.E_CANCELLED)
        if self.main.leaving:
            self.main.stop(at_once=False)

    def stop(self, at_once: bool) -> None:
        """Ends the actor: at once, or when what runs has ended."""
        main = self.main
        main.leaving = True
        if main.ended or not at_once and any(lane.tasks for lane in (main, *main.lanes.values())):
            return
        if main.groups is None:
            main.loop.stop()
        else:
            main.ended = True
            os.kill(os.getpid(), signal.SIGINT)  # the main thread waits for calls: it looks at the flag

    ended = False


def _hand_out(serving: _Serving) -> None:
    """The main thread's part where there are groups."""
    while not serving.ended:
        try:
            call = _core.next_call(True)
            if call is None:
                return
            serving.take(call)
        except KeyboardInterrupt:
            continue


def serve(instance: Any, groups: "Optional[list[str]]") -> None:
    """Runs calls until told to leave.  groups: names of the concurrency groups beside the default one; None: no groups."""
    serving = _Serving(instance, groups)
    if groups is not None:
        _hand_out(serving)
        return
    asyncio.set_event_loop(serving.loop)
    serving.loop.add_reader(_core.call_fd(), serving.readable)
    serving.loop.call_soon(serving.readable)
    try:
        serving.loop.run_forever()
        serving.ended = True  # the ends of those that are cancelled now stop nothing more
        left = [task for task in serving.tasks.values() if not task.done()]
        for task in left:
            task.cancel()
        if left:
            serving.loop.run_until_complete(asyncio.wait(left, timeout=1))
    finally:
        serving.loop.remove_reader(_core.call_fd())
        serving.loop.close()
