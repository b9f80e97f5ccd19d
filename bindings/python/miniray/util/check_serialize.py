"""Why can this not be pickled?  ``miniray.util.inspect_serializability(thing)`` names what in it is to blame."""

from __future__ import annotations

from typing import Any, NamedTuple, Optional, Set, TextIO, Tuple

from .._blame import children, pickles, reduced

__all__ = ["FailureTuple", "inspect_serializability"]


class FailureTuple(NamedTuple):
    """One thing that cannot be pickled, what it is called where it was found, and what holds it."""

    obj: Any
    name: str
    parent: Any


def inspect_serializability(base_obj: Any, name: Optional[str] = None, depth: int = 3,
                            print_file: Optional[TextIO] = None) -> Tuple[bool, Set[FailureTuple]]:
    """(can it be pickled, what cannot).  Looks `depth` levels into closures, attributes, items; prints what it finds.

    print_file: where to, default: standard output.
    """
    def say(text: str) -> None:
        print(text, file=print_file)

    name = name or getattr(base_obj, "__qualname__", None) or type(base_obj).__name__
    say(f"Checking Serializability of {base_obj!r}")
    if pickles(base_obj) is None:
        say("It can be pickled.")
        return True, set()
    found: Set[FailureTuple] = set()

    def look(obj: Any, called: str, parent: Any, left: int, indent: str) -> None:
        why = pickles(obj)
        if why is None:
            return
        say(f"{indent}{called} ({type(obj).__name__}): {type(why).__name__}: {why}")
        before = len(found)
        for parts in (children, reduced) if left > 0 else ():
            for part, child in parts(obj) if len(found) == before else ():
                look(child, called + part, obj, left - 1, indent + "    ")
        if len(found) == before:
            try:
                found.add(FailureTuple(obj, called, parent))
            except TypeError:  # it has no hash
                found.add(FailureTuple(repr(obj), called, repr(parent)))

    look(base_obj, name, None, depth, "")
    say("To blame: " + ", ".join(sorted(f.name for f in found)))
    return False, found
