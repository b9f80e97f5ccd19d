"""The rows of the state API: those of the core as those of Ray."""

from __future__ import annotations

import dataclasses
import os
import time
from typing import Any, Callable, Dict, List, Optional, Tuple, Type, TypeVar

from . import _core, _desk, _env
from ._ids import ActorID, PlacementGroupID, TaskID, node_hex, worker_hex


def _detail() -> Any:
    return dataclasses.field(default=None, metadata={"detail": True})


@dataclasses.dataclass
class State:
    def asdict(self) -> Dict[str, Any]:
        """The fields as a dict."""
        return dataclasses.asdict(self)

    def __getitem__(self, key: str) -> Any:
        return getattr(self, key)

    def get(self, key: str, default: Any = None) -> Any:
        """The field `key`, or `default` where there is no such field."""
        return getattr(self, key, default)


@dataclasses.dataclass
class TaskState(State):
    """One attempt of a task, a call of an actor, or the creation of one.  Times are ms since 1970.

    ``state``: PENDING_ARGS_AVAIL (an argument is not there yet), PENDING_NODE_ASSIGNMENT (waits for resources),
    PENDING_ARGS_FETCH (inputs travel), SUBMITTED_TO_WORKER, PENDING_ACTOR_TASK_ORDERING_OR_CONCURRENCY (waits for other
    calls, or for its actor), RUNNING, RUNNING_IN_RAY_GET (blocked in get or wait), STOPPED (preempted by the scheduling
    policy: it keeps its process and memory, and goes on when it is its turn), FINISHED, FAILED.
    ``waits_for`` (detail): what one that does not run waits for, in words.  ``call_site`` (detail): "x.py:17", where the program asked
    for it, with ``[sched] explain = true`` and while a result of it lives.  ``runtime_env_info`` (detail):
    {"serialized_runtime_env": JSON}, where the process that looks has asked for that environment itself.  Ray's
    ``profiling_data``, ``task_log_info``, ``is_debugger_paused`` and ``fallback_strategy`` are always None.
    """

    task_id: str
    attempt_number: int
    name: str
    state: str
    job_id: str
    actor_id: Optional[str]
    type: str
    func_or_class_name: str
    parent_task_id: Optional[str]
    node_id: Optional[str]
    worker_id: Optional[str]
    worker_pid: Optional[int]
    error_type: Optional[str]
    language: Optional[str] = _detail()
    required_resources: Optional[Dict[str, float]] = _detail()
    creation_time_ms: Optional[int] = _detail()
    start_time_ms: Optional[int] = _detail()
    end_time_ms: Optional[int] = _detail()
    events: Optional[List[Dict[str, Any]]] = _detail()
    error_message: Optional[str] = _detail()
    placement_group_id: Optional[str] = _detail()
    waits_for: Optional[str] = _detail()
    runtime_env_info: Optional[Dict[str, Any]] = _detail()
    call_site: Optional[str] = _detail()
    label_selector: Optional[Dict[str, str]] = _detail()
    fallback_strategy: Optional[Dict[str, Any]] = _detail()
    profiling_data: Optional[Dict[str, Any]] = _detail()
    task_log_info: Optional[Dict[str, Any]] = _detail()
    is_debugger_paused: Optional[bool] = _detail()


@dataclasses.dataclass
class ActorState(State):
    """An actor.  ``state``: PENDING_CREATION, ALIVE, RESTARTING or DEAD.  ``death_cause`` (detail): in words.  ``call_site`` and
    ``serialized_runtime_env`` (detail): as those of a task.  Ray's ``repr_name`` and ``fallback_strategy`` are always None, and no
    restart is counted as one of lineage or preemption.
    """

    actor_id: str
    class_name: str
    state: str
    job_id: str
    name: str
    node_id: Optional[str]
    pid: Optional[int]
    ray_namespace: str
    required_resources: Optional[Dict[str, float]] = _detail()
    death_cause: Optional[str] = _detail()
    is_detached: Optional[bool] = _detail()
    num_restarts: Optional[int] = _detail()
    num_pending_calls: Optional[int] = _detail()
    waits_for: Optional[str] = _detail()
    serialized_runtime_env: Optional[str] = _detail()
    placement_group_id: Optional[str] = _detail()
    call_site: Optional[str] = _detail()
    label_selector: Optional[Dict[str, str]] = _detail()
    fallback_strategy: Optional[Dict[str, Any]] = _detail()
    repr_name: Optional[str] = _detail()
    num_restarts_due_to_lineage_reconstruction: Optional[int] = _detail()
    num_restarts_due_to_node_preemption: Optional[int] = _detail()


@dataclasses.dataclass
class ObjectState(State):
    """An object and one of the processes that keep it: one row for each such process.

    ``object_size``: bytes, -1 while it is not made.  ``reference_type``: LOCAL_REFERENCE (the process has a reference),
    USED_BY_PENDING_TASK (an argument), CAPTURED_IN_OBJECT (another object has the reference inside), ACTOR_HANDLE, or
    UNKNOWN_STATUS.  ``call_site``: the function that makes it, "put" for what was put.
    ``is_pinned`` (detail): a reference was pickled by hand, so it stays until the session ends.  ``line`` (detail, with
    ``[sched] explain = true``): "file.py:17", where the program asked for it.
    """

    object_id: str
    object_size: int
    task_status: str
    reference_type: str
    call_site: str
    type: str
    pid: int
    ip: str = "127.0.0.1"
    where: Optional[str] = _detail()
    node_ids: Optional[List[str]] = _detail()
    num_holders: Optional[int] = _detail()
    is_pinned: Optional[bool] = _detail()
    line: Optional[str] = _detail()


@dataclasses.dataclass
class WorkerState(State):
    """A process that lives: the driver or a worker.  ``status`` (detail): starting, idle, busy, blocked, actor or retiring.
    ``start_time_ms`` (detail): ms since 1970.  What Ray tells of those that have ended is always None."""

    worker_id: str
    is_alive: bool
    worker_type: str
    node_id: str
    ip: str
    pid: int
    language: Optional[str] = _detail()
    status: Optional[str] = _detail()
    running: Optional[str] = _detail()
    start_time_ms: Optional[int] = _detail()
    end_time_ms: Optional[int] = _detail()
    exit_type: Optional[str] = _detail()
    exit_detail: Optional[str] = _detail()


@dataclasses.dataclass
class NodeState(State):
    """A logical node.  ``state``: ALIVE or DEAD, and ``state_message`` says why.  Resources in Ray's units, memory in bytes.  When it
    came and went is not known."""

    node_id: str
    node_ip: str
    is_head_node: bool
    state: str
    node_name: str
    resources_total: Dict[str, float]
    labels: Dict[str, str]
    resources_available: Optional[Dict[str, float]] = _detail()
    object_store: Optional[Dict[str, Any]] = _detail()
    state_message: Optional[str] = None
    start_time_ms: Optional[int] = _detail()
    end_time_ms: Optional[int] = _detail()


@dataclasses.dataclass
class PlacementGroupState(State):
    """A placement group.  ``state``: PENDING, CREATED, REMOVED or RESCHEDULING."""

    placement_group_id: str
    name: str
    creator_job_id: str
    state: str
    bundles: Optional[List[Dict[str, Any]]] = _detail()
    stats: Optional[Dict[str, Any]] = _detail()
    is_detached: Optional[bool] = _detail()
    topology_strategy: Optional[Dict[str, str]] = _detail()
    topology_assignments: Optional[Dict[str, str]] = _detail()


# ---- rows of the core as rows of Ray ---------------------------------------------------------------------------------

_TASK_STATES = {
    "args": "PENDING_ARGS_AVAIL", "order": "PENDING_ACTOR_TASK_ORDERING_OR_CONCURRENCY", "queued": "PENDING_NODE_ASSIGNMENT",
    "travel": "PENDING_ARGS_FETCH", "process": "PENDING_NODE_ASSIGNMENT", "sent": "SUBMITTED_TO_WORKER", "running": "RUNNING",
    "blocked": "RUNNING_IN_RAY_GET", "stopped": "STOPPED", "living": "FINISHED",
}
_TASK_KINDS = {"task": "NORMAL_TASK", "creation": "ACTOR_CREATION_TASK", "call": "ACTOR_TASK"}
_ERROR_TYPES = {
    "E_TASK": "TASK_EXECUTION_EXCEPTION", "E_CRASHED": "WORKER_DIED", "E_OOM": "OUT_OF_MEMORY", "E_CANCELLED": "TASK_CANCELLED",
    "E_ACTOR_DIED": "ACTOR_DIED", "E_ACTOR_UNAVAILABLE": "ACTOR_UNAVAILABLE", "E_LOST": "OBJECT_LOST", "E_FREED": "OBJECT_FREED",
    "E_OWNER_DIED": "OWNER_DIED", "E_NODE_DIED": "NODE_DIED", "E_UNSCHEDULABLE": "TASK_UNSCHEDULABLE_ERROR",
    "E_NOTFOUND": "OBJECT_LOST",
}
_ACTOR_STATES = {"pending": "PENDING_CREATION", "alive": "ALIVE", "restarting": "RESTARTING", "dead": "DEAD"}
_REFERENCES = {"task": "USED_BY_PENDING_TASK", "process": "LOCAL_REFERENCE", "object": "CAPTURED_IN_OBJECT",
               "stream": "LOCAL_REFERENCE", "code": "LOCAL_REFERENCE", "detached": "ACTOR_HANDLE"}


def _id(source: _desk.Source, kind: Any, number: str) -> Any:
    """The hex id of a number of the core; None for none."""
    found = int(number, 16)
    return kind.of(found, int(source.session["session"], 16)).hex() if found else None


def _node_id(source: _desk.Source, number: int) -> str:
    return node_hex(number, int(source.session["session"], 16))


def _worker_id(source: _desk.Source, number: int) -> str:
    return worker_hex(number, int(source.session["session"], 16))


def _job(source: _desk.Source) -> str:
    return source.session["session"][:8]


def _error_text(error: "Optional[Dict[str, Any]]") -> Optional[str]:
    """What the error says: the text of the core, or the traceback of a task in Python."""
    if error is None:
        return None
    if "text" in error:
        return error["text"]
    try:
        told = _core.decode_plain(error["format"], bytes.fromhex(error["bytes"]))
        return told[4] or told[3]
    except (ValueError, TypeError, IndexError):
        return "(the error was made by another version of miniray)"


def _selector(terms: "List[List[Any]]") -> Dict[str, str]:
    """The hard conditions on labels as Ray writes them: {"region": "eu", "tier": "!spot", "zone": "in(a,b)"}."""
    values: "Dict[Tuple[str, int], List[str]]" = {}
    for key, value, op, soft in terms:
        if not soft and op < 2:
            values.setdefault((key, op), []).append(value)
    return {key: ("!" if op else "") + (some[0] if len(some) == 1 else f"in({','.join(some)})") for (key, op), some in values.items()}


def _started_ms(pid: int) -> Optional[int]:
    """When a process of this machine began, in ms since 1970."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            ticks = int(file.read().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return None
    return int((time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")) * 1000)


def _task(source: _desk.Source, t: Dict[str, Any]) -> TaskState:
    over = t["phase"] == "over"
    failed = over and t["outcome"] != "OK"
    state = ("FAILED" if failed else "FINISHED") if over else _TASK_STATES[t["phase"]]
    ended = source.unix_ms(t["ended_at"])
    events = [{"state": name, "created_ms": source.unix_ms(t[point])} for name, point in (
        ("PENDING_ARGS_AVAIL", "submitted_at"), ("PENDING_NODE_ASSIGNMENT", "ready_at"), ("RUNNING", "started_at"),
        (state, "ended_at")) if t[point] >= 0]
    began = t["started_at"] >= 0 or t["phase"] == "sent"
    name = f"{t['name']}.__init__" if t["kind"] == "creation" else t["name"]
    env = _env.texts.get(t.get("env", 0))
    return TaskState(
        task_id=_id(source, TaskID, t["task"]), attempt_number=max(0, t["attempt"] - 1), name=name, state=state,
        job_id=_job(source), actor_id=_id(source, ActorID, t["task"] if t["kind"] == "creation" else t["actor"]),
        type=_TASK_KINDS[t["kind"]], func_or_class_name=name, parent_task_id=_id(source, TaskID, t["parent"]),
        node_id=_node_id(source, t["node"]) if began else None, worker_id=_worker_id(source, t["worker"]) if t["worker"] else None,
        worker_pid=t["pid"] or None, error_type=_ERROR_TYPES.get(t["outcome"], t["outcome"].removeprefix("E_")) if failed else None,
        language=t["lang"].upper(), required_resources=t.get("needs"), creation_time_ms=source.unix_ms(t["submitted_at"]),
        start_time_ms=source.unix_ms(t["started_at"]), end_time_ms=ended, events=events,
        error_message=(_error_text(t.get("error")) or t["outcome"]) if failed else None, waits_for=t.get("waits_for") or None,
        placement_group_id=_id(source, PlacementGroupID, t.get("group", "0")), call_site=t.get("line") or None,
        label_selector=_selector(t.get("terms", [])), runtime_env_info={"serialized_runtime_env": env} if env is not None else None)


def _actor(source: _desk.Source, a: Dict[str, Any]) -> ActorState:
    lives = a["state"] == "alive"
    return ActorState(
        actor_id=_id(source, ActorID, a["actor"]), class_name=a["class"], state=_ACTOR_STATES[a["state"]], job_id=_job(source),
        name=a["name"], node_id=_node_id(source, a["node"]) if lives else None, pid=a["pid"] or None, ray_namespace=a["namespace"],
        required_resources=a.get("needs"), is_detached=a["detached"], num_restarts=a["restarts"], num_pending_calls=a["pending"],
        death_cause=_error_text(a.get("error")) or a.get("death"), waits_for=a.get("waits_for"),
        placement_group_id=_id(source, PlacementGroupID, a.get("group", "0")), call_site=a.get("line") or None,
        label_selector=_selector(a.get("terms", [])), serialized_runtime_env=_env.texts.get(a.get("env", 0)),
        num_restarts_due_to_lineage_reconstruction=0, num_restarts_due_to_node_preemption=0)


def _objects(source: _desk.Source, o: Dict[str, Any]) -> List[ObjectState]:
    session = source.session
    rows: Dict[int, str] = {}
    for holder in o["held_by"]:
        pid = holder.get("pid", session["pid"])
        kind = "ACTOR_HANDLE" if o["actor"] and holder["kind"] == "process" else _REFERENCES[holder["kind"]]
        rows[pid] = kind if pid not in rows or kind == "USED_BY_PENDING_TASK" else rows[pid]
    status = {"pending": "PENDING_NODE_ASSIGNMENT", "sealed": "FINISHED"}.get(o["state"], "FAILED" if o["error"] else "NIL")
    return [ObjectState(
        object_id=session["session"] + o["object"] + "0" * 24, object_size=-1 if o["state"] == "pending" else o["size"],
        task_status=status, reference_type=kind, call_site=o["name"] or "put", is_pinned=o["pinned"], line=o["line"] or None, type="DRIVER" if pid == session["pid"] else "WORKER",
        pid=pid, where=o["where"] or None, node_ids=[_node_id(source, n) for n in range(64) if o["nodes"] >> n & 1],
        num_holders=o["holders"]) for pid, kind in (rows or {0: "UNKNOWN_STATUS"}).items()]


def _worker(source: _desk.Source, w: Dict[str, Any]) -> WorkerState:
    return WorkerState(worker_id=_worker_id(source, w["worker"]), is_alive=True, worker_type="WORKER", node_id=_node_id(source, w["node"]), ip="127.0.0.1",
                       pid=w["pid"], language=w["lang"].upper(), status=w["state"], running=w["name"] or None, start_time_ms=_started_ms(w["pid"]))


def _node(source: _desk.Source, n: Dict[str, Any]) -> NodeState:
    return NodeState(node_id=_node_id(source, n["node"]), node_ip="127.0.0.1", is_head_node=n["node"] == 0,
                     state="ALIVE" if n["alive"] else "DEAD", node_name=n["name"], resources_total=n["total"], labels=n["labels"],
                     resources_available=n["available"], state_message=None if n["alive"] else "removed from the session",
                     object_store={key: n[key] for key in ("store", "capacity", "used", "objects", "resident")})


def _group(source: _desk.Source, g: Dict[str, Any]) -> PlacementGroupState:
    bundles = [{"bundle_id": {"placement_group_id": _id(source, PlacementGroupID, g["group"]), "bundle_index": b["bundle"]}, "unit_resources": b["resources"],
                "node_id": None if b["node"] is None else _node_id(source, b["node"])} for b in g["bundles"]]
    return PlacementGroupState(
        placement_group_id=_id(source, PlacementGroupID, g["group"]), name=g["name"], creator_job_id=_job(source), state=g["state"],
        bundles=bundles, is_detached=False, stats={"strategy": g["strategy"], "unplaced_bundles": g["unplaced"]})


_TABLES: "Dict[type, Tuple[str, Callable[..., Any]]]" = {
    TaskState: ("tasks", _task), ActorState: ("actors", _actor), NodeState: ("nodes", _node),
    PlacementGroupState: ("placement_groups", _group),
}


_S = TypeVar("_S", bound=State)


def rows(source: _desk.Source, kind: Type[_S]) -> "List[_S]":
    """All rows of a kind, exact at the instant of the call."""
    made: List[Any] = []
    if kind is ObjectState:
        for row in source("objects"):
            made += _objects(source, row)
    elif kind is WorkerState:
        session = source.session
        made.append(WorkerState(_worker_id(source, 0), True, "DRIVER", _node_id(source, 0), "127.0.0.1", session["pid"], "PYTHON", "busy", None,
                                _started_ms(session["pid"])))
        made += [_worker(source, row) for row in source("workers") if row["pid"]]
    else:
        table, make = _TABLES[kind]
        made += [make(source, row) for row in source(table)]
    return made
