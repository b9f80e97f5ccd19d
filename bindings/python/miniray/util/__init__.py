"""What of ray.util is here."""

from __future__ import annotations

from typing import Any

from . import scheduling_strategies
from .actor_pool import ActorPool
from .check_serialize import inspect_serializability
from .helpers import (as_completed, deregister_serializer, disable_log_once_globally, enable_periodic_logging, log_once,
                      map_unordered, register_serializer)
from .placement_group import (get_current_placement_group, get_placement_group, placement_group, placement_group_table,
                              remove_placement_group)

__all__ = ["ActorPool", "as_completed", "deregister_serializer", "disable_log_once_globally", "enable_periodic_logging",
           "get_current_placement_group", "get_node_ip_address", "get_placement_group", "inspect_serializability",
           "list_named_actors", "log_once", "map_unordered", "register_serializer", "placement_group", "placement_group_table", "remove_placement_group", "scheduling_strategies"]


def list_named_actors(all_namespaces: bool = False) -> list:
    """The names of the living named actors of this namespace; all_namespaces: of all, as {"name", "namespace"}."""
    from .. import _session

    _session.ensure()
    named = [actor for actor in (_session.local.rows() if _session.local is not None else _session.state("actors")) if actor.get("name") and actor["state"] != "dead"]
    if all_namespaces:
        return [{"name": actor["name"], "namespace": actor["namespace"]} for actor in named]
    return [actor["name"] for actor in named if actor["namespace"] == _session.namespace()]


_HERE = {  # modules that are imported when they are first asked for
    "dask", "joblib", "multiprocessing", "progress", "queue", "state", "sync",
}


def get_node_ip_address() -> str:
    """The address of this node: there is one machine, and nothing of it listens on a network."""
    return "127.0.0.1"


def __getattr__(name: str) -> Any:
    if name in _HERE:
        import importlib

        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module 'miniray.util' has no attribute {name!r}; it has {', '.join(sorted({*__all__, *_HERE}))}")
