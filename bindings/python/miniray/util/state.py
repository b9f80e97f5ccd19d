"""What the session is made of: tasks, actors, objects, workers, nodes, placement groups, as Ray's state API tells it.

``list_X`` gives all of a kind, ``get_X`` one by its id, ``summarize_X`` counts.  Names of states and fields are Ray's.
The answer is exact at the instant of the call, in the driver, in a worker, and in any other process of the same user
(``address=``, or the one session that runs on this machine).  Finished tasks are remembered too, the last
``[engine] history`` of them (10,000 unless set); errors of the last 1,024 that failed.

Every function here raises RayStateApiException for a filter on a field or predicate that does not exist, and
ConnectionError where no session (or more than one, without `address`) runs.
"""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any, Callable, Dict, List, Optional, Tuple, Type, TypeVar, Union

from .. import _core, _desk, _options, exceptions
from .._ids import ActorID, PlacementGroupID, TaskID, node_hex, worker_hex

__all__ = [
    "ActorState", "NodeState", "ObjectState", "PlacementGroupState", "RayStateApiException", "TaskState", "WorkerState",
    "get_actor", "get_node", "get_objects", "get_placement_group", "get_task", "get_worker", "list_actors", "list_nodes",
    "list_objects", "list_placement_groups", "list_tasks", "list_workers", "summarize_actors", "summarize_objects",
    "summarize_tasks", "why",
]

Filter = Tuple[str, str, Any]
_S = TypeVar("_S", bound="_State")


class RayStateApiException(exceptions.RayError):
    """A question to the state API that makes no sense: an unknown field, a predicate that is not = or !=."""


def _detail() -> Any:
    return dataclasses.field(default=None, metadata={"detail": True})


@dataclasses.dataclass
class _State:
    def asdict(self) -> Dict[str, Any]:
        """The fields as a dict."""
        return dataclasses.asdict(self)

    def __getitem__(self, key: str) -> Any:
        return getattr(self, key)

    def get(self, key: str, default: Any = None) -> Any:
        """The field `key`, or `default` where there is no such field."""
        return getattr(self, key, default)


@dataclasses.dataclass
class TaskState(_State):
    """One attempt of a task, a call of an actor, or the creation of one.  Times are ms since 1970.

    ``state``: PENDING_ARGS_AVAIL (an argument is not there yet), PENDING_NODE_ASSIGNMENT (waits for resources),
    PENDING_ARGS_FETCH (inputs travel), SUBMITTED_TO_WORKER, PENDING_ACTOR_TASK_ORDERING_OR_CONCURRENCY (waits for other
    calls, or for its actor), RUNNING, RUNNING_IN_RAY_GET (blocked in get or wait), STOPPED (preempted by the scheduling
    policy: it keeps its process and memory, and goes on when it is its turn), FINISHED, FAILED.
    ``waits_for`` (detail): what one that does not run waits for, in words.
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


@dataclasses.dataclass
class ActorState(_State):
    """An actor.  ``state``: PENDING_CREATION, ALIVE, RESTARTING or DEAD.  ``death_cause`` (detail): in words."""

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


@dataclasses.dataclass
class ObjectState(_State):
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
class WorkerState(_State):
    """A process: the driver or a worker.  ``status`` (detail): starting, idle, busy, blocked, actor or retiring."""

    worker_id: str
    is_alive: bool
    worker_type: str
    node_id: str
    ip: str
    pid: int
    language: Optional[str] = _detail()
    status: Optional[str] = _detail()
    running: Optional[str] = _detail()


@dataclasses.dataclass
class NodeState(_State):
    """A logical node.  ``state``: ALIVE or DEAD.  Resources in Ray's units, memory in bytes."""

    node_id: str
    node_ip: str
    is_head_node: bool
    state: str
    node_name: str
    resources_total: Dict[str, float]
    labels: Dict[str, str]
    resources_available: Optional[Dict[str, float]] = _detail()
    object_store: Optional[Dict[str, Any]] = _detail()


@dataclasses.dataclass
class PlacementGroupState(_State):
    """A placement group.  ``state``: PENDING, CREATED, REMOVED or RESCHEDULING."""

    placement_group_id: str
    name: str
    creator_job_id: str
    state: str
    bundles: Optional[List[Dict[str, Any]]] = _detail()
    stats: Optional[Dict[str, Any]] = _detail()


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


def _task(source: _desk.Source, t: Dict[str, Any]) -> TaskState:
    over = t["phase"] == "over"
    failed = over and t["outcome"] != "OK"
    state = ("FAILED" if failed else "FINISHED") if over else _TASK_STATES[t["phase"]]
    ended = source.unix_ms(t["ended_at"])
    events = [{"state": name, "created_ms": source.unix_ms(t[point])} for name, point in (
        ("PENDING_ARGS_AVAIL", "submitted_at"), ("PENDING_NODE_ASSIGNMENT", "ready_at"), ("RUNNING", "started_at"),
        (state, "ended_at")) if t[point] >= 0]
    began = t["started_at"] >= 0 or t["phase"] == "sent"
    return TaskState(
        task_id=_id(source, TaskID, t["task"]), attempt_number=max(0, t["attempt"] - 1), name=t["name"], state=state,
        job_id=_job(source), actor_id=_id(source, ActorID, t["task"] if t["kind"] == "creation" else t["actor"]),
        type=_TASK_KINDS[t["kind"]], func_or_class_name=t["name"], parent_task_id=_id(source, TaskID, t["parent"]),
        node_id=_node_id(source, t["node"]) if began else None, worker_id=_worker_id(source, t["worker"]) if t["worker"] else None,
        worker_pid=t["pid"] or None, error_type=_ERROR_TYPES.get(t["outcome"], t["outcome"].removeprefix("E_")) if failed else None,
        language=t["lang"].upper(), required_resources=t.get("needs"), creation_time_ms=source.unix_ms(t["submitted_at"]),
        start_time_ms=source.unix_ms(t["started_at"]), end_time_ms=ended, events=events,
        error_message=(_error_text(t.get("error")) or t["outcome"]) if failed else None, waits_for=t.get("waits_for") or None)


def _actor(source: _desk.Source, a: Dict[str, Any]) -> ActorState:
    lives = a["state"] == "alive"
    return ActorState(
        actor_id=_id(source, ActorID, a["actor"]), class_name=a["class"], state=_ACTOR_STATES[a["state"]], job_id=_job(source),
        name=a["name"], node_id=_node_id(source, a["node"]) if lives else None, pid=a["pid"] or None, ray_namespace=a["namespace"],
        required_resources=a.get("needs"), is_detached=a["detached"], num_restarts=a["restarts"], num_pending_calls=a["pending"],
        death_cause=_error_text(a.get("error")) or a.get("death"), waits_for=a.get("waits_for"))


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
                       pid=w["pid"], language=w["lang"].upper(), status=w["state"], running=w["name"] or None)


def _node(source: _desk.Source, n: Dict[str, Any]) -> NodeState:
    return NodeState(node_id=_node_id(source, n["node"]), node_ip="127.0.0.1", is_head_node=n["node"] == 0,
                     state="ALIVE" if n["alive"] else "DEAD", node_name=n["name"], resources_total=n["total"], labels=n["labels"],
                     resources_available=n["available"],
                     object_store={key: n[key] for key in ("store", "capacity", "used", "objects", "resident")})


def _group(source: _desk.Source, g: Dict[str, Any]) -> PlacementGroupState:
    bundles = [{"bundle_id": {"placement_group_id": _id(source, PlacementGroupID, g["group"]), "bundle_index": b["bundle"]}, "unit_resources": b["resources"],
                "node_id": None if b["node"] is None else _node_id(source, b["node"])} for b in g["bundles"]]
    return PlacementGroupState(
        placement_group_id=_id(source, PlacementGroupID, g["group"]), name=g["name"], creator_job_id=_job(source), state=g["state"],
        bundles=bundles, stats={"strategy": g["strategy"], "unplaced_bundles": g["unplaced"]})


def _rows(source: _desk.Source, kind: Type[_S]) -> "List[_S]":
    made: List[Any] = []
    if kind is ObjectState:
        for row in source("objects"):
            made += _objects(source, row)
    elif kind is WorkerState:
        session = source.session
        made.append(WorkerState(_worker_id(source, 0), True, "DRIVER", _node_id(source, 0), "127.0.0.1", session["pid"], "PYTHON", "busy", None))
        made += [_worker(source, row) for row in source("workers") if row["pid"]]
    else:
        table, make = _TABLES[kind]
        made += [make(source, row) for row in source(table)]
    return made


_TABLES: "Dict[type, Tuple[str, Callable[..., Any]]]" = {
    TaskState: ("tasks", _task), ActorState: ("actors", _actor), NodeState: ("nodes", _node),
    PlacementGroupState: ("placement_groups", _group),
}


# ---- filters ---------------------------------------------------------------------------------------------------------

def _plain(value: Any) -> Any:
    """Texts are compared without case, ids and numbers also when one side is a text."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return str(value).lower() if isinstance(value, (str, int, float)) else value


def _passes(row: _State, filters: List[Filter]) -> bool:
    return all((_plain(getattr(row, key)) == _plain(value)) == (predicate == "=") for key, predicate, value in filters)


def _check(kind: type, filters: Optional[List[Filter]]) -> List[Filter]:
    names = [f.name for f in dataclasses.fields(kind)]
    for one in filters or []:
        if not isinstance(one, (tuple, list)) or len(one) != 3:
            raise RayStateApiException(f"a filter is (field, \"=\" or \"!=\", value), not {one!r}")
        if one[0] not in names:
            raise RayStateApiException(f"{kind.__name__} has no field {one[0]!r}{_options.nearest(str(one[0]), names)}; "
                                       f"it has {', '.join(names)}")
        if one[1] not in ("=", "!="):
            raise RayStateApiException(f"the predicate of a filter is \"=\" or \"!=\", not {one[1]!r}")
    return [tuple(one) for one in filters or []]  # type: ignore[misc]


def _list(kind: Type[_S], address: Optional[str], filters: Optional[List[Filter]], limit: int, timeout: float,
          detail: bool) -> "List[_S]":
    checked = _check(kind, filters)
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise ValueError(f"limit is a positive number of rows, not {limit!r}")
    found = [row for row in _rows(_desk.Source(address, timeout), kind) if _passes(row, checked)]
    if len(found) > limit:
        warnings.warn(f"{len(found)} rows, of which limit={limit} are returned", RuntimeWarning, stacklevel=3)
        del found[limit:]
    if not detail:
        hidden = [f.name for f in dataclasses.fields(kind) if f.metadata.get("detail")]
        for row in found:
            for name in hidden:
                setattr(row, name, None)
    return found


def _one(kind: Type[_S], field: str, id: str, address: Optional[str], timeout: float) -> Optional[_S]:
    found = [row for row in _rows(_desk.Source(address, timeout), kind) if getattr(row, field) == id]
    return found[-1] if found else None


# ---- what is called ---------------------------------------------------------------------------------------------------

def list_tasks(address: Optional[str] = None, filters: Optional[List[Filter]] = None, limit: int = 100, timeout: float = 30,
               detail: bool = False, raise_on_missing_output: bool = True, _explain: bool = False) -> List[TaskState]:
    """All tasks, calls and creations of actors: those that live, and the last that ended.

    address: the session: see `miniray status`; None: this process's, or the one that runs.  filters: list of
    (field, "=" or "!=", value), all of which hold; texts are compared without case.  limit: most rows; a warning tells
    if there are more.  timeout: seconds to wait for the answer.  detail: fill the fields that are None otherwise.

    Raises RayStateApiException for a bad filter, ValueError for a bad limit, ConnectionError if no session answers.
    """
    return _list(TaskState, address, filters, limit, timeout, detail)


def list_actors(address: Optional[str] = None, filters: Optional[List[Filter]] = None, limit: int = 100, timeout: float = 30,
                detail: bool = False, raise_on_missing_output: bool = True, _explain: bool = False) -> List[ActorState]:
    """All actors, the dead too while somebody knows them.

    address: the session: see `miniray status`; None: this process's, or the one that runs.  filters: list of
    (field, "=" or "!=", value), all of which hold; texts are compared without case.  limit: most rows; a warning tells
    if there are more.  timeout: seconds to wait for the answer.  detail: fill the fields that are None otherwise.

    Raises RayStateApiException for a bad filter, ValueError for a bad limit, ConnectionError if no session answers.
    """
    return _list(ActorState, address, filters, limit, timeout, detail)


def list_objects(address: Optional[str] = None, filters: Optional[List[Filter]] = None, limit: int = 100, timeout: float = 30,
                 detail: bool = False, raise_on_missing_output: bool = True, _explain: bool = False) -> List[ObjectState]:
    """All objects, one row for each process that keeps one.

    address: the session: see `miniray status`; None: this process's, or the one that runs.  filters: list of
    (field, "=" or "!=", value), all of which hold; texts are compared without case.  limit: most rows; a warning tells
    if there are more.  timeout: seconds to wait for the answer.  detail: fill the fields that are None otherwise.

    Raises RayStateApiException for a bad filter, ValueError for a bad limit, ConnectionError if no session answers.
    """
    return _list(ObjectState, address, filters, limit, timeout, detail)


def list_workers(address: Optional[str] = None, filters: Optional[List[Filter]] = None, limit: int = 100, timeout: float = 30,
                 detail: bool = False, raise_on_missing_output: bool = True, _explain: bool = False) -> List[WorkerState]:
    """All processes: the driver and its workers.

    address: the session: see `miniray status`; None: this process's, or the one that runs.  filters: list of
    (field, "=" or "!=", value), all of which hold; texts are compared without case.  limit: most rows; a warning tells
    if there are more.  timeout: seconds to wait for the answer.  detail: fill the fields that are None otherwise.

    Raises RayStateApiException for a bad filter, ValueError for a bad limit, ConnectionError if no session answers.
    """
    return _list(WorkerState, address, filters, limit, timeout, detail)


def list_nodes(address: Optional[str] = None, filters: Optional[List[Filter]] = None, limit: int = 100, timeout: float = 30,
               detail: bool = False, raise_on_missing_output: bool = True, _explain: bool = False) -> List[NodeState]:
    """All logical nodes, removed ones too.

    address: the session: see `miniray status`; None: this process's, or the one that runs.  filters: list of
    (field, "=" or "!=", value), all of which hold; texts are compared without case.  limit: most rows; a warning tells
    if there are more.  timeout: seconds to wait for the answer.  detail: fill the fields that are None otherwise.

    Raises RayStateApiException for a bad filter, ValueError for a bad limit, ConnectionError if no session answers.
    """
    return _list(NodeState, address, filters, limit, timeout, detail)


def list_placement_groups(address: Optional[str] = None, filters: Optional[List[Filter]] = None, limit: int = 100, timeout: float = 30,
                          detail: bool = False, raise_on_missing_output: bool = True, _explain: bool = False) -> List[PlacementGroupState]:
    """All placement groups.

    address: the session: see `miniray status`; None: this process's, or the one that runs.  filters: list of
    (field, "=" or "!=", value), all of which hold; texts are compared without case.  limit: most rows; a warning tells
    if there are more.  timeout: seconds to wait for the answer.  detail: fill the fields that are None otherwise.

    Raises RayStateApiException for a bad filter, ValueError for a bad limit, ConnectionError if no session answers.
    """
    return _list(PlacementGroupState, address, filters, limit, timeout, detail)


def get_actor(id: str, address: Optional[str] = None, timeout: float = 30, _explain: bool = False) -> Optional[ActorState]:
    """The one with that ``actor_id``, in detail; None if there is none.

    address, timeout (seconds): as in list_actors.  Raises ConnectionError if no session answers.
    """
    return _one(ActorState, "actor_id", id, address, timeout)


def get_worker(id: str, address: Optional[str] = None, timeout: float = 30, _explain: bool = False) -> Optional[WorkerState]:
    """The one with that ``worker_id``, in detail; None if there is none.

    address, timeout (seconds): as in list_workers.  Raises ConnectionError if no session answers.
    """
    return _one(WorkerState, "worker_id", id, address, timeout)


def get_node(id: str, address: Optional[str] = None, timeout: float = 30, _explain: bool = False) -> Optional[NodeState]:
    """The one with that ``node_id``, in detail; None if there is none.

    address, timeout (seconds): as in list_nodes.  Raises ConnectionError if no session answers.
    """
    return _one(NodeState, "node_id", id, address, timeout)


def get_placement_group(id: str, address: Optional[str] = None, timeout: float = 30, _explain: bool = False) -> Optional[PlacementGroupState]:
    """The one with that ``placement_group_id``, in detail; None if there is none.

    address, timeout (seconds): as in list_placement_groups.  Raises ConnectionError if no session answers.
    """
    return _one(PlacementGroupState, "placement_group_id", id, address, timeout)


def get_task(id: "Union[str, _core.ObjectRef[Any]]", address: Optional[str] = None, timeout: float = 30,
             _explain: bool = False) -> Union[TaskState, List[TaskState], None]:
    """The task with that ``task_id``, or the one that makes the reference `id`, in detail; None if it is not known any more.

    address, timeout (seconds): as in list_tasks.  Raises ConnectionError if no session answers.
    """
    return _one(TaskState, "task_id", id.task_id().hex() if isinstance(id, _core.ObjectRef) else id, address, timeout)


def _number(source: _desk.Source, task: str) -> int:
    """The core's number of a task: a task_id, a number in hexadecimal, or the name of a function, whose newest task it is."""
    found = [int(row["task"], 16) for row in source("tasks") if row["name"] == task]
    if found:
        return max(found)
    try:
        return TaskID.from_hex(task).number if len(task) == 2 * TaskID.SIZE else int(task, 16)
    except ValueError:
        raise ValueError(f"no task is named {task!r}, and it is no id: `miniray list tasks` shows both") from None


def why(task: "Union[str, _core.ObjectRef[Any]]", address: Optional[str] = None, timeout: float = 30) -> str:
    """Why a task went where it went, and when, in words: when it became ready, what it waited for, who overtook it and why,
    why that worker.  With ``[sched] explain = true`` the decisions are known too, and which line of the policy made them.

    task: a reference that it makes, its task_id, or the name of a function, whose newest task is meant.  address, timeout
    (seconds): as in list_tasks.  Raises ValueError for a task that is not known (any more), ConnectionError if no session
    answers.
    """
    from .._why import words

    source = _desk.Source(address, timeout)
    number = task._id if isinstance(task, _core.ObjectRef) else _number(source, task)
    try:
        return words(source(f"why {number:x}"))
    except (KeyError, exceptions.RayError) as error:
        raise ValueError(str(error)) from None


def get_objects(id: str, address: Optional[str] = None, timeout: float = 30, _explain: bool = False) -> List[ObjectState]:
    """The rows of the object with that ``object_id`` (``ref.hex()``), in detail: one for each process that keeps it.

    address, timeout (seconds): as in list_objects.  Raises ConnectionError if no session answers.
    """
    return [row for row in _rows(_desk.Source(address, timeout), ObjectState) if row.object_id == id]


def _summary(groups: Dict[str, Any], **totals: Any) -> Dict[str, Any]:
    return {"cluster": {"summary": groups, **totals}}


def _count(counts: Dict[str, int], key: str) -> None:
    counts[key] = counts.get(key, 0) + 1


def summarize_tasks(address: Optional[str] = None, timeout: float = 30, raise_on_missing_output: bool = True,
                    _explain: bool = False) -> Dict[str, Any]:
    """How many tasks of each function are in which state: {"cluster": {"summary": {name: {"func_or_class_name", "type",
    "state_counts"}}, "total_tasks", "total_actor_tasks", "total_actor_scheduled"}}.

    address, timeout (seconds): as in list_tasks.  Raises ConnectionError if no session answers.
    """
    groups: Dict[str, Any] = {}
    totals: Dict[str, int] = {}
    for row in _rows(_desk.Source(address, timeout), TaskState):
        group = groups.setdefault(row.func_or_class_name, {"func_or_class_name": row.func_or_class_name, "type": row.type,
                                                           "state_counts": {}})
        _count(group["state_counts"], row.state)
        _count(totals, row.type)
    return _summary(groups, total_tasks=totals.get("NORMAL_TASK", 0), total_actor_tasks=totals.get("ACTOR_TASK", 0),
                    total_actor_scheduled=totals.get("ACTOR_CREATION_TASK", 0), summary_by="func_name")


def summarize_actors(address: Optional[str] = None, timeout: float = 30, raise_on_missing_output: bool = True,
                     _explain: bool = False) -> Dict[str, Any]:
    """How many actors of each class are in which state: {"cluster": {"summary": {class: {"class_name", "state_counts"}},
    "total_actors"}}.

    address, timeout (seconds): as in list_actors.  Raises ConnectionError if no session answers.
    """
    groups: Dict[str, Any] = {}
    rows = _rows(_desk.Source(address, timeout), ActorState)
    for row in rows:
        _count(groups.setdefault(row.class_name, {"class_name": row.class_name, "state_counts": {}})["state_counts"], row.state)
    return _summary(groups, total_actors=len(rows), summary_by="class")


def summarize_objects(address: Optional[str] = None, timeout: float = 30, raise_on_missing_output: bool = True,
                      _explain: bool = False) -> Dict[str, Any]:
    """How many objects each function made (or "put"), and their size in MB (2**20 bytes): {"cluster": {"summary": {maker:
    {"total_objects", "total_size_mb", "total_num_workers", "task_state_counts", "ref_type_counts"}}, "total_objects",
    "total_size_mb"}}.

    address, timeout (seconds): as in list_objects.  Raises ConnectionError if no session answers.
    """
    groups: Dict[str, Any] = {}
    pids: "Dict[str, set]" = {}
    sizes: Dict[str, int] = {}
    for row in _rows(_desk.Source(address, timeout), ObjectState):
        group = groups.setdefault(row.call_site, {"total_objects": 0, "total_size_mb": 0.0, "total_num_workers": 0,
                                                  "task_state_counts": {}, "ref_type_counts": {}})
        if row.object_id not in sizes:
            sizes[row.object_id] = max(0, row.object_size)
            group["total_objects"] += 1
            group["total_size_mb"] += max(0, row.object_size) / 2**20
            _count(group["task_state_counts"], row.task_status)
        _count(group["ref_type_counts"], row.reference_type)
        pids.setdefault(row.call_site, set()).add(row.pid)
    for name, group in groups.items():
        group["total_num_workers"] = len(pids[name])
    return _summary(groups, total_objects=len(sizes), total_size_mb=sum(sizes.values()) / 2**20, callsite_enabled=True,
                    summary_by="callsite")
