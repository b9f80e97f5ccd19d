#!/usr/bin/env python3
"""Writes docs/api.md from the docstrings of every public name.

    build/venv/bin/python scripts/api_md.py [--check]     # --check: name what is undocumented; exit 1 if the file is stale
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
import re
import sys
from pathlib import Path
from typing import Any, Iterator, List, Tuple

FILE = Path(__file__).resolve().parents[1] / "docs" / "api.md"
APART = ("cli", "demo", "lab", "templates")  # commands and their parts: `miniray --help` tells of them
SECONDS = re.compile(r"^(timeout|timeout_s|.*_seconds|.*_timeout|poll_s|interval)$")
BYTES = re.compile(r"^(memory|object_store_memory|capacity|nbytes|store_capacity)$")

Entry = Tuple[str, Any, int]  # "miniray.Executor.submit", the object, its depth below the module


def modules() -> List[Any]:
    """miniray and its public modules; the name alone of one that is for a library that is not installed."""
    import miniray

    names = ["miniray"] + sorted(
        info.name for info in pkgutil.walk_packages(miniray.__path__, "miniray.")
        if not any(part.startswith("_") or part in APART for part in info.name.split(".")[1:]))
    found = []
    for name in names:
        try:
            found.append(importlib.import_module(name))
        except ImportError as why:
            if why.name is not None and why.name.startswith("miniray"):
                raise
            found.append(name)
    return found


def _names(module: Any) -> List[str]:
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return sorted(listed)
    return sorted(n for n, value in vars(module).items()
                  if not n.startswith("_") and getattr(value, "__module__", None) == module.__name__)


def _members(cls: type) -> Iterator[Tuple[str, Any]]:
    for name, value in sorted(vars(cls).items()):
        plain = value.__func__ if isinstance(value, (staticmethod, classmethod)) else value
        if not name.startswith("_") and (callable(plain) or isinstance(value, property) or inspect.isdatadescriptor(value) and
                                         not inspect.ismemberdescriptor(value) and not inspect.isgetsetdescriptor(value)):
            yield name, value


def entries(module: Any, seen: "set[int]") -> Iterator[Entry]:
    """What is documented below a module: what another one had before is left out."""
    for name in _names(module):
        value = getattr(module, name)
        home = str(getattr(value, "__module__", "") or "")
        if inspect.ismodule(value) or not callable(value) or not home.startswith("miniray") or id(value) in seen:
            continue
        seen.add(id(value))
        yield f"{module.__name__}.{name}", value, 0
        if inspect.isclass(value):
            for member, of in _members(value):
                yield f"{module.__name__}.{name}.{member}", of, 1


def _plain(value: Any) -> Any:
    if isinstance(value, (staticmethod, classmethod)):
        return value.__func__
    return value.fget if isinstance(value, property) else value


def _doc(value: Any) -> str:
    plain = _plain(value)
    return inspect.cleandoc(plain.__doc__) if isinstance(getattr(plain, "__doc__", None), str) and plain.__doc__ else ""


def _signature(value: Any) -> str:
    if isinstance(value, property):
        return ""
    if inspect.isclass(value) and issubclass(value, BaseException):
        return ""
    try:
        text = str(inspect.signature(_plain(value)))
    except (TypeError, ValueError):
        return "(...)"
    return re.sub(r"^\((self|cls)(, |\))", lambda m: "(" if m[2] == ", " else "()", text)


def undocumented() -> List[str]:
    """Names without a docstring, and docstrings that leave out the unit of a time or size, or what is raised."""
    seen: "set[int]" = set()
    out = []
    for module in modules():
        if isinstance(module, str):
            continue
        if not module.__doc__:
            out.append(f"{module.__name__}: no docstring")
        for name, value, _depth in entries(module, seen):
            doc = _doc(value)
            if not doc:
                out.append(f"{name}: no docstring")
                continue
            if inspect.isclass(value) or isinstance(value, property):
                continue
            try:
                parameters = list(inspect.signature(_plain(value)).parameters)
            except (TypeError, ValueError):
                continue
            seconds = any(SECONDS.match(p) for p in parameters)
            sizes = any(BYTES.match(p) for p in parameters)
            if seconds and "second" not in doc:
                out.append(f"{name}: the docstring does not say that times are in seconds")
            if sizes and "byte" not in doc:
                out.append(f"{name}: the docstring does not say that sizes are in bytes")
            if (seconds or sizes) and not re.search(r"[Rr]aises|Error", doc):
                out.append(f"{name}: the docstring does not say what is raised")
    return out


def page() -> str:
    """The whole file."""
    seen: "set[int]" = set()
    out = ["# The Python API", "", "Made from the docstrings by `scripts/api_md.py`. Names and meaning are Ray's unless it says otherwise: "
           "[coming-from-ray.md](coming-from-ray.md) has the differences.", ""]
    old = re.split(r"^(?=## )", FILE.read_text() if FILE.exists() else "", flags=re.M)
    for module in modules():
        if isinstance(module, str):  # as it was made where it can be imported
            out += [part.rstrip() + "\n" for part in old if part.startswith(f"## {module}\n")]
            continue
        found = list(entries(module, seen))
        if not found:
            continue
        out += [f"## {module.__name__}", "", inspect.cleandoc(module.__doc__ or ""), ""]
        for name, value, depth in found:
            short = name[len(module.__name__) + 1:]
            kind = "class " if inspect.isclass(value) else ""
            out += [f"{'###' if depth == 0 else '####'} `{kind}{short}`", ""]
            signature = _signature(value)
            if signature:
                out += ["```text", f"{short}{signature}", "```", ""]
            out += [_doc(value), ""]
    return "\n".join(line.rstrip() for line in "\n".join(out).rstrip().splitlines()) + "\n"


def main() -> int:
    """Writes the file, or checks it."""
    made = page()
    if "--check" not in sys.argv[1:]:
        FILE.write_text(made)
        return 0
    missing = undocumented()
    for line in missing:
        print(line)
    old = FILE.read_text() if FILE.exists() else ""
    for line in difflib.unified_diff(old.splitlines(), made.splitlines(), "docs/api.md", "as it would be made", lineterm="", n=1):
        print(line)
    if old != made:
        print("run build/venv/bin/python scripts/api_md.py")
    return int(bool(missing) or old != made)


if __name__ == "__main__":
    sys.exit(main())
