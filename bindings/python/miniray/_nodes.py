"""What a logical node is described by: the checks, and the two forms it is given to the core in."""

from __future__ import annotations

import json
import os
import re
from typing import Any, Dict, List, Optional, Tuple

from . import _core, _options

_KEYS = ("num_cpus", "num_gpus", "memory", "resources", "labels", "name")
_COUNTED = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}


def checked(node: Any, what: str, extra: Tuple[str, ...] = ()) -> Dict[str, Any]:
    """The description with wrong keys and amounts refused; None values are left out."""
    if not isinstance(node, dict):
        raise TypeError(f"{what} is a dict with {', '.join(_KEYS)}, not {type(node)}")
    keys = _KEYS + extra
    for key in node:
        if key not in keys:
            raise ValueError(f"{what}: {key!r} is not a resource of a node{_options.nearest(str(key), list(keys))}; "
                             f"it has {', '.join(keys)}")
    out = {key: value for key, value in node.items() if value is not None}
    for key in ("num_cpus", "num_gpus"):
        if key in out:
            _options._amount(key, out[key])
    for key in ("memory", "object_store_memory"):
        if key in out:
            _options._memory(key, out[key])
    for name in out.get("resources") or {}:
        if name in _COUNTED:
            raise ValueError(f"{what}: resources has {name!r}: give {_COUNTED[name]}=")
    if out.get("resources"):
        _options._resources("resources", out["resources"])
    if out.get("labels"):
        _options._labels("labels", out["labels"])
    if "name" in out and not (isinstance(out["name"], str) and re.fullmatch(r"[A-Za-z0-9_-]{1,48}", out["name"])):
        raise ValueError(f"{what}: a node's name is 1 to 48 letters, digits, - and _, not {out['name']!r}")
    return out


def label_text(labels: Dict[str, str]) -> str:
    """As the setting `labels` has it: key=value,key=value."""
    _options._labels("labels", labels)
    for key, value in labels.items():
        for text, most in ((key, "=, "), (value, ",")):
            if not text or len(text.encode()) > 31 or any(c in text for c in most):
                raise ValueError(f"labels: {text!r} must have 1 to 31 bytes, and none of {most!r}")
    return ",".join(f"{key}={value}" for key, value in labels.items())


def _text(value: float) -> str:
    return repr(int(value)) if float(value).is_integer() else repr(float(value))


def settings(nodes: List[Dict[str, Any]]) -> List[tuple]:
    """Overrides that make the session open with these nodes, in this order."""
    out: List[tuple] = []
    names = set()
    for i, node in enumerate(nodes):
        what = f"init(nodes=): nodes[{i}]"
        node = checked(node, what)
        name = node.get("name", f"node{i}")
        if name in names:
            raise ValueError(f"{what}: there is a node {name!r} already")
        names.add(name)
        section = f"node.{name}"
        cpus = node.get("num_cpus", len(os.sched_getaffinity(0)))
        out.append((section, "cpus", _text(cpus), what))
        if "num_gpus" in node:
            out.append((section, "gpus", _text(node["num_gpus"]), what))
        if "memory" in node:
            out.append((section, "memory", str(int(node["memory"])), what))
        if node.get("resources"):
            out.append((section, "resources", ",".join(f"{k}={_text(v)}" for k, v in node["resources"].items()), what))
        if node.get("labels"):
            out.append((section, "labels", label_text(node["labels"]), what))
    out.append(("engine", "add_nodes", "true", "init(nodes=)"))
    return out


def add(node: Dict[str, Any]) -> int:
    """Adds a node to the open session; its number."""
    unit = 10000
    amounts = [("CPU", round(node.get("num_cpus", 0) * unit)), ("GPU", round(node.get("num_gpus", 0) * unit))]
    amounts.append(("memory", int(node["memory"]) if "memory" in node else int(json.loads(_core.state("nodes"))[0]["total"]["memory"])))
    amounts += [(name, round(amount * unit)) for name, amount in (node.get("resources") or {}).items()]
    name: Optional[str] = node.get("name")
    return _core.node_add(name, amounts, list((node.get("labels") or {}).items()), int(node.get("object_store_memory", 0)))
