"""Progress bars of tasks and actors, shown by the driver: ``for x in miniray.util.progress.tqdm(items, desc="load"):``.

Each bar has a line of its own, however many processes work; where the driver's output is no terminal, a bar is one line
when it is closed.  Works in the driver too.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from typing import Any, Dict, Iterable, Iterator, Optional

from .. import _core
from .._output import PROGRESS

__all__ = ["tqdm"]

_numbers = itertools.count(1)


class tqdm:
    """A bar.  total: how many steps (default: of `iterable`, if it has a length).  Steps are told at most every
    flush_interval_s seconds."""

    def __init__(self, iterable: Optional[Iterable[Any]] = None, desc: Optional[str] = None, total: Optional[int] = None,
                 flush_interval_s: float = 0.1, **_others: Any):
        if total is None and iterable is not None and hasattr(iterable, "__len__"):
            total = len(iterable)  # type: ignore[arg-type]
        self._iterable = iterable
        self._key = f"{os.getpid()}-{next(_numbers)}"
        self._interval = flush_interval_s
        self._told = 0.0
        self.desc, self.total, self.n = desc or "", total, 0
        self.closed = False
        self.refresh()

    def update(self, n: int = 1) -> None:
        """n more steps are done."""
        self.n += n
        if time.monotonic() - self._told >= self._interval:
            self.refresh()

    def set_description(self, desc: str) -> None:
        """Another text in front of the bar."""
        self.desc = desc
        self.refresh()

    def refresh(self) -> None:
        """Tells the driver now."""
        self._told = time.monotonic()
        state = {"key": self._key, "desc": self.desc, "n": self.n, "total": self.total, "closed": self.closed}
        if _core.is_worker():
            sys.stdout.write(PROGRESS + json.dumps(state) + "\n")
            sys.stdout.flush()
        else:
            display().show(state, "")

    def close(self) -> None:
        """The bar is done."""
        if not self.closed:
            self.closed = True
            self.refresh()

    def __iter__(self) -> Iterator[Any]:
        if self._iterable is None:
            raise TypeError("this bar was made without an iterable: call update()")
        try:
            for item in self._iterable:
                yield item
                self.update()
        finally:
            self.close()

    def __enter__(self) -> "tqdm":
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()


class Display:
    """Draws bars: by rich on a terminal, else a line for each that is closed."""

    def __init__(self, console: Any = None):
        from rich.console import Console

        self._console = console or Console()
        self._bars: Dict[str, Any] = {}
        self._live: Any = None

    def show(self, state: Dict[str, Any], prefix: str) -> None:
        if not self._console.is_terminal:
            if state["closed"]:
                of = "" if state["total"] is None else f"/{state['total']}"
                sys.stdout.write(f"{prefix}{state['desc'] or 'progress'}: {state['n']}{of}\n")
                sys.stdout.flush()
            return
        if self._live is None:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._live = Progress(TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
                                  TimeRemainingColumn(), console=self._console)
            self._live.start()
        bar = self._bars.get(state["key"])
        if bar is None:
            bar = self._bars[state["key"]] = self._live.add_task("", total=state["total"])
        self._live.update(bar, description=prefix + state["desc"], completed=state["n"], total=state["total"])
        if state["closed"]:
            del self._bars[state["key"]]
            if not self._bars:
                self.finish()

    def finish(self) -> None:
        """Leaves the screen to others: what is drawn stays."""
        live, self._live = self._live, None
        self._bars.clear()
        if live is not None:
            live.stop()


_display: Optional[Display] = None


def display() -> Display:
    """The one of this process."""
    global _display
    if _display is None:
        _display = Display()
    return _display


def from_worker(pid: int, name: str, text: str) -> None:
    """A line that a bar in a worker printed."""
    display().show(json.loads(text[len(PROGRESS):]), f"({name} pid={pid}) " if name else f"(pid={pid}) ")


def session_ended() -> None:
    if _display is not None:
        _display.finish()
