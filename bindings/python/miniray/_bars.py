"""The progress bars on the driver's screen: those of util.progress, in this process and in workers."""

from __future__ import annotations

import json
import sys
from typing import Any, Dict, Optional

MARK = "\x1emr-progress "  # begins a line that a bar in a worker prints


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
    display().show(json.loads(text[len(MARK):]), f"({name} pid={pid}) " if name else f"(pid={pid}) ")


def session_ended() -> None:
    """No bar is told of any more."""
    if _display is not None:
        _display.finish()
