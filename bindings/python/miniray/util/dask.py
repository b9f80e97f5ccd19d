"""dask on miniray's workers: ``dask.compute(x, scheduler=miniray_dask_get)``, or ``enable_dask_on_miniray()`` once.

A task of the graph is a task here, and the references to its dependencies are its arguments: what one task makes for
another stays in the store.
"""

from __future__ import annotations

import graphlib
from collections.abc import Mapping
from typing import Any, Callable, Dict, Hashable, List, Tuple

import dask

try:
    from dask._task_spec import Alias, DataNode, convert_legacy_graph
except ImportError:
    raise ImportError(f"miniray.util.dask needs dask 2024.12 or later; this is {dask.__version__}") from None

from .. import _api, _core, _remote

__all__ = ["disable_dask_on_miniray", "disable_dask_on_ray", "enable_dask_on_miniray", "enable_dask_on_ray",
           "miniray_dask_get", "ray_dask_get"]

_Node = Tuple[Any, Tuple[Hashable, ...]]  # what is called with {key: value} of these dependencies


class _Constant:
    """A node that is a value already; a reference stands for its value."""

    def __init__(self, value: Any):
        self.value = value


def _nodes(graph: Mapping[Hashable, Any]) -> Dict[Hashable, _Node]:
    out: Dict[Hashable, _Node] = {}
    for key, node in convert_legacy_graph(graph).items():
        constant = isinstance(node, DataNode) and not isinstance(node, Alias)
        out[key] = (_Constant(node.value) if constant else node, tuple(node.dependencies))
    return out


@_remote.remote
def _run(node: Callable[[Mapping[Hashable, Any]], Any], keys: List[Hashable], *values: Any) -> Any:
    return node(dict(zip(keys, values)))


def _flat(keys: Any) -> List[Hashable]:
    return [x for k in keys for x in _flat(k)] if isinstance(keys, list) else [keys]


def _submit(nodes: Dict[Hashable, _Node], wanted: List[Hashable]) -> Dict[Hashable, Any]:
    """A reference for each key that `wanted` needs."""
    needed: Dict[Hashable, Tuple[Hashable, ...]] = {}
    left = list(wanted)
    while left:
        key = left.pop()
        if key not in needed:
            needed[key] = nodes[key][1]
            left += needed[key]
    refs: Dict[Hashable, Any] = {}
    for key in graphlib.TopologicalSorter(needed).static_order():
        node, keys = nodes[key]
        if isinstance(node, _Constant):
            refs[key] = node.value if isinstance(node.value, _core.ObjectRef) else _core.put(node.value)
        else:
            refs[key] = _run.remote(node, list(keys), *(refs[k] for k in keys))
    return refs


def miniray_dask_get(dsk: Any, keys: Any, **kwargs: Any) -> Any:
    """A dask scheduler function: the values of `keys` (a key, or nested lists of keys, as the answer is) of the graph `dsk`,
    {key: task}.  A reference in the place of a task stands for its value.

    ray_persist=True: references to the values instead.  The session's resources say how much runs at a time: num_workers
    is not looked at, and dask's callbacks are not called.  Raises what a task raised, and cancels the rest.
    """
    from .. import _session

    _session.ensure()
    wanted = _flat(keys)
    graph = dsk if isinstance(dsk, Mapping) else dsk.__dask_graph__()  # an expression of newer versions
    refs = _submit(_nodes(graph), wanted)
    if kwargs.get("ray_persist"):
        return _like(keys, refs)
    try:
        values = dict(zip(wanted, _core.get([refs[key] for key in wanted])))
    except BaseException:
        for ref in refs.values():
            _api.cancel(ref)
        raise
    return _like(keys, values)


def _like(keys: Any, values: Mapping[Hashable, Any]) -> Any:
    return tuple(_like(k, values) for k in keys) if isinstance(keys, list) else values[keys]


def enable_dask_on_miniray(**settings: Any) -> Any:
    """Makes miniray_dask_get dask's scheduler, until disable_dask_on_miniray() or the end of a `with` block over this."""
    return dask.config.set(scheduler=miniray_dask_get, **settings)


def disable_dask_on_miniray() -> Any:
    """Gives dask its own scheduler back."""
    return dask.config.set(scheduler=None)


ray_dask_get = miniray_dask_get
enable_dask_on_ray = enable_dask_on_miniray
disable_dask_on_ray = disable_dask_on_miniray
