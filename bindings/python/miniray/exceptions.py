"""What get(), wait() and remote() can raise.  Names and bases are Ray's.

A task that raised gives a :class:`RayTaskError` that is also an instance of the user's class, so that both
``except ValueError`` and ``except miniray.exceptions.RayTaskError`` catch it.
"""

from __future__ import annotations

import re
import types
from typing import Any, Optional, Type

from . import _chain, _core
from ._ids import actor_hex, node_hex, task_hex

__all__ = [
    "RayError", "RayTaskError", "UserCodeException", "TaskCancelledError", "GetTimeoutError", "RayActorError",
    "ActorDiedError", "ActorUnavailableError", "WorkerCrashedError", "OutOfMemoryError", "NodeDiedError",
    "RaySystemError", "ObjectStoreFullError", "OutOfDiskError", "ObjectLostError", "ObjectFreedError", "OwnerDiedError",
    "ReferenceCountingAssertionError", "ObjectReconstructionFailedError", "StaleReferenceError", "DeadlockError",
    "TaskTimeoutError", "TaskPlacementGroupRemoved", "ActorPlacementGroupRemoved",
    "UnschedulableError", "TaskUnschedulableError", "ActorUnschedulableError", "PendingCallsLimitExceeded",
    "RuntimeEnvSetupError", "AsyncioActorExit", "ActorAlreadyExistsError", "ActorHandleNotFoundError", "LocalRayletDiedError",
    "ObjectFetchTimedOutError", "UnserializableException", "CrossLanguageError", "PluginError", "PolicyError", "ConfigError",
]


class RayError(Exception):
    """Base of all that miniray itself raises about tasks, actors and objects."""


class TaskCancelledError(RayError):
    """The task was cancelled.  ``task_id``: hex id of the task, or None."""

    def __init__(self, message: str = "This task or its dependency was cancelled", task_id: Optional[str] = None):
        super().__init__(message)
        self.task_id = task_id


class GetTimeoutError(RayError, TimeoutError):
    """get() had to wait longer than its timeout."""


class WorkerCrashedError(RayError):
    """The worker process died while it ran the task.  The message says how, and which attempt it was."""


class OutOfMemoryError(RayError):
    """The worker process was killed because memory ran out."""


class TaskTimeoutError(RayError, TimeoutError):
    """The task ran longer than its option limit_s allows, and was ended."""


class TaskPlacementGroupRemoved(RayError):
    """The placement group that the task was to run in, or ran in, has been removed."""


class NodeDiedError(RayError):
    """The node that ran the task was removed."""


class RayActorError(RayError):
    """The actor cannot answer.  ``actor_id``: its hex id, or None; ``may_have_run``: did the call perhaps run?"""

    def __init__(self, message: str = "The actor died unexpectedly before finishing this task.",
                 actor_id: Optional[str] = None, may_have_run: bool = False):
        super().__init__(message)
        self.actor_id = actor_id
        self.may_have_run = may_have_run
        self.preempted = False

    @property
    def error_msg(self) -> str:
        """The message."""
        return str(self)

    def __reduce__(self):
        return type(self), (self.args[0] if self.args else "", self.actor_id, self.may_have_run)


class ActorDiedError(RayActorError):
    """The actor is dead and will not come back."""


class ActorPlacementGroupRemoved(ActorDiedError):
    """The actor died because its placement group was removed."""


class ActorUnavailableError(RayActorError):
    """The actor is restarting; the call may have run."""


class RaySystemError(RayError):
    """miniray itself failed: the message says what."""


class ObjectStoreFullError(RayError):
    """The object does not fit in the object store."""


class OutOfDiskError(RayError):
    """No room to spill objects."""


class ObjectLostError(RayError):
    """The value is gone."""


class ObjectFreedError(ObjectLostError):
    """The object was freed, by free() or because nobody held a reference that counts."""


class OwnerDiedError(ObjectLostError):
    """The process that owned the task died."""


class ReferenceCountingAssertionError(ObjectLostError, AssertionError):
    """Kept for programs that name it; miniray counts references exactly."""


class ObjectReconstructionFailedError(ObjectLostError):
    """The value was lost and could not be made again."""


class StaleReferenceError(ObjectLostError, ValueError):
    """A reference or actor handle from an earlier session."""


class DeadlockError(RayError):
    """Everything waits for something that can never come."""


class UnschedulableError(RayError, ValueError):
    """No node can ever satisfy the request."""


class TaskUnschedulableError(UnschedulableError):
    """A task asks for resources that no node has."""


class ActorUnschedulableError(UnschedulableError):
    """An actor asks for resources that no node has."""


class PendingCallsLimitExceeded(RayError):
    """max_pending_calls of the actor is reached."""


class RuntimeEnvSetupError(RayError):
    """The environment of the task could not be made."""


class ActorAlreadyExistsError(ValueError, RayError):
    """The name of the actor is taken."""


class ActorHandleNotFoundError(ValueError, RayError):
    """The actor is not of this session."""


class LocalRayletDiedError(RayError):
    """Kept for programs that name it: the node lives in the driver."""


class ObjectFetchTimedOutError(ObjectLostError):
    """Kept for programs that name it: there is one machine."""


class UnserializableException(RayError):
    """Kept for programs that name it: an exception that cannot be pickled arrives as a RayTaskError with its text."""


class CrossLanguageError(RayError):
    """Kept for programs that name it: a C task that fails gives a RayTaskError."""


class AsyncioActorExit(RayError):
    """Raised inside an async actor to end it."""


class UserCodeException(RayError):
    """Kept for programs that name it."""


class PluginError(RaySystemError):
    """A store or scheduler plugin could not be loaded, or failed."""


class PolicyError(RaySystemError):
    """A scheduling policy could not be loaded, or failed."""


class ConfigError(RaySystemError, ValueError):
    """A setting is wrong; the message names file, line and key."""


class RayTaskError(RayError):
    """A task raised an exception.

    ``cause``: the exception itself as the task raised it (None if it could not be brought here); ``function_name``;
    ``traceback_str``: the remote traceback; ``pid`` of the worker; ``cause_class``: name of the exception's class.
    """

    def __init__(self, function_name: str = "", traceback_str: str = "", cause: Optional[BaseException] = None,
                 pid: int = 0, cause_class: str = ""):
        super().__init__(function_name, traceback_str)
        self._fill(function_name, traceback_str, cause, pid, cause_class)

    def _fill(self, function_name: str, traceback_str: str, cause: Optional[BaseException], pid: int,
              cause_class: str) -> None:
        self.function_name = function_name
        self.traceback_str = traceback_str
        self.cause = cause
        self.pid = pid
        self.cause_class = cause_class or (type(cause).__name__ if cause is not None else "")

    def as_instanceof_cause(self) -> "RayTaskError":
        """This error as an instance of the user's class too; itself where that class cannot be subclassed."""
        if self.cause is None or isinstance(self.cause, RayTaskError):
            return self
        dual = make_dual_exception(self.cause)
        if dual is None:
            self.__cause__ = self.cause
            return self
        dual._fill(self.function_name, self.traceback_str, self.cause, self.pid, self.cause_class)
        dual.__cause__ = self.cause
        return dual

    def __str__(self) -> str:
        return f"{self.function_name}() (pid={self.pid})\n{self.traceback_str.rstrip()}"

    def __reduce__(self):
        data = _chain.pack(self.cause) if self.cause is not None else None
        return _rebuild, (self.function_name, self.traceback_str, data, self.pid, self.cause_class)


def _rebuild(function_name: str, text: str, data: Optional[_chain.Packed], pid: int, cause_class: str) -> RayTaskError:
    cause = _chain.unpack(data) if data is not None else None
    return RayTaskError(function_name, text, cause, pid, cause_class).as_instanceof_cause()


_duals: "dict[type, Optional[type]]" = {}


def _dual_class(cause_class: type) -> Optional[type]:
    if cause_class in _duals:
        return _duals[cause_class]
    dual: Optional[type]
    try:
        dual = type(f"RayTaskError({cause_class.__name__})", (RayTaskError, cause_class), {
            "__module__": "miniray.exceptions",
            "__str__": RayTaskError.__str__,
            "__reduce__": RayTaskError.__reduce__,
            "__init__": lambda self, *args, **kwargs: None,
        })
    except TypeError:  # a class that refuses subclassing, or whose layout does not mix
        dual = None
    _duals[cause_class] = dual
    return dual


def make_dual_exception(cause: BaseException) -> Optional[RayTaskError]:
    """An instance of RayTaskError and of the class of `cause`, with its args and attributes; None if that cannot be."""
    if issubclass(RayTaskError, type(cause)):
        return None
    dual = _dual_class(type(cause))
    if dual is None:
        return None
    try:
        try:
            exc = dual.__new__(dual, *cause.args)
        except Exception:  # a __new__ that wants something else
            exc = BaseException.__new__(dual)
        for base in type(cause).__mro__:
            for name, member in vars(base).items():
                if base.__module__ == "builtins" and not name.startswith("__") and isinstance(
                        member, (types.MemberDescriptorType, types.GetSetDescriptorType)):
                    try:
                        setattr(exc, name, getattr(cause, name))
                    except (AttributeError, TypeError):
                        pass  # a read-only field, set by __new__
        exc.args = cause.args
        exc.__dict__.update(getattr(cause, "__dict__", {}))
        return exc
    except Exception:
        return None


# ---- hooks that the extension calls ------------------------------------------------------------------------------

_FAULTS: "dict[int, Type[BaseException]]" = {
    _core.E_TIMEOUT: GetTimeoutError,
    _core.E_CANCELLED: TaskCancelledError,
    _core.E_FULL: ObjectStoreFullError,
    _core.E_TOOBIG: ObjectStoreFullError,
    _core.E_CONFIG: ConfigError,
    _core.E_PLUGIN: PluginError,
    _core.E_ABI: PluginError,
    _core.E_POLICY: PolicyError,
    _core.E_UNSCHEDULABLE: TaskUnschedulableError,
    _core.E_DEADLOCK: DeadlockError,
    _core.E_CRASHED: WorkerCrashedError,
    _core.E_OOM: OutOfMemoryError,
    _core.E_ACTOR_DIED: ActorDiedError,
    _core.E_ACTOR_UNAVAILABLE: ActorUnavailableError,
    _core.E_LOST: ObjectLostError,
    _core.E_NOTFOUND: ObjectLostError,
    _core.E_FREED: ObjectFreedError,
    _core.E_SESSION: StaleReferenceError,
    _core.E_OWNER_DIED: OwnerDiedError,
    _core.E_NODE_DIED: NodeDiedError,
    _core.E_GROUP_REMOVED: TaskPlacementGroupRemoved,
    _core.E_PENDING_CALLS: PendingCallsLimitExceeded,
    _core.E_INVAL: ValueError,
    _core.E_NAME_TAKEN: ActorAlreadyExistsError,
    _core.E_NOMEM: MemoryError,
    _core.E_INTERRUPTED: InterruptedError,
    _core.E_UNSUPPORTED: NotImplementedError,
}


_looking = False


def _constructor_error(actor: int) -> Optional[RayTaskError]:
    """What the constructor of an actor raised, if it did: the value of the actor's own id."""
    global _looking
    if _looking or not actor or not _core.session_number():
        return None
    _looking = True
    try:
        _core.get(_core.ObjectRef(_core.session_number().to_bytes(8, "big") + actor.to_bytes(8, "big") + bytes(12)), timeout=0)
    except RayTaskError as why:
        return why.with_traceback(None)  # its frames are ours, and would keep it until the collector comes
    except Exception:
        pass
    finally:
        _looking = False
    return None


def _from_status(status: int, text: str, fault: Optional[tuple]) -> BaseException:
    """The exception for a status of the core; `fault` = numbers of an error value that the core made."""
    if status == _core.E_TASK:  # a task written in C
        return RayTaskError("C task", text, None, 0, "CTaskError")
    if status == _core.E_SESSION:
        return StaleReferenceError(
            "this reference belongs to an earlier miniray session, whose objects are gone, or to none (nil(), from_random()): make it "
            "again after init()")
    if status == _core.E_FORKED:
        return RaySystemError(
            "this process was forked after miniray.init(): the session belongs to its parent. Fork "
            "before init(), or use multiprocessing's 'spawn'.")
    if status == _core.E_CLOSED:
        return RaySystemError(f"the miniray session was shut down ({text})")
    kind = _FAULTS.get(status, RaySystemError)
    if kind is TaskUnschedulableError:
        text = re.sub(r"must run on node (\d+),", lambda found: f"must run on node {node_hex(int(found.group(1)))},", text)
    if kind is GetTimeoutError and fault is not None:  # what a task ended with, not a wait
        return TaskTimeoutError(text)
    if issubclass(kind, RayActorError):
        if fault is None:
            return kind(text)
        if kind is ActorDiedError and "its placement group was removed" in text:
            kind = ActorPlacementGroupRemoved
        made = kind(text, actor_id=actor_hex(fault[7]), may_have_run=bool(fault[5]))
        broken = _constructor_error(fault[7]) if issubclass(kind, ActorDiedError) else None
        if broken is not None:
            made.args = (f"The actor died because of an error raised in its creation task, {broken}",)
            made.__cause__ = broken
        return made
    if kind is TaskCancelledError:
        return TaskCancelledError(text, task_id=task_hex(fault[6]) if fault else None)
    return kind(text)


def _from_error(state: tuple) -> BaseException:
    """The exception of a value that :func:`miniray._errors.encode` made."""
    kind, function_name, class_name, text, trace, pid, data, actor = state
    if kind == "exit":
        made = ActorDiedError(text, actor_id=actor) if actor else WorkerCrashedError(text)
        made.__cause__ = _chain.unpack(data) if data is not None else None
        return made
    cause = None
    if data is not None:
        try:
            cause = _chain.unpack(data)
        except Exception as why:
            trace = f"{trace.rstrip()}\n(the {class_name} could not be rebuilt in this process: {type(why).__name__}: {why})"
    return RayTaskError(function_name, trace, cause, pid, class_name).as_instanceof_cause()
