"""What a policy in Lua may use, read from miniray.d.lua: the types that editors show, made of the tables that register the API.

A type is a set of such names as "Task", "integer", "nil", '"the very text"'; the empty set is "not known".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, FrozenSet, List, Set, Tuple

Type = FrozenSet[str]
ANY: Type = frozenset()
LIBRARIES = ("string", "table", "math")
_TYPES = Path(__file__).parent.parent / "templates" / "policy" / "miniray.d.lua"


@dataclass
class Function:
    """A function of the API or a hook: what it is given, what it answers."""
    params: List[Tuple[str, Type]]
    returns: List[Type]


def split(text: str, by: str) -> List[str]:
    """`text` at each `by` that is not within brackets."""
    parts, depth = [""], 0
    for c in text:
        depth += (c in "(<[") - (c in ")>]")
        if c == by and depth == 0:
            parts.append("")
        else:
            parts[-1] += c
    return [part.strip() for part in parts if part.strip()]


def as_type(text: str) -> Type:
    """The type that is written so in miniray.d.lua."""
    if text.endswith("?"):
        return as_type(text[:-1]) | {"nil"}
    return ANY if text == "any" else frozenset(split(text, "|"))


def as_function(text: str) -> Function:
    """The function that is written ``fun(t: Task, w: Slot): number?``."""
    inside, _, returns = text[4:].rpartition(")")
    params = [(name.rstrip("?"), as_type(kind.strip()) | ({"nil"} if name.endswith("?") else ANY))
              for name, _, kind in (one.partition(":") for one in split(inside, ","))]
    return Function(params, [as_type(returns.lstrip(": "))] if returns else [])


class Api:
    """What miniray.d.lua says there is."""

    def __init__(self) -> None:
        text = _TYPES.read_text(encoding="utf-8")
        self.classes: Dict[str, Dict[str, Type]] = {}
        self.why_nil: Dict[Tuple[str, str], str] = {}
        self.hooks: Dict[str, Function] = {}
        self.functions: Dict[str, Function] = {}
        for name, body in re.findall(r"---@class (\w+)\n((?:---@field .*\n)+)", text):
            for one, optional, kind, why in re.findall(r"---@field (\w+)(\??) (.*?)(?: nil: (.*))?\n", body):
                if optional:
                    self.hooks[one] = as_function(kind)
                else:
                    self.classes.setdefault(name, {})[one] = as_type(kind)
                    self.why_nil[name, one] = why
        for tags, name in re.findall(r"((?:---.*\n)+)function (\w+)\(", text):
            params = [(one, as_type(kind) | ({"nil"} if optional else ANY)) for one, optional, kind in re.findall(r"@param (\w+)(\??) (.*)", tags)]
            self.functions[name] = Function(params, [as_type(kind) for kind in re.findall(r"@return (.*)", tags)])
        names: List[str] = re.findall(r'"([\w.]+)"', re.findall(r"---@alias Library (.*)", text)[0])
        self.library: Set[str] = set(names)
        self.units: List[str] = re.findall(r"^(\w+), (\w+), (\w+) =", text, re.M)[0]
        self.missing: Dict[str, str] = dict(re.findall(r"^-- (\w+) is not available: (.*)$", text, re.M))

    def globals(self) -> List[str]:
        return [*self.functions, *(n for n in self.library if "." not in n), *LIBRARIES, *self.units, "conf"]


def kinds(t: Type) -> Set[str]:
    """What Lua tells apart, nil left out: "number", "string", "table", "function", "boolean", or a kind of handle."""
    def kind(one: str) -> str:
        if one == "integer":
            return "number"
        if one.startswith('"'):
            return "string"
        if one.endswith("[]") or one.startswith("table<"):
            return "table"
        return "boolean" if one == "false" else "function" if one.startswith("fun(") else one
    return {kind(one) for one in t if one != "nil"}


def element(t: Type) -> Type:
    """Of an array, a table or an iterator: what is in it."""
    out: Set[str] = set()
    for one in t - {"nil"}:
        if one.endswith("[]"):
            out.add(one[:-2])
        elif one.startswith("table<"):
            out |= as_type(split(one[6:-1], ",")[1])
        elif one.startswith("fun(") and (made := as_function(one).returns):
            out |= made[0]
        else:
            return ANY
    return frozenset(out)


def shown(t: Type, nil: bool = False) -> str:
    """For a message: "a task", "a number or a string"; with `nil`, "a task, false or nil"."""
    names = [f"a{'n' if one == 'Edge' else ''} {one.lower()}" for one in sorted(kinds(t - {"false"}))] + [one for one in ("false", "nil") if one in t and (nil or one != "nil" or len(t) == 1)]
    return ", ".join(names[:-1]) + (" or " if names[1:] else "") + names[-1]
