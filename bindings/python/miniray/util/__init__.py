"""What of ray.util is here."""

from __future__ import annotations

from typing import Any

from . import scheduling_strategies
from .placement_group import (get_current_placement_group, get_placement_group, placement_group, placement_group_table,
                              remove_placement_group)

__all__ = ["get_current_placement_group", "get_placement_group", "list_named_actors", "placement_group",
           "placement_group_table", "remove_placement_group", "scheduling_strategies"]


def list_named_actors(all_namespaces: bool = False) -> list:
    """The names of the living named actors of this namespace; all_namespaces: of all, as {"name", "namespace"}."""
    from .. import _session

    _session.ensure()
    named = [actor for actor in _session.state("actors") if actor.get("name") and actor["state"] != "dead"]
    if all_namespaces:
        return [{"name": actor["name"], "namespace": actor["namespace"]} for actor in named]
    return [actor["name"] for actor in named if actor["namespace"] == _session.namespace()]


def __getattr__(name: str) -> Any:
    raise AttributeError(f"module 'miniray.util' has no attribute {name!r}: ActorPool, Queue and the others of ray.util are not "
                         f"here; it has {', '.join(__all__)}")
