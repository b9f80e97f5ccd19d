"""miniray: Ray's programming model on a minimal C core.

    import miniray as ray

    @ray.remote
    def add(a, b):
        return a + b

    ray.init(num_workers=2)
    print(ray.get(add.remote(1, 2)))    # 3

Names and meaning are Ray's.  What miniray does not have raises an AttributeError that says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _core, _errors, _pickle, exceptions
from ._core import ObjectRef, contains, get, put
from . import _session
from ._init import Context, init, shutdown
from ._session import is_initialized
from ._function import RemoteFunction
from ._remote import remote
from ._generator import DynamicObjectRefGenerator, ObjectRefGenerator
from ._actor import ActorClass, ActorHandle, ActorMethod, exit_actor, get_actor, method
from ._api import (available_resources, cancel, cluster_resources, free, get_gpu_ids, kill, nodes, set_policy, timeline)
from ._wait import wait
from .runtime_context import RuntimeContext, get_runtime_context
from ._ids import (ActorID, ClusterID, FunctionID, JobID, NodeID, PlacementGroupID, TaskID, UniqueID, WorkerID)
from . import actor, runtime_env

ObjectID = ObjectRef
ActorClassID = FunctionID
SCRIPT_MODE, WORKER_MODE, LOCAL_MODE = 0, 1, 2

__version__ = "0.1.0"
__all__ = [
    "ActorClass", "ActorHandle", "ActorMethod", "Context", "Executor", "ObjectRef", "ObjectRefGenerator", "RemoteFunction",
    "RuntimeContext", "available_resources", "cancel", "cluster_resources", "contains", "exceptions", "exit_actor", "free",
    "get", "get_actor", "get_gpu_ids", "get_runtime_context", "init", "is_initialized", "kill", "method", "nodes", "put",
    "remote", "set_policy", "shutdown", "timeline", "wait", "batch", "DynamicObjectRefGenerator", "ActorID", "ClusterID", "FunctionID", "JobID",
    "NodeID", "ObjectID", "PlacementGroupID", "TaskID", "UniqueID", "WorkerID", "actor", "runtime_env",
]


def _future(ref: ObjectRef) -> Any:
    from ._async import to_future

    return to_future(ref)


def _await(ref: ObjectRef) -> Any:
    from ._async import await_ref

    return await_ref(ref)


def _of_ref(ref: ObjectRef, what: str) -> Any:
    if what == "as_future":
        import asyncio

        return asyncio.wrap_future(_future(ref), loop=asyncio.get_running_loop())
    if what == "job_id":
        return JobID((ref._session >> 32).to_bytes(4, "big"))
    if ref._session != _core.session_number():
        return TaskID.of(ref._id, ref._session)
    task = next((int(row["task"] or "0", 16) for row in _session.state("objects") if int(row["object"], 16) == ref._id), None)
    return TaskID.of(task or ref._id)


_core.set_hooks(
    auto_init=_session.ensure, dumps=_pickle.dumps, loads=_pickle.load_buffers, from_status=exceptions._from_status,
    from_error=exceptions._from_error, escaped=_pickle.escaped, future=_future, await_ref=_await, of_ref=_of_ref,
    make_stream=ObjectRefGenerator)


class batch:
    """``with miniray.batch():`` what is submitted inside is one event for the scheduling policy.  Driver only."""

    def __enter__(self) -> "batch":
        _session.ensure()
        _core.batch_begin()
        return self

    def __exit__(self, *exc: Any) -> None:
        _core.batch_end()


_MISSING = {
    "data": "only Ray Core's model is here", "train": "only Ray Core's model is here", "tune": "only Ray Core's model is here",
    "serve": "only Ray Core's model is here", "rllib": "only Ray Core's model is here", "workflow": "only Ray Core's model is here",
    "dag": "task graphs by bind() are not here; references as arguments are", "client": "there is no remote driver",
    "java_function": "Python and C are the languages here", "java_actor_class": "Python and C are the languages here",
    "cross_language": "Python and C are the languages here", "cpp_function": "C tasks are called from C: see examples/c", "autoscaler": "there is one machine",
    "wait_for_nodes": "see cluster_utils.Cluster",
}


def _late(name: str) -> Any:
    """A module that is imported when it is asked for; AttributeError that says why for what is not here."""
    import importlib

    if name in ("util", "cluster_utils", "remote_function", "types"):
        return importlib.import_module(f"miniray.{name}")
    if name == "cloudpickle":
        return importlib.import_module(name)
    if name == "Executor":
        from ._executor import Executor

        return Executor
    if name in _MISSING:
        raise AttributeError(f"module 'miniray' has no attribute {name!r}: {_MISSING[name]}. It has: {', '.join(__all__)}")
    from ._options import nearest

    raise AttributeError(f"module 'miniray' has no attribute {name!r}{nearest(name, __all__)}")


if TYPE_CHECKING:  # a checker finds a misspelt name only where there is no __getattr__
    from . import cluster_utils, remote_function, types, util
    from ._executor import Executor
else:
    __getattr__ = _late
