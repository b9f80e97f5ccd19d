"""Actors: remote classes, handles and their methods."""

from __future__ import annotations

import inspect
import warnings
from typing import Any, Dict, Optional, Tuple

from . import _core, _env, _exports, _options, _session, _signature
from ._code import Code, qualified
from ._errors import ActorExit
from ._function import check_yields, n_returns, results
from ._ids import ActorID
from .exceptions import ActorUnschedulableError, TaskUnschedulableError

_BUILT_IN: Dict[str, tuple] = {  # every actor answers these
    "__ray_ready__": ((), {}),
    "__ray_terminate__": ((), {}),
    "__ray_call__": ((("fn", 0, False), ("args", 2, False), ("kwargs", 4, False)), {}),
}


def method(*args: Any, **options: Any):
    """Options of one actor method: ``@method(num_returns=2)``.  Also max_task_retries, retry_exceptions."""
    if args:
        raise TypeError("The @ray.method decorator must be applied using at least one of its options, for example "
                        "'@ray.method(num_returns=2)'.")
    checked = _options.check(options, "actor methods")

    def decorate(function: Any) -> Any:
        function.__miniray_method__ = checked
        return function

    return decorate


# What a handle needs for itself, whatever the class of its actor has of that name.
_OWN = frozenset({"__class__", "__dict__", "__getattribute__", "__dir__", "__eq__", "__hash__", "__reduce__",
                  "__reduce_ex__", "__deepcopy__", "__copy__", "__repr__", "__doc__", "__module__", "__weakref__", "__init__",
                  "__new__", "__setattr__", "__del__", "__init_subclass__", "__getstate__", "__slots__", "__str__", "__ne__"})


class ClassInfo:
    """What a handle knows of its class, without the class: travels with handles."""

    def __init__(self, name: str, methods: Dict[str, tuple], is_async: bool, retries: int, groups: Tuple[str, ...], system: bool,
                 pending: int):
        self.name = name
        self.pending = pending  # max_pending_calls
        self.methods = methods  # name -> (described signature, options)
        # Methods such as __format__, which every object has, so that a handle would not be asked for them.
        self.hidden = tuple(name for name in methods if name.startswith("__") and hasattr(object, name) and name not in _OWN)
        self.is_async = is_async
        self.retries = retries
        self.groups = groups  # of concurrency, beside the default one
        self.system = system  # there are threads beside the one that may be blocked
        self.session = 0
        self.numbers: "Dict[tuple, int]" = {}

    def __reduce__(self):
        numbers = {key: number for key, number in self.numbers.items() if not key[3]}  # classes have other addresses there
        return _info, (self.name, self.methods, self.is_async, self.retries, self.groups, self.system, self.pending, self.session,
                       numbers)

    def lane(self, name: str, options: Dict[str, Any]) -> Tuple[int, int]:
        """Number of the concurrency group of a method with these options, and the flags that go with it."""
        group = options.get("concurrency_group")
        if group is None:
            return 0, 0
        if group == _options.SYSTEM_GROUP and self.system:
            return 0, _core.DEF_SYSTEM
        if group in self.groups:
            return 1 + self.groups.index(group), 0
        there = f"it has {', '.join(map(repr, self.groups))}" if self.groups else "it has none"
        if group == _options.SYSTEM_GROUP:
            there = "a class has it that names it in @ray.method(concurrency_group=), or has concurrency_groups"
        raise ValueError(f"{self.name}.{name}: there is no concurrency group {group!r} in this actor; {there}")

    def number(self, name: str, options: Dict[str, Any], returns: int) -> int:
        """The session's function number of a method with these options."""
        session = _core.session_number()
        if self.session != session:
            self.session = session
            self.numbers = {}
        retry = options.get("retry_exceptions")
        kinds = tuple(map(id, retry)) if isinstance(retry, (list, tuple)) else ()
        key = (name, returns, repr(sorted(options.items())) if options else "", kinds)
        if key not in self.numbers:
            made = results(options, returns)
            lane, flags = self.lane(name, options)
            made["flags"] |= flags | (_core.DEF_ASYNC if self.is_async else 0)
            self.numbers[key] = _core.define({
                "kind": _core.DEF_METHOD, "name": options.get("name") or f"{self.name}.{name}", "entry": name, "needs": [], "lane": lane,
                "max_pending": self.pending,
                "max_retries": options.get("max_task_retries", self.retries),
                "code": _core.put(Code(None, {}, retry, {})) if kinds else None, **made})
        return self.numbers[key]


def _info(name, methods, is_async, retries, groups, system, pending, session, numbers) -> ClassInfo:
    info = ClassInfo(name, methods, is_async, retries, groups, system, pending)
    info.session = session
    info.numbers = numbers
    return info


def _describe_class(cls: type, options: Dict[str, Any]) -> ClassInfo:
    methods: Dict[str, tuple] = {}
    is_async = False
    groups = tuple(options.get("concurrency_groups", ()))
    class_options = options
    for name in dir(cls):
        plain = inspect.getattr_static(cls, name)
        bound = isinstance(plain, (staticmethod, classmethod))
        function = plain.__func__ if bound else plain
        if not inspect.isroutine(function) or not (inspect.isfunction(function) or hasattr(function, "__wrapped__")):
            continue
        if len(name.encode()) > 63:
            raise ValueError(f"the method name {name} has more than 63 bytes")
        options = dict(getattr(function, "__miniray_method__", {}))
        is_async = is_async or inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
        if "num_returns" in options:
            check_yields(function, options["num_returns"])
        elif (inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)):
            options["num_returns"] = "streaming"
        methods[name] = (_signature.describe(function, not isinstance(plain, staticmethod)), options)
    system = bool(groups) or any(own.get("concurrency_group") == _options.SYSTEM_GROUP for _, own in methods.values())
    info = ClassInfo(qualified(cls), {**methods, **_BUILT_IN}, is_async, class_options.get("max_task_retries", 0), groups, system,
                     class_options.get("max_pending_calls", -1) or -1)
    for name, (_, own) in methods.items():
        info.lane(name, own)  # raises for a group that is not there
    return info


_own: Optional[ClassInfo] = None


def own_info() -> Optional[ClassInfo]:
    """The description of the actor that this process is; None elsewhere.  Made when asked: a thousand actors need not pay for it."""
    global _own
    if _own is None and isinstance(_session._actor_class, type):
        _own = _describe_class(_session._actor_class, _session._actor_options)
    return _own


class ActorMethod(_core.Submitter):
    """One method of one actor: ``handle.method.remote(x)``."""

    def __init__(self, info: ClassInfo, name: str, ref: "_core.ObjectRef", options: Optional[Dict[str, Any]] = None):
        self._info = info
        self._name = name
        self._described, own = info.methods[name]
        self._options = {**own, **(options or {})}
        self._actor_ref = ref
        self._n_returns = n_returns(self._options.get("num_returns", 1))
        self._min_args, self._max_args = _signature.limits(self._described)
        self._waits = info.pending > 0  # in a worker, which must learn at the call that it is one too many

    def __call__(self, *args: Any, **kwargs: Any):
        raise TypeError("Actor methods cannot be called directly. Instead of running "
                        f"'object.{self._name}()', try 'object.{self._name}.remote()'.")

    def _check(self, args: tuple, kwargs: dict) -> None:
        _signature.check(self._described, args, kwargs)

    def _prepare(self) -> Any:
        if _session.local is not None:
            return _session.local.method(self)
        self._number = self._info.number(self._name, self._options, self._n_returns)
        self._number_session = _core.session_number()
        return None

    def options(self, **options: Any) -> "ActorMethod":
        """The same method with other options (num_returns, name, max_task_retries, retry_exceptions)."""
        assert self._actor_ref is not None
        return ActorMethod(self._info, self._name, self._actor_ref, {**self._options, **_options.check(options, "actor methods")})

    def _remote(self, args: Any = (), kwargs: Any = None, **options: Any):
        """Ray's other way to call: ``handle.method._remote(args=[1], num_returns=2)``."""
        return (self.options(**options) if options else self).remote(*args, **(kwargs or {}))

    def bind(self, *args: Any, **kwargs: Any):
        """Raises NotImplementedError: there are no task graphs."""
        raise NotImplementedError("task graphs by bind() are not supported; remote() with references as arguments is")

    def __reduce__(self):
        return ActorMethod, (self._info, self._name, self._actor_ref, self._options)

    def __repr__(self) -> str:
        return f"<method {self._info.name}.{self._name} of an actor>"


class ActorHandle:
    """A reference to an actor; can be passed to tasks and actors.  When its last handle is gone, the actor does the calls that
    it was sent, and ends.  Handles in its own process do not count; those that actors have of each other do, and so such
    a cycle stays until `kill` or the end of the session."""

    def __init__(self, info: ClassInfo, ref: "_core.ObjectRef"):
        self._info = info
        self._ref = ref
        for name in info.hidden:
            self.__dict__[name] = ActorMethod(info, name, ref)

    def __getattr__(self, name: str) -> ActorMethod:
        if name in ("_info", "_ref"):
            raise AttributeError(name)
        if name not in self._info.methods:
            raise AttributeError(f"'{self._info.name}' object has no attribute '{name}'"
                                 f"{_options.nearest(name, self._info.methods)}")
        made = self.__dict__[name] = ActorMethod(self._info, name, self._ref)
        return made

    @property
    def _actor_id(self) -> ActorID:
        return ActorID.of(self._ref._id, self._ref._session)

    _ray_actor_id = _actor_id

    def __del__(self) -> None:
        """The last handle that goes ends the actor: the node is told at once."""
        if _core is not None and self.__dict__.pop("_ref", None) is not None:
            self.__dict__.clear()
            _core.flush()

    def __dir__(self):
        return sorted(self._info.methods)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActorHandle) and self._ref == other._ref

    def __hash__(self) -> int:
        return hash(self._ref)

    def __reduce__(self):
        return ActorHandle, (self._info, self._ref)

    def __deepcopy__(self, memo: dict) -> "ActorHandle":
        return ActorHandle(self._info, self._ref)

    def __copy__(self) -> "ActorHandle":
        return ActorHandle(self._info, self._ref)

    def __repr__(self) -> str:
        return f"Actor({self._info.name}, {self._actor_id.hex()})"


class ActorClassInheritanceException(TypeError):
    """A class whose base is an actor class was defined."""


class ActorClass:
    """A class whose instances live in worker processes: ``Counter.remote()``.  Made by :func:`miniray.remote`."""

    _is_class = True

    def __init__(self, cls: Optional[type], options: Dict[str, Any], info: Optional[ClassInfo] = None):
        if info is None:
            assert cls is not None
            if issubclass(cls, BaseException) or any(isinstance(base, ActorClass) for base in cls.__mro__):
                raise TypeError(f"{cls.__name__} cannot be an actor")
            info = _describe_class(cls, options)
        self._cls = cls
        self._options = options
        self._info = info
        self._session = 0
        self._number = 0
        self._base = 0  # the environment below which it was defined
        self._code: Any = None
        self._exports = _exports.Exports()
        self.__name__ = cls.__name__ if cls is not None else info.name
        self.__qualname__ = getattr(cls, "__qualname__", self.__name__)
        self.__doc__ = getattr(cls, "__doc__", None)
        self.__module__ = getattr(cls, "__module__", __name__)

    def __call__(self, *args: Any, **kwargs: Any):
        raise TypeError("Actors cannot be instantiated directly. Instead of "
                        f"'{self._info.name}()', use '{self._info.name}.remote()'.")

    def __mro_entries__(self, bases: tuple):
        raise ActorClassInheritanceException(
            f"Attempted to define subclass of the actor class '{self._info.name}'. Inheriting from actor classes is not "
            "currently supported. You can instead inherit from a non-actor base class and make the derived class an actor class (with @ray.remote).")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("_cls", "_info"):
            raise AttributeError(name)
        return getattr(self._target(), name)  # class attributes, class and static methods

    def remote(self, *args: Any, **kwargs: Any) -> ActorHandle:
        """Starts an actor; returns its handle at once, the constructor runs in its process.

        Raises ValueError for a name that is taken, ActorUnschedulableError when no node can ever hold it.
        """
        options = self._options
        _session.ensure()
        _signature.check(self._info.methods["__init__"][0] if "__init__" in self._info.methods else (), args, kwargs)
        name = options.get("name")
        if options.get("get_if_exists") and name is None:
            raise ValueError("The actor name must be specified to use `get_if_exists`.")
        if options.get("namespace") is not None and name is None:
            raise ValueError("a namespace is of a name: give name= too")
        space, if_exists = options.get("namespace") or _session.namespace(), bool(options.get("get_if_exists", False))
        if _session.local is not None:
            return ActorHandle(self._info, _session.local.create(self, args, kwargs, name, space, if_exists))
        tell = options.get("lifetime") == "detached" and _first_detached()
        try:
            if self._session != _core.session_number():
                self._prepare()
            ref = _core.create_actor(self._number, args, kwargs, name, space, if_exists)
        except TaskUnschedulableError as why:
            raise ActorUnschedulableError(str(why)) from None
        if tell:
            warnings.warn("a detached actor lives until the node ends: here that is when the driver's session ends", RuntimeWarning,
                          stacklevel=2)
        return ActorHandle(self._info, ref)

    def _prepare(self) -> None:
        options = self._options
        name = self._info.name
        code = _exports.send(self, name)
        made = _options.definition(options, actor=True)
        detached = options.get("lifetime") == "detached"
        made.update(
            kind=_core.DEF_ACTOR, name=name, entry=name.encode()[:60].decode("utf-8", "ignore"), code=code,
            max_restarts=options.get("max_restarts", 0), max_retries=options.get("max_task_retries", 0),
            max_concurrency=options.get("max_concurrency", 1000 if self._info.is_async else 1),
            lanes=list(options.get("concurrency_groups", {}).values()) or None,
            max_pending=options.get("max_pending_calls", -1) if options.get("max_pending_calls", -1) > 0 else -1,
            flags=made["flags"] | (_core.DEF_ASYNC if self._info.is_async else 0) | (_core.DEF_DETACHED if detached else 0))
        self._number = _core.define(made)
        self._code = code
        self._base = _env.number(_env.current)
        self._session = _core.session_number()

    def options(self, **options: Any) -> "ActorClass":
        """The same class with other options (those of :func:`miniray.remote`); the original is not changed."""
        return _exports.share(self, ActorClass(self._target(), {**self._options, **_options.check(options, "actors")}))

    def _remote(self, args: Any = (), kwargs: Any = None, **options: Any) -> ActorHandle:
        """Ray's other way to call: ``A._remote(args=[1], num_cpus=2)``."""
        return (self.options(**options) if options else self).remote(*args, **(kwargs or {}))

    def bind(self, *args: Any, **kwargs: Any):
        """Raises NotImplementedError: there are no task graphs."""
        raise NotImplementedError("task graphs by bind() are not supported; remote() is")

    def __reduce__(self):
        about = self._options, self._info
        return _exports.reduce(
            self, lambda: (_attached_class, (*about, self._code, self._number, self._session, self._base)),
            lambda same: (_class_itself, (*about, same)), lambda: (ActorClass, (self._target(), *about)))

    def _target(self) -> type:
        if self._cls is None:  # it came from another process: its code is in the session
            with _exports.loading(self._code, self._number, self):
                self._cls = _exports.fetch(self._code).target
        return self._cls

    def __dir__(self):
        return sorted({*dir(self._target()), "bind", "remote", "options"})

    def __repr__(self) -> str:
        return f"<remote class {self._info.name}>"


def _attached_class(options, info, code, number, session, base) -> ActorClass:
    made = ActorClass(None, options, info)
    made._code = code
    made._number = number
    made._base = base
    made._session = session if base == _env.number(_env.current) else 0
    return made


def _class_itself(options, info, same) -> ActorClass:
    """The class in its own code; not `same`: with options that do not change the code."""
    code, number, session, known = _exports.loaded(same)
    return known or _attached_class(options, info, code, number, session, _env.number(_env.current))


_told_of_detached = 0  # a session


def _first_detached() -> bool:
    """Is the next detached actor the first of this session, whichever process made others?"""
    global _told_of_detached
    if _told_of_detached == _core.session_number():
        return False
    _told_of_detached = _core.session_number()
    return not any(actor["detached"] for actor in _session.state("actors"))


_found: "Dict[Tuple[int, int], ClassInfo]" = {}


def get_actor(name: str, namespace: Optional[str] = None) -> ActorHandle:
    """The handle of a named actor.  ValueError when there is none (any more)."""
    if not name:
        raise ValueError("Please supply a non-empty value to get_actor")
    if not isinstance(name, str):
        raise TypeError(f"get_actor() takes the name of an actor, a str, not {type(name)}")
    if namespace is not None:
        _options._namespace("namespace", namespace)
    _session.ensure()
    space = namespace or _session.namespace()
    found = _core.find_actor(name, space) if _session.local is None else _session.local.find(name, space)
    if found is None:
        raise ValueError(
            f"Failed to look up actor with name '{name}'. This could because 1. You are trying to look up a named actor you "
            "didn't create. 2. The named actor died. 3. You did not use a namespace matching the namespace of the actor.")
    ref, number = found
    if _session.local is not None:
        return ActorHandle(number, ref)
    key = (_core.session_number(), number)
    if key not in _found:
        code, _retries, _pending = _core.func_code(number)
        with _exports.loading(code, number):
            made = _exports.fetch(code)
            _found[key] = _describe_class(made.target, made.actor)
    return ActorHandle(_found[key], ref)


def exit_actor() -> None:
    """Ends the actor that calls it, after this method.  TypeError outside of an actor."""
    if not _session.in_actor():
        raise TypeError("exit_actor API is called on a non-actor worker: call it in a method of an actor, which then ends.")
    raise ActorExit()
