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
from typing import Any, Dict, List, Optional, Tuple, Type, TypeVar, Union

from .. import _core, _desk, _options, exceptions
from .._ids import TaskID
from .._state_rows import ActorState, NodeState, ObjectState, PlacementGroupState, State, TaskState, WorkerState, rows as _rows

__all__ = [
    "ActorState", "NodeState", "ObjectState", "PlacementGroupState", "RayStateApiException", "TaskState", "WorkerState",
    "get_actor", "get_node", "get_objects", "get_placement_group", "get_task", "get_worker", "list_actors", "list_nodes",
    "list_objects", "list_placement_groups", "list_tasks", "list_workers", "summarize_actors", "summarize_objects",
    "summarize_tasks", "why",
]

Filter = Tuple[str, str, Any]
_S = TypeVar("_S", bound=State)


class RayStateApiException(exceptions.RayError):
    """A question to the state API that makes no sense: an unknown field, a predicate that is not = or !=."""


# ---- filters ---------------------------------------------------------------------------------------------------------

def _plain(value: Any) -> Any:
    """Texts are compared without case, ids and numbers also when one side is a text."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return str(value).lower() if isinstance(value, (str, int, float)) else value


def _passes(row: State, filters: List[Filter]) -> bool:
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
