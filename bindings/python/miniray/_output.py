"""Shows what workers print on the driver's screen: with a prefix, through the driver's sys.stdout and sys.stderr.

A line that several processes print at the same time is shown once and counted.  Only equal lines are: one number that
differs keeps them apart, and what one process repeats by itself is all shown.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Callable, Dict, Optional, Set, Tuple

from . import _bars, _core

WINDOW = 1.0  # seconds


class _Seen:
    __slots__ = ("at", "pids", "last", "count")

    def __init__(self, at: float, pid: int):
        self.at, self.pids, self.last, self.count = at, {pid}, pid, 0


class Merger:
    """Decides which lines are shown.  show(text, is_stderr) is called for each, with its prefix and newline."""

    def __init__(self, show: Callable[[str, bool], None], clock: Callable[[], float] = time.monotonic):
        self._show, self._clock = show, clock
        self._seen: Dict[Tuple[str, bool, str], _Seen] = {}  # in the order in which they were first shown
        self._held: Set[Tuple[str, bool, str]] = set()

    def add(self, pid: int, is_stderr: bool, name: str, text: str) -> None:
        """One line, without its newline."""
        now = self._clock()
        self.flush(now)
        key = (name, is_stderr, text)
        seen = self._seen.get(key)
        if seen is None or seen.pids == {pid} or not text.strip():
            self._show(_line(pid, name, text), is_stderr)
            if seen is None and text.strip():
                self._seen[key] = _Seen(now, pid)
            return
        seen.pids.add(pid)
        seen.last = pid
        seen.count += 1
        self._held.add(key)

    def flush(self, now: Optional[float] = None) -> None:
        """Shows the counts of what was first seen WINDOW ago; of everything for None."""
        while self._seen:
            key = next(iter(self._seen))
            seen = self._seen[key]
            if now is not None and seen.at + WINDOW > now:
                return
            del self._seen[key]
            self._held.discard(key)
            if seen.count:
                name, is_stderr, text = key
                self._show(_line(seen.last, name, f"{text} [repeated {seen.count}x across {len(seen.pids)} processes]"), is_stderr)

    def wait(self) -> Optional[float]:
        """Seconds until a count is due; None: nothing is held back."""
        if not self._held:
            return None
        return max(0.0, min(self._seen[key].at for key in self._held) + WINDOW - self._clock())


def _line(pid: int, name: str, text: str) -> str:
    return f"({name} pid={pid}) {text}\n" if name else f"(pid={pid}) {text}\n"


def _show(line: str, is_stderr: bool) -> None:
    stream = sys.stderr if is_stderr else sys.stdout
    try:
        stream.write(line)
        stream.flush()
    except (ValueError, OSError, AttributeError):
        pass  # the program closed its own stream


def _main(merge: bool) -> None:
    merger = Merger(_show)
    while True:
        try:
            line = _core.output_next(merger.wait())
        except Exception:
            return  # the session broke; whoever waits is told
        if line is None:
            merger.flush()
            _bars.session_ended()
            return
        if line is False:
            merger.flush(time.monotonic())
        elif line[3].startswith(_bars.MARK):
            _bars.from_worker(line[0], line[2], line[3])
        elif merge:
            merger.add(*line)
        else:
            _show(_line(line[0], line[2], line[3]), line[1])


def start(merge: bool) -> threading.Thread:
    """The thread that shows lines until the session has ended."""
    thread = threading.Thread(target=_main, args=(merge,), name="miniray-output", daemon=True)
    thread.start()
    return thread
