"""The functions of the package that are not classes: kill, cancel, and looking around."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Optional, Union

from . import _core, _session
from ._actor import ActorHandle
from ._core import ObjectRef
from ._ids import node_hex
from ._generator import ObjectRefGenerator
from .exceptions import ObjectLostError


def kill(actor: ActorHandle, *, no_restart: bool = True) -> None:
    """Kills the actor's process at once; its pending calls fail with ActorDiedError.  no_restart=False: it may restart."""
    if not isinstance(actor, ActorHandle):
        raise ValueError(f"ray.kill() only supported for actors. For tasks, try ray.cancel(). Got: {type(actor)}.")
    if _session.local is not None:
        _session.local.kill(actor._ref)
        return
    _core.kill(actor._ref, no_restart)


def cancel(ref: Union[ObjectRef, ObjectRefGenerator], *, force: bool = False, recursive: bool = True) -> None:
    """Cancels the task that makes the reference: not started, it never runs; running, it gets a KeyboardInterrupt (an
    async method: CancelledError).  get() then raises TaskCancelledError.  A finished task stays as it is.

    force: kill the process at once (tasks only).  recursive: also what the task started.
    """
    if _session.local is not None and isinstance(ref, (ObjectRef, ObjectRefGenerator)):
        _session.local.cancel(ref)
        return
    if isinstance(ref, ObjectRefGenerator):
        ref = ref._task
    if not isinstance(ref, ObjectRef):
        raise TypeError(f"ray.cancel() only supported for object refs. For actors, try ray.kill(). Got: {type(ref)}.")
    _core.cancel(ref, force, recursive)


def free(object_refs: Union[ObjectRef, List[ObjectRef]], local_only: bool = False) -> None:
    """Gives objects up now, whoever still refers to them: later gets raise ObjectFreedError, and so do calls that wait with one as
    an argument.  Arrays that get() gave stay good.  What is still being made stays: cancel() ends its task."""
    _core.free([object_refs] if isinstance(object_refs, ObjectRef) else object_refs)


def nodes() -> List[Dict[str, Any]]:
    """The nodes: NodeID, Alive, Resources and more."""
    _session.ensure()
    out = []
    for number, node in enumerate(_session.state("nodes")):
        out.append({
            "NodeID": node_hex(node.get("node", number)), "Alive": bool(node.get("alive", True)),
            "NodeName": node.get("name", ""), "NodeManagerHostname": node.get("name", ""), "NodeManagerAddress": "127.0.0.1",
            "Resources": node.get("total", node.get("resources", {})), "Labels": node.get("labels", {}), "alive": bool(node.get("alive", True)),
        })
    return out


def cluster_resources() -> Dict[str, float]:
    """All resources of all nodes: {"CPU": 2.0, ...}; memory and object_store_memory in bytes."""
    _session.ensure()
    return {**{name: float(amount) for name, amount in _session.state("resources")["total"].items() if amount},
            "object_store_memory": float(sum(node["capacity"] for node in _session.state("nodes") if node["alive"]))}


def available_resources() -> Dict[str, float]:
    """What of them is free at this instant."""
    _session.ensure()
    room = sum(max(0, node["capacity"] - node["used"]) for node in _session.state("nodes") if node["alive"])
    return {**{name: float(amount) for name, amount in _session.state("resources")["available"].items() if amount},
            **({"object_store_memory": float(room)} if room else {})}


def _row(task: Dict[str, Any]) -> Dict[str, Any]:
    """One task of the core's table as timeline() tells it."""
    row = {"task": task["task"], "fn": task["name"], "node": task["node"], "slot": task.get("slot", task["worker"]),
           "outcome": task["outcome"] or task["state"], "bytes": task.get("bytes", 0), "attempt": task["attempt"]}
    for point in ("submitted", "ready", "started", "ended"):
        row[point] = task[point + "_at"]
    return row


def set_policy(policy: Union[str, "os.PathLike[str]"]) -> None:
    """Another scheduling policy from now on, while tasks wait and run: a file ("mine.lua"), a shipped one ("fair") or a plugin's .so.

    The new policy is told the present as one batch, and nothing is lost: the queues are not a policy's.  The same file again
    loads it anew, and what its `save()` answers is given to the `restore(saved)` of the new one.  A policy that cannot be
    loaded raises RayError, with file and line, and the old one stays; FileNotFoundError: there is none of that name.  Driver only.
    """
    if not isinstance(policy, (str, os.PathLike)):
        raise TypeError(f"set_policy() takes the path of a policy or the name of a scheduler plugin, not {type(policy)}")
    from .lab.places import policy_arguments

    _session.ensure()
    plugin, file = policy_arguments(os.fspath(policy))
    try:
        _core.set_policy(os.fsencode(file or plugin or ""))
    except ObjectLostError as why:  # the core's "not found": here a plugin or a file
        raise FileNotFoundError(str(why)) from None


def timeline(filename: Optional[str] = None) -> Optional[List[Dict[str, Any]]]:
    """What ran where and when: a list of dicts {task, fn, node, slot, submitted, ready, started, ended, outcome, bytes}.

    Times are ns since the session began, -1 where it has not come to that.  filename: writes it there as a JSON array
    of Chrome trace events (chrome://tracing, Perfetto) and returns None.
    """
    _session.ensure()
    table = _session.state("tasks")
    if filename is None:
        return [_row(task) for task in table]
    import json

    from ._timeline import events

    with open(filename, "w", encoding="utf-8") as file:
        json.dump(events(table, _session.state("session")["now"], _session.state("policies")), file)
    return None


def get_gpu_ids() -> List[int]:
    """The GPUs given to this task or actor, as CUDA_VISIBLE_DEVICES names them; empty where it asked for none."""
    return list(_session._gpus)
