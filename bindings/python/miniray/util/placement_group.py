"""Placement groups: bundles of resources, reserved all at once, that tasks and actors then run in.

    group = placement_group([{"CPU": 1}, {"CPU": 1, "GPU": 1}], strategy="PACK")
    miniray.get(group.ready())
    f.options(scheduling_strategy=PlacementGroupSchedulingStrategy(group)).remote()
"""

from __future__ import annotations

import warnings
from typing import Any, Dict, List, Optional, Union

from .. import _api, _core, _options, _session, _wait
from .._function import RemoteFunction
from .._ids import PlacementGroupID, node_hex
from ..exceptions import StaleReferenceError, TaskPlacementGroupRemoved

_STRATEGIES = ("PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD")  # by the core's number


def _number(group: "PlacementGroup") -> int:
    """The core's number of a group of this session."""
    if group.id != PlacementGroupID.of(group.id.number):
        raise StaleReferenceError("this placement group belongs to an earlier session: make it again after init()")
    return group.id.number


def _give(group: "PlacementGroup") -> "PlacementGroup":
    return group


class PlacementGroup:
    """A handle of a placement group; may be passed to tasks.  ``id``: its PlacementGroupID."""

    def __init__(self, id: PlacementGroupID, bundle_cache: Optional[List[Dict[str, float]]] = None):
        self.id = id
        self.bundle_cache = bundle_cache

    @staticmethod
    def empty() -> "PlacementGroup":
        """The group that is none."""
        return PlacementGroup(PlacementGroupID.nil())

    @property
    def is_empty(self) -> bool:
        """Is it the group that is none?"""
        return self.id.is_nil()

    def ready(self) -> "_core.ObjectRef":
        """A reference that is ready when all bundles are reserved; its value is the group.

        TaskPlacementGroupRemoved, here or from get(), if the group is removed.
        """
        if self.is_empty:
            return _core.put(self)
        options = {"num_cpus": 0, "max_retries": -1, "name": "placement_group.ready", "placement_group": self}
        return RemoteFunction(_give, options).remote(self)

    def wait(self, timeout_seconds: Union[float, int] = 30) -> bool:
        """Waits until all bundles are reserved.  False: not within so many seconds, or the group was
        removed.  Raises StaleReferenceError for a group of an earlier session."""
        try:
            ref = self.ready()
            if not _wait.wait([ref], timeout=None if timeout_seconds < 0 else timeout_seconds)[0]:
                _api.cancel(ref)
                return False
            _core.get(ref)
        except TaskPlacementGroupRemoved:
            return False
        return True

    @property
    def bundle_specs(self) -> List[Dict[str, float]]:
        """What each bundle asks for: [{"CPU": 1.0}, ...]; memory in bytes."""
        if not self.bundle_cache:
            self.bundle_cache = list(placement_group_table(self)["bundles"].values())
        return self.bundle_cache

    @property
    def bundle_count(self) -> int:
        """How many bundles it was made with."""
        return len(self.bundle_specs)

    def _define(self, made: Dict[str, Any], bundle: int, capture: Optional[bool]) -> None:
        """What a definition says of the group that its tasks run in.  ValueError: there is no such bundle."""
        check_placement_group_index(self, bundle)
        if not self.is_empty:
            made["group"] = _number(self)
            made["bundle"] = bundle
            made["flags"] |= _core.DEF_CAPTURE if capture else 0

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, PlacementGroup) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"PlacementGroup({self.id.hex()}, {self.bundle_cache})"


def _check_bundles(bundles: Any) -> None:
    if not isinstance(bundles, list):
        raise ValueError(f"Placement group bundles must be a list, got {type(bundles)}.")
    if not bundles:
        raise ValueError("Bundles must be a non-empty list of resource dictionaries. For example: "
                         '`[{"CPU": 1.0}, {"GPU": 1.0}]`. Got empty list instead.')
    for bundle in bundles:
        if not isinstance(bundle, dict) or not all(
                isinstance(k, str) and isinstance(v, (int, float)) and not isinstance(v, bool) for k, v in bundle.items()):
            raise ValueError('Bundles must be a non-empty list of resource dictionaries. For example: '
                             '`[{"CPU": 1.0}, {"GPU": 1.0}]`.')
        if not any(bundle.values()):
            raise ValueError("Bundles cannot be an empty dictionary or resources with only 0 values. "
                             f"Bundles: {bundles}")
        for name, amount in bundle.items():
            (_options._memory if name in ("memory", "object_store_memory") else _options._amount)(name, amount)


def _amounts(bundle: Dict[str, float]) -> list:
    out = [(name, int(amount) if name == "memory" else _options._steps(amount))
           for name, amount in bundle.items() if name != "object_store_memory"]
    if len(out) < len(bundle):
        warnings.warn("'object_store_memory' of a bundle is not reserved: see [store] capacity", DeprecationWarning,
                      stacklevel=4)
    return out


def _selectors(selectors: Optional[List[Dict[str, str]]], n: int) -> List[Optional[tuple]]:
    """Conditions on labels, bundle by bundle, each ended by None; empty without selectors."""
    if not selectors:
        return []
    if not isinstance(selectors, list):
        raise ValueError(f"bundle_label_selector must be a list, got {type(selectors)}")
    if len(selectors) != n:
        raise ValueError(f"Invalid bundle label selector {selectors}. The length of `bundle_label_selector` ({len(selectors)}) "
                         f"must match the number of bundles ({n}); {{}} is for a bundle that may be anywhere.")
    out: List[Optional[tuple]] = []
    for selector in selectors:
        _options._labels("bundle_label_selector", selector)
        out += [(key, value, op) for key, value, op, _soft in _options._conditions(selector)]
        out.append(None)
    return out


def placement_group(bundles: List[Dict[str, float]], strategy: Optional[str] = None, name: str = "",
                    lifetime: Optional[str] = None, _soft_target_node_id: Optional[str] = None,
                    bundle_label_selector: Optional[List[Dict[str, str]]] = None,
                    topology_strategy: Optional[Dict[str, str]] = None) -> PlacementGroup:
    """Asks for a placement group and returns at once; it is placed when there is room for all of its bundles.

    bundles: [{"CPU": 1, "GPU": 0.5}, ...], each on one node.  strategy: "PACK" (the default: on few nodes), "SPREAD" (on
    many), "STRICT_PACK" (on one), "STRICT_SPREAD" (each on another).  name: for get_placement_group(), in this
    namespace.  lifetime: "detached" outlives the actor that makes it; else it ends with that actor.  A group made by a
    task or by the driver lives until it is removed, or the session ends.  bundle_label_selector: for each bundle what the
    labels of its node must be, {"zone": "a", "disk": "!hdd", "tier": "in(x,y)"}; {}: any node.

    ValueError: malformed, or the name is taken.  TaskUnschedulableError: the nodes could not hold it even if they were
    empty (with init(infeasible="wait") it waits for a node that can).
    """
    for given, what in ((_soft_target_node_id, "_soft_target_node_id"), (topology_strategy, "topology_strategy")):
        if given:
            raise ValueError(f"placement_group({what}=) is not supported: use bundle_label_selector, or custom resources in the bundles")
    strategy = "PACK" if strategy is None else strategy
    if strategy not in _STRATEGIES:
        raise ValueError(f"Invalid placement group strategy {strategy}. Supported strategies are: {_STRATEGIES}.")
    if lifetime not in (None, "detached"):
        raise ValueError(f"Placement group `lifetime` argument must be either `None` or 'detached'. Got {lifetime}.")
    if name is None:
        name = ""
    if not isinstance(name, str):
        raise TypeError(f"the name of a placement group is a str, not {type(name)}")
    _check_bundles(bundles)
    conditions = _selectors(bundle_label_selector, len(bundles))
    _session.ensure()
    made = _core.group_make([_amounts(bundle) for bundle in bundles], _STRATEGIES.index(strategy), name,
                            _session.namespace(), lifetime == "detached", conditions)
    return PlacementGroup(PlacementGroupID.of(made), [{k: float(v) for k, v in bundle.items()} for bundle in bundles])


def remove_placement_group(placement_group: PlacementGroup) -> None:
    """Gives the bundles back.  What runs in them is killed: its results raise TaskPlacementGroupRemoved, actors die."""
    if not isinstance(placement_group, PlacementGroup):
        raise TypeError(f"remove_placement_group() takes a PlacementGroup, not {type(placement_group)}")
    _session.ensure()
    _core.group_remove(_number(placement_group))


def get_placement_group(placement_group_name: str) -> PlacementGroup:
    """The group of that name in this namespace.  ValueError: there is none."""
    if not placement_group_name:
        raise ValueError("Please supply a non-empty value to get_placement_group")
    _session.ensure()
    return PlacementGroup(PlacementGroupID.of(_core.group_find(placement_group_name, _session.namespace())))


def get_current_placement_group() -> Optional[PlacementGroup]:
    """The group that this task or actor runs in; None in the driver and outside of groups."""
    _session.ensure()
    number = _core.group_current()[0] if _core.is_worker() else 0
    return PlacementGroup(PlacementGroupID.of(number)) if number else None


def _row(group: Dict[str, Any]) -> Dict[str, Any]:
    bundles = group["bundles"]
    return {
        "placement_group_id": PlacementGroupID.of(int(group["group"], 16)).hex(), "name": group["name"],
        "namespace": group["namespace"], "strategy": group["strategy"], "state": group["state"],
        "bundles": {i: {k: float(v) for k, v in bundle["resources"].items()} for i, bundle in enumerate(bundles)},
        "bundles_to_node_id": {i: node_hex(bundle["node"]) if bundle["node"] is not None else "" for i, bundle in enumerate(bundles)},
    }


def placement_group_table(placement_group: Optional[PlacementGroup] = None) -> dict:
    """What is known of a group, or of all by their hex id, removed ones too.

    Of each: placement_group_id, name, namespace, strategy, state (PENDING, CREATED, RESCHEDULING, REMOVED), bundles ({0:
    {"CPU": 1.0}}) and bundles_to_node_id ({0: the hex id of its node}; "" while it has none).  Of a group that is unknown: {}.
    """
    _session.ensure()
    rows = {row["placement_group_id"]: row for row in map(_row, _session.state("placement_groups"))}
    return rows if placement_group is None else rows.get(placement_group.id.hex(), {})


def check_placement_group_index(placement_group: Optional[PlacementGroup], bundle_index: int) -> None:
    """ValueError if there is no such bundle."""
    _options._typed("placement_group_bundle_index", bundle_index, (int,), "an int")
    if placement_group is None or placement_group.is_empty:
        if bundle_index != -1:
            raise ValueError("If placement group is not set, the value of bundle index must be -1.")
    elif bundle_index != -1 and not 0 <= bundle_index < placement_group.bundle_count:
        raise ValueError(f"placement group bundle index {bundle_index} is invalid. "
                         f"Valid placement group indexes: 0-{placement_group.bundle_count}")


__all__ = ["PlacementGroup", "PlacementGroupID", "get_current_placement_group", "get_placement_group", "placement_group",
           "placement_group_table", "remove_placement_group"]
