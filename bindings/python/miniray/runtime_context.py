"""Where am I?  What a task, an actor or the driver can know of itself."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Optional

from . import _actor, _calls, _core, _env, _session
from ._ids import ActorID, JobID, PlacementGroupID, TaskID, actor_hex, job_hex, node_hex, node_number, task_hex, worker_hex


def _call() -> Any:
    """The call that this thread runs; None in the driver and outside of calls."""
    return _calls.current_call() if _core.is_worker() else None


class RuntimeContext:
    """Made by get_runtime_context().  Ids are hex texts, as in miniray.util.state."""

    def get(self) -> Dict[str, Any]:
        """All of it in one dict, by Ray's old names."""
        out = {"job_id": self.job_id, "node_id": self.get_node_id(), "namespace": self.namespace}
        if _core.is_worker():
            out.update(task_id=self.task_id, actor_id=self.actor_id)
        return out

    def get_job_id(self) -> str:
        """Hex id of the session."""
        return job_hex()

    def get_node_id(self) -> str:
        """NodeID, as in miniray.nodes(), of the node that this process belongs to."""
        text = os.environ.get("MINIRAY_WORKER", "") if _core.is_worker() else ""
        return node_hex(int(text.split(":")[2]) if text.count(":") >= 2 else 0)

    def get_worker_id(self) -> str:
        """Hex id of this process, as in miniray.util.state."""
        text = os.environ.get("MINIRAY_WORKER", "")
        return worker_hex(int(text.split(":")[0]) if text and _core.is_worker() else 0)

    def get_task_id(self) -> Optional[str]:
        """Hex id of the task that this thread runs; None in the driver."""
        return task_hex(_core.current_task())

    def get_task_name(self) -> Optional[str]:
        """Its option ``name``, or the name of its function; None in the driver."""
        call = _call()
        return call.name if call is not None else None

    def get_task_function_name(self) -> Optional[str]:
        """Name of the function or method that this thread runs, with its module and class; None in the driver."""
        call = _call()
        if call is None:
            return None
        info = _actor.own_info()
        if info is not None:
            return f"{_session._actor_class.__module__}.{info.name}.{call.entry if call.kind == _core.CALL_METHOD else '__init__'}"
        return f"{getattr(_calls.functions.get(call.func), '__module__', '')}.{call.entry}"

    def get_task_attempt(self) -> int:
        """1 for the first run of the task, 2 for its first retry, ...; 0 in the driver."""
        call = _call()
        return call.attempt if call is not None else 0

    def is_canceled(self) -> bool:
        """Was the task or call that this thread runs cancelled?  For threaded actors, whose threads cannot be interrupted, and for
        what catches the KeyboardInterrupt.  RuntimeError in the driver and in async actors, whose calls get a CancelledError."""
        if not _core.is_worker():
            raise RuntimeError("This method is only available when the process is a worker: nobody cancels the driver.")
        call = _call()
        if call is not None and call.flags & _core.DEF_ASYNC:
            raise RuntimeError("This method is not supported in an async actor: its calls get an asyncio.CancelledError.")
        return call is not None and call.cancelled

    is_cancelled = is_canceled

    def get_actor_id(self) -> Optional[str]:
        """Hex id of the actor that this process is; None elsewhere."""
        ref = _session._actor_ref
        return actor_hex(ref._id) if ref is not None else None

    def get_actor_name(self) -> Optional[str]:
        """The name that the actor of this process was given, "" without one; None elsewhere."""
        ref = _session._actor_ref
        if ref is None:
            return None
        for actor in _session.state("actors"):
            if int(actor["actor"], 16) == ref._id:
                return actor.get("name", "")
        return ""

    def get_placement_group_id(self) -> Optional[str]:
        """Hex id of the placement group of this task or actor; None without one."""
        group = _core.group_current()[0] if _core.is_worker() else 0
        return PlacementGroupID.of(group).hex() if group else None

    @property
    def current_placement_group_id(self) -> "Optional[PlacementGroupID]":
        """The same as get_placement_group_id(), as an id."""
        text = self.get_placement_group_id()
        return None if text is None else PlacementGroupID.from_hex(text)

    @property
    def should_capture_child_tasks_in_placement_group(self) -> bool:
        """Do tasks that this task or actor submits go to its placement group?"""
        return bool(_core.is_worker() and _core.group_current()[1])

    def get_assigned_resources(self) -> Dict[str, float]:
        """What this task, or the actor while it lives, was given: {"CPU": 1.0}; memory in bytes; {} in the driver."""
        if _session._actor_ref is not None:
            return dict(_session._assigned)
        call = _call()
        if call is None:
            return {}
        return dict(_calls.held.get(call.func, {}))

    def get_resource_ids(self) -> Dict[str, List[str]]:
        """The same as get_accelerator_ids(): only those have ids."""
        return self.get_accelerator_ids()

    def get_accelerator_ids(self) -> Dict[str, List[str]]:
        """{"GPU": ids given to this task or actor, as CUDA_VISIBLE_DEVICES names them}."""
        return {"GPU": [str(gpu) for gpu in _session._gpus]}

    def get_node_labels(self) -> Dict[str, str]:
        """Labels of the node that this process belongs to."""
        node = node_number(self.get_node_id())
        return next((dict(n.get("labels", {})) for n in _session.state("nodes") if n["node"] == node), {})

    def get_runtime_env_string(self) -> str:
        """The environment of this process as JSON."""
        return _env.text(_env.current)

    @property
    def runtime_env(self) -> Any:
        """The environment of this process, a RuntimeEnv; in the driver that of init()."""
        from .runtime_env import RuntimeEnv

        return RuntimeEnv(**_env.current)

    def get_temp_dir(self) -> str:
        """The folder of this session, which goes with it; "" if none could be made."""
        return _session.state("session")["folder"]

    def get_session_name(self) -> str:
        """A name of this session, unlike that of any other."""
        return f"session_{_core.session_number():016x}"

    @property
    def namespace(self) -> str:
        """The namespace of actor names when none is given."""
        return _session.namespace()

    @property
    def gcs_address(self) -> str:
        """There is no server to connect to: "local"."""
        return "local"

    @property
    def current_actor(self) -> Any:
        """A handle of the actor that this process is; it does not keep the actor alive.  RuntimeError elsewhere."""
        if _session._actor_ref is None:
            raise RuntimeError("This method is only available in an actor.")
        info = _actor.own_info()
        assert info is not None
        return _actor.ActorHandle(info, _session._actor_ref)

    @property
    def was_current_actor_reconstructed(self) -> bool:
        """Did this actor restart after its process died?"""
        return _session._actor_attempt > 1

    # Ray's old names, which give id objects instead of texts.

    @property
    def job_id(self) -> JobID:
        """The same as get_job_id(), as an id."""
        return JobID.from_hex(job_hex())

    @property
    def node_id(self) -> str:
        """The same as get_node_id()."""
        return self.get_node_id()

    @property
    def worker_id(self) -> str:
        """The same as get_worker_id()."""
        return self.get_worker_id()

    @property
    def task_id(self) -> Optional[TaskID]:
        """The same as get_task_id(), as an id."""
        number = _core.current_task()
        return TaskID.of(number) if number else None

    @property
    def actor_id(self) -> Optional[ActorID]:
        """The same as get_actor_id(), as an id."""
        ref = _session._actor_ref
        return ActorID.of(ref._id) if ref is not None else None


def get_runtime_context() -> RuntimeContext:
    """Where this code runs.  Opens the default session if none is open."""
    _session.ensure()
    return RuntimeContext() if _session.local is None else _session.local.context()
