"""Where am I?  What a task, an actor or the driver can know of itself."""

from __future__ import annotations

import os
from typing import Any, Dict, Optional

from . import _core, _session


class RuntimeContext:
    """Made by get_runtime_context()."""

    def get_task_id(self) -> Optional[str]:
        """Hex id of the task that this thread runs; None in the driver."""
        task = _core.current_task()
        return f"{task:016x}" if task else None

    def get_actor_id(self) -> Optional[str]:
        """Hex id of the actor that this process is; None elsewhere."""
        ref = _session._actor_ref
        return f"{ref._id:016x}" if ref is not None else None

    def get_job_id(self) -> str:
        """Hex id of the session."""
        return f"{_core.session_number():016x}"

    def get_node_id(self) -> str:
        """Number of the node this process belongs to, in hex."""
        text = os.environ.get("MINIRAY_WORKER", "")
        return f"{int(text.split(':')[2]):x}" if text.count(":") >= 2 else "0"

    def get_worker_id(self) -> str:
        """Number of the worker process; "driver" in the driver."""
        text = os.environ.get("MINIRAY_WORKER", "")
        return text.split(":")[0] if text and _core.is_worker() else "driver"

    def get_actor_name(self) -> Optional[str]:
        """Name of the actor's class that this process is; None elsewhere."""
        info = _session.actor_info()
        return info.name if info is not None else None

    @property
    def namespace(self) -> str:
        return _session.namespace()

    @property
    def current_actor(self) -> Any:
        """A handle of the actor that this process is; it does not keep the actor alive.  RuntimeError elsewhere."""
        from ._actor import ActorHandle

        if _session._actor_ref is None:
            raise RuntimeError("This method is only available in an actor.")
        return ActorHandle(_session.actor_info(), _session._actor_ref)

    @property
    def was_current_actor_reconstructed(self) -> bool:
        """Did this actor restart after its process died?"""
        return _session._actor_attempt > 1

    def get_assigned_resources(self) -> Dict[str, float]:
        """What this task or actor holds, {"CPU": 1.0}; as stated in its options."""
        return dict(_session._assigned)


def get_runtime_context() -> RuntimeContext:
    """Where this code runs.  Opens the default session if none is open."""
    _session.ensure()
    return RuntimeContext()
