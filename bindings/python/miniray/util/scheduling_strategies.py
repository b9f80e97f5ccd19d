"""Where a task or actor may run: ``f.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False))``.

These cut the nodes that come into question; the session's policy chooses among those that are left.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple, Union

from .. import _core, exceptions
from .._ids import NO_NODE, NodeID, node_number
from .placement_group import PlacementGroup, check_placement_group_index

Condition = Tuple[str, str, int, bool]  # key, value, operator, soft


class NodeAffinitySchedulingStrategy:
    """On one node, by its NodeID (see miniray.nodes()).  soft: elsewhere when that node cannot; else an error when it is gone."""

    def __init__(self, node_id: str, soft: bool):
        try:
            NodeID.from_hex(str(node_id))
        except ValueError:
            raise ValueError(f"Invalid node_id {node_id!r}: it is a NodeID of miniray.nodes()") from None
        if not isinstance(soft, bool):
            raise TypeError(f"soft is a bool, not {type(soft)}")
        self.node_id = str(node_id)
        self.soft = soft

    def __repr__(self) -> str:
        return f"NodeAffinitySchedulingStrategy(node_id={self.node_id!r}, soft={self.soft})"

    def _define(self, made: Dict[str, Any]) -> None:
        made["schedule"] = _core.SCHEDULE_NODE
        made["node"] = node_number(self.node_id)
        if made["node"] == NO_NODE and not self.soft:
            raise exceptions.TaskUnschedulableError(f"{self!r}: no node of this session has that id; see miniray.nodes()")
        made["flags"] |= _core.DEF_SOFT_NODE if self.soft else 0


class PlacementGroupSchedulingStrategy:
    """In a placement group; its bundles give what the task needs.

    placement_group_bundle_index: in that bundle (-1: in any).  placement_group_capture_child_tasks: what it submits runs
    in the group too, unless that has a scheduling_strategy of its own.  placement_group None: in none, whatever who
    submits it is in.
    """

    def __init__(self, placement_group: Optional[PlacementGroup], placement_group_bundle_index: int = -1,
                 placement_group_capture_child_tasks: Optional[bool] = None):
        if placement_group is not None and not isinstance(placement_group, PlacementGroup):
            raise TypeError(f"placement_group is what placement_group() returned, or None, not {type(placement_group)}")
        check_placement_group_index(placement_group, placement_group_bundle_index)
        self.placement_group = placement_group
        self.placement_group_bundle_index = placement_group_bundle_index
        self.placement_group_capture_child_tasks = placement_group_capture_child_tasks

    def __repr__(self) -> str:
        return (f"PlacementGroupSchedulingStrategy({self.placement_group!r}, {self.placement_group_bundle_index}, "
                f"{self.placement_group_capture_child_tasks})")

    def _define(self, made: Dict[str, Any]) -> None:
        if self.placement_group is not None:
            self.placement_group._define(made, self.placement_group_bundle_index, self.placement_group_capture_child_tasks)


class _Operator:
    """What must hold of one label."""

    code = 0
    values: List[str] = [""]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.values)) if self.code < 2 else ''})"


class _OfValues(_Operator):
    def __init__(self, *values: str):
        if not values:
            raise ValueError(f"The variadic parameter of the {type(self).__name__} operator must be a non-empty tuple: "
                             f'e.g. {type(self).__name__}("value1", "value2").')
        for i, value in enumerate(values):
            if not isinstance(value, str):
                raise ValueError(f"Type of value in position {i} for the {type(self).__name__} operator must be str, "
                                 f"but got {value} of type {type(value)}.")
        self.values = list(values)


class In(_OfValues):
    """The node has the label, with one of these values."""

    code = 0


class NotIn(_OfValues):
    """The node does not have the label, or with none of these values."""

    code = 1


class Exists(_Operator):
    """The node has the label."""

    code = 2


class DoesNotExist(_Operator):
    """The node does not have the label."""

    code = 3


def _conditions(where: Any, what: str, soft: bool) -> List[Condition]:
    if where is None:
        return []
    if not isinstance(where, dict):
        raise ValueError(f'The {what} parameter must be a map (e.g. {{"key1": In("value1")}}) but got type {type(where)}.')
    out: List[Condition] = []
    for key, operator in where.items():
        if not isinstance(key, str):
            raise ValueError(f'The map key of the {what} parameter must be of type str (e.g. {{"key1": In("value1")}}) '
                             f"but got {key} of type {type(key)}.")
        if not isinstance(operator, _Operator):
            raise ValueError(f"The map value for key {key} of the {what} parameter must be one of the `In`, `NotIn`, `Exists` "
                             f'or `DoesNotExist` operator (e.g. {{"key1": In("value1")}}) but got {operator} of type '
                             f"{type(operator)}.")
        out += [(key, value, operator.code, soft) for value in operator.values]
    return out


class NodeLabelSchedulingStrategy:
    """On nodes by their labels: ``NodeLabelSchedulingStrategy({"region": In("eu"), "gpu": Exists()})``.

    hard: must hold; an error if no node has them.  soft: nodes where they hold too are tried first.
    """

    def __init__(self, hard: Optional[Dict[str, _Operator]], *, soft: Optional[Dict[str, _Operator]] = None):
        self._list = _conditions(hard, "hard", False) + _conditions(soft, "soft", True)
        if not self._list:
            raise ValueError("The `hard` and `soft` parameter of NodeLabelSchedulingStrategy cannot both be empty.")
        self.hard = dict(hard or {})
        self.soft = dict(soft or {})

    def __repr__(self) -> str:
        return f"NodeLabelSchedulingStrategy({self.hard!r}, soft={self.soft!r})"

    def _define(self, made: Dict[str, Any]) -> None:
        made["conditions"] = (made.get("conditions") or []) + self._list


SchedulingStrategyT = Union[None, str, PlacementGroupSchedulingStrategy, NodeAffinitySchedulingStrategy,
                            NodeLabelSchedulingStrategy]

__all__ = ["DoesNotExist", "Exists", "In", "NodeAffinitySchedulingStrategy", "NodeLabelSchedulingStrategy", "NotIn",
           "PlacementGroupSchedulingStrategy"]
