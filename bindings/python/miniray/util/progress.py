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
from typing import Any, Iterable, Iterator, Optional

from .. import _bars, _core

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
            sys.stdout.write(_bars.MARK + json.dumps(state) + "\n")
            sys.stdout.flush()
        else:
            _bars.display().show(state, "")

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
