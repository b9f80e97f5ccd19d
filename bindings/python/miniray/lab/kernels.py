"""Graphs of dense linear algebra over kernel times that somebody measured.

Knows one form of measured times: the performance models that StarPU writes, one file per kernel, in which a section per
device lists mean times (in microseconds) by the bytes that the kernel works on.
"""

from __future__ import annotations

import os
import re
from typing import Any

from .readers import ReadError

Line = dict[str, Any]

_DEVICE = re.compile(r"# Model for (cpu|cuda)(\d+)_impl0 ")
_ENTRY = re.compile(r"[0-9a-f]{8}\s+\d+\s")


def starpu_model(path: str | os.PathLike[str]) -> dict[str, dict[int, float]]:
    """Mean seconds of a kernel: by device (``cpu0``, ``cuda0``, ``cuda1``, ...), then by bytes."""
    path = os.fspath(path)
    found: dict[str, dict[int, float]] = {}
    device = ""
    with open(path, encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            match = _DEVICE.match(line)
            if match:
                device = match[1] + match[2]
            elif _ENTRY.match(line):
                columns = line.split()
                if not device or len(columns) != 8:
                    raise ReadError(f"{path}:{number}:1: expected 8 columns below a \"# Model for\" line, got {len(columns)}")
                try:
                    found.setdefault(device, {})[int(columns[1])] = float(columns[3]) / 1e6
                except ValueError:
                    raise ReadError(f"{path}:{number}:{line.index(columns[3]) + 1}: {columns[3]!r} is not a time") from None
    if not found:
        raise ReadError(f"{path}:1:1: this is no performance model of StarPU: no line \"# Model for ...\"")
    return found


def cholesky(paths: list[str], tiles: int = 10, tile: int = 960, cpus: int = 9, gpus: int = 3) -> list[Line]:
    """The tiled Cholesky factorisation of a matrix of ``tiles`` x ``tiles`` tiles of ``tile`` x ``tile`` floats.

    ``paths``: the models of the three kernels (factorise a diagonal tile, solve below it, update the rest).  The platform is
    what those models were measured on: ``cpus`` CPUs as one node, and each GPU as a node of its own with one slot.  A task says
    what it takes on each; copies between the memories cost nothing here."""
    if tiles < 1 or not 0 <= gpus <= 3 or cpus < 1:
        raise ValueError("at least one tile and one CPU, and at most three GPUs")
    bytes_of = 4 * int(tile) ** 2
    devices = ["cpu0", *(f"cuda{g}" for g in range(int(gpus)))]
    times: list[dict[str, float]] = []
    for path, parts in zip(paths, (1, 2, 3)):
        model = starpu_model(path)
        try:
            times.append({device: round(model[device][parts * bytes_of], 9) for device in devices})
        except KeyError as error:
            raise ReadError(f"{path}:1:1: nothing was measured for {error} of tiles of {tile}; sizes are "
                            f"{sorted({size for sizes in model.values() for size in sizes})}") from None
    nodes: list[Line] = [{"name": "cpu", "class": "cpu0", "cpus": int(cpus)}]
    nodes += [{"name": device, "class": device, "cpus": 1} for device in devices[1:]]
    lines: list[Line] = [{"platform": {"nodes": nodes, "bandwidth": 1e15, "latency": 0}}]
    last: dict[tuple[int, int], str] = {}

    def add(kind: int, name: str, out: tuple[int, int], *read: tuple[int, int]) -> None:
        deps = list(dict.fromkeys(last[at] for at in (*read, out) if at in last))
        lines.append({"id": name, "fn": ("factor", "solve", "update")[kind], "duration_s": times[kind], **({"deps": deps} if deps else {})})
        last[out] = name

    n = int(tiles)
    for k in range(n):
        add(0, f"factor{k}", (k, k))
        for m in range(k + 1, n):
            add(1, f"solve{m}_{k}", (m, k), (k, k))
        for i in range(k + 1, n):
            for j in range(k + 1, i + 1):
                add(2, f"update{i}_{j}_{k}", (i, j), (i, k), (j, k))
    return lines
