"""The dependence patterns of Task Bench (Slaughter et al., SC20): ``steps`` rows of ``width`` tasks, where a task waits for
some of the row before.  Which ones is the pattern; duration and bytes are the same for all, unless ``cv`` spreads them.

    trivial              none                     fft              itself and one 2^k away on each side, k by the step
    no_comm              itself                   tree             grows from one root: i // 2
    stencil_1d           itself and neighbours    nearest          ``radix`` around it
    stencil_1d_periodic  the same, in a ring      spread           ``radix``, evenly over the row, turning by one each step
    dom                  itself and the left one  random_nearest   of ``radix`` around it, each with probability ``fraction``
    all_to_all           the whole row
"""

from __future__ import annotations

import random
from typing import Callable

from .courses import Line, duration as _time

Before = Callable[[random.Random, int, int, int, int, float], "list[int]"]


def _ring(i: int, width: int, far: int) -> list[int]:
    return [(i + d) % width for d in range(-far, far + 1)]


def _near(i: int, width: int, radix: int) -> list[int]:
    left = i - radix // 2
    return [k for k in range(left, left + radix) if 0 <= k < width]


def _fft(step: int, i: int, width: int) -> list[int]:
    levels = max(1, (width - 1).bit_length())
    far = 1 << ((step - 1) % levels)
    return [k for k in (i - far, i, i + far) if 0 <= k < width]


def _spread(step: int, i: int, width: int, radix: int) -> list[int]:
    return sorted({(i + k * width // radix + (step if k else 0)) % width for k in range(min(radix, width))})


PATTERNS: dict[str, Before] = {  # (rng, step, i, width, radix, fraction) -> places of the row before
    "trivial": lambda rng, t, i, w, r, f: [],
    "no_comm": lambda rng, t, i, w, r, f: [i],
    "stencil_1d": lambda rng, t, i, w, r, f: [k for k in (i - 1, i, i + 1) if 0 <= k < w],
    "stencil_1d_periodic": lambda rng, t, i, w, r, f: _ring(i, w, 1),
    "dom": lambda rng, t, i, w, r, f: [k for k in (i - 1, i) if k >= 0],
    "tree": lambda rng, t, i, w, r, f: [i // 2 if 2 ** (t - 1) < w else i],
    "fft": lambda rng, t, i, w, r, f: _fft(t, i, w),
    "nearest": lambda rng, t, i, w, r, f: _near(i, w, r),
    "spread": lambda rng, t, i, w, r, f: _spread(t, i, w, r),
    "random_nearest": lambda rng, t, i, w, r, f: [k for k in _near(i, w, r) if k == i or rng.random() < f],
    "all_to_all": lambda rng, t, i, w, r, f: list(range(w)),
}


def width_at(pattern: str, step: int, width: int) -> int:
    """Tasks of a step: all, but for a tree, which grows."""
    return min(width, 2**step) if pattern == "tree" and step < 40 else width


def generator(pattern: str) -> Callable[..., list[Line]]:
    """The generator of one pattern, for `miniray.lab.workload.GENERATORS`."""
    before = PATTERNS[pattern]

    def make(rng: random.Random, width: int = 16, steps: int = 8, duration: float = 0.01, cv: float = 0.0, bytes: int = 0,
             radix: int = 5, fraction: float = 0.25) -> list[Line]:
        if width < 1 or steps < 1 or radix < 1:
            raise ValueError(f"{pattern}: width, steps and radix are at least 1")
        lines: list[Line] = []
        for t in range(int(steps)):
            for i in range(width_at(pattern, t, int(width))):
                task: Line = {"id": f"s{t}_{i}", "fn": pattern, "duration_s": _time(rng, duration, cv)}
                if bytes:
                    task["outputs"] = int(bytes)
                parents = [f"s{t - 1}_{k}" for k in dict.fromkeys(before(rng, t, i, int(width), int(radix), fraction))] if t else []
                if parents:
                    task["inputs" if bytes else "deps"] = parents
                lines.append(task)
        return lines

    make.__name__ = pattern
    make.__doc__ = f"Task Bench's pattern {pattern}."
    return make
