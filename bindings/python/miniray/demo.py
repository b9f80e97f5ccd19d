"""`miniray demo`: a map-reduce word count of the Python sources on this machine, under three policies and two stores,
and then on two logical nodes, where locality moves fewer bytes than FIFO.

Real input (tens of megabytes of source text), real workers, and an answer that can be checked: every run must count
exactly what one plain loop in one process counts.  Prints a table and writes a report with a Gantt picture per run.
"""

from __future__ import annotations

import itertools
import os
import re
import sys
import sysconfig
import time
import zlib
from collections import Counter
from pathlib import Path
from typing import Any, Iterator

import click

WORD = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*")
ENOUGH = 24_000_000  # bytes of input that make the runs worth looking at
BLOCK = 768 * 1024
REDUCES = 4
POLICIES = ("fifo", "locality", "shortest-first")
NODE_POLICIES = ("fifo", "locality")
STORES = ("store-mem", "store-shm")


def sources(enough: int = ENOUGH, most: int = 2 * ENOUGH) -> list[Path]:
    """The standard library's *.py files; if they are fewer than ``enough`` bytes, those of the installed packages too."""
    files: list[Path] = []
    total = 0
    for place in ("stdlib", "purelib", "platlib"):
        root = Path(sysconfig.get_path(place))
        for path in sorted(root.rglob("*.py")):
            inner = path.relative_to(root).parts
            if place == "stdlib" and inner and inner[0] in ("site-packages", "dist-packages"):
                continue
            if path in files or not path.is_file() or total >= most:
                continue
            files.append(path)
            total += path.stat().st_size
        if total >= enough:
            break
    return files


def blocks(files: list[Path], size: int = BLOCK) -> list[bytes]:
    """The texts in blocks of at least ``size`` bytes; a file is never cut, so no word is."""
    out, part, length = [], [], 0
    for path in files:
        text = path.read_bytes()
        part.append(text)
        length += len(text) + 1
        if length >= size:
            out.append(b"\n".join(part))
            part, length = [], 0
    if part:
        out.append(b"\n".join(part))
    return out


def count_block(block: bytes, parts: int) -> tuple[dict[bytes, int], ...]:
    """Map: counts the words of a block, split into ``parts`` by a hash that is the same in every process."""
    out: tuple[dict[bytes, int], ...] = tuple({} for _ in range(parts))
    for word, count in Counter(WORD.findall(block)).items():
        out[zlib.crc32(word) % parts][word] = count
    return out


def add_counts(*counts: dict[bytes, int]) -> dict[bytes, int]:
    """Reduce: adds the counts of one part over all blocks."""
    total: Counter[bytes] = Counter()
    for one in counts:
        total.update(one)
    return dict(total)


def plain_count(texts: list[bytes]) -> dict[bytes, int]:
    """The same in one process, without any of miniray: what the runs are checked against."""
    total: Counter[bytes] = Counter()
    for text in texts:
        total.update(WORD.findall(text))
    return dict(total)


def run_once(texts: list[bytes], policy: str, store: str, workers: int) -> tuple[dict[bytes, int], dict[str, Any], list[dict[str, Any]]]:
    """One run: (counts, figures, timeline).  Start and stop of the session are outside the time that is reported."""
    import miniray
    from miniray.lab import places

    plugin, file = places.policy_arguments(policy)
    chosen = {"policy": file} if file else {"sched": plugin}
    miniray.init(num_workers=workers, store=store, **chosen)
    try:
        count = miniray.remote(count_block).options(num_returns=REDUCES)
        add = miniray.remote(add_counts)
        begin = time.perf_counter()
        refs = [miniray.put(text) for text in texts]
        mapped = [count.remote(ref, REDUCES) for ref in refs]
        reduced = [add.remote(*(parts[r] for parts in mapped)) for r in range(REDUCES)]
        counts: dict[bytes, int] = {}
        for part in miniray.get(reduced):
            counts.update(part)
        wall = time.perf_counter() - begin
        timeline = miniray.timeline() or []
    finally:
        miniray.shutdown()
    tasks = len(texts) + REDUCES
    return counts, {"wall": wall, "tasks": tasks, "put": sum(map(len, texts))}, timeline


def load(paths: list[str]) -> bytes:
    """The task that makes a block where it runs: what the driver puts would all lie on one node."""
    return b"\n".join(Path(path).read_bytes() for path in paths)


def groups(files: list[Path], size: int = BLOCK) -> list[list[str]]:
    """The files of each block of blocks()."""
    out, part, length = [], [], 0
    for path in files:
        part.append(str(path))
        length += path.stat().st_size + 1
        if length >= size:
            out.append(part)
            part, length = [], 0
    return out + [part] if part else out


def run_on_nodes(parts: list[list[str]], policy: str, workers: int) -> tuple[dict[bytes, int], dict[str, Any], list[dict[str, Any]]]:
    """The word count on two logical nodes with half the workers each.  Tasks make the blocks, in turn on either node; the maps
    come largest block first, so that no order of nodes is built in.  ``moved``: bytes copied between the nodes for the count."""
    import miniray
    from miniray import _session
    from miniray.lab import places
    from miniray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    plugin, file = places.policy_arguments(policy)
    chosen = {"policy": file} if file else {"sched": plugin}
    half = max(1, workers // 2)
    miniray.init(nodes=[{"num_cpus": half, "name": name} for name in ("one", "two")], store="store-shm", **chosen)
    try:
        ids = [node["NodeID"] for node in miniray.nodes()]
        make, add = miniray.remote(load), miniray.remote(add_counts)
        count = miniray.remote(count_block).options(num_returns=REDUCES)
        texts = [make.options(scheduling_strategy=NodeAffinitySchedulingStrategy(ids[i % 2], soft=False)).remote(part)
                 for i, part in enumerate(parts)]
        miniray.wait(texts, num_returns=len(texts))
        size = [sum(os.path.getsize(path) for path in part) for part in parts]
        before = _session.state("stats")["moved_bytes"]
        begin = time.perf_counter()
        mapped = [count.remote(texts[i], REDUCES) for i in sorted(range(len(texts)), key=lambda i: -size[i])]
        reduced = [add.remote(*(one[r] for one in mapped)) for r in range(REDUCES)]
        counts: dict[bytes, int] = {}
        for part in miniray.get(reduced):
            counts.update(part)
        wall = time.perf_counter() - begin
        moved = _session.state("stats")["moved_bytes"] - before
        timeline = [task for task in miniray.timeline() or [] if task["fn"] != "load"]
    finally:
        miniray.shutdown()
    return counts, {"wall": wall, "tasks": len(parts) + REDUCES, "put": sum(size), "moved": moved}, timeline


def _runs_on_nodes(files: list[Path], workers: int, expected: dict[bytes, int]) -> Iterator[tuple[Any, bool]]:
    from miniray.lab.units import amount
    from miniray.lab.trace import Run, figures, normalise

    parts = groups(files)
    for policy in NODE_POLICIES:
        counts, facts, timeline = run_on_nodes(parts, policy, workers)
        tasks = normalise(timeline)
        summary = {**figures(tasks, 2 * max(1, workers // 2)), **facts}
        summary["columns"] = {"wall time": f"{facts['wall']:.2f} s", "tasks/s": f"{facts['tasks'] / facts['wall']:.0f}",
                              "put in store": amount(facts["put"]), "moved": amount(facts["moved"]),
                              "counts": "equal" if counts == expected else "WRONG"}
        yield Run(policy=policy, tasks=tasks, engine="process", store="store-shm", summary=summary,
                  label=f"{policy} · two nodes"), counts == expected


def _runs(texts: list[bytes], workers: int, expected: dict[bytes, int]) -> Iterator[tuple[Any, bool]]:
    from miniray.lab.units import amount
    from miniray.lab.trace import Run, figures, normalise

    for policy in POLICIES:
        for store in STORES:
            counts, facts, timeline = run_once(texts, policy, store, workers)
            tasks = normalise(timeline)
            summary = {**figures(tasks, workers), **facts}
            summary["columns"] = {"wall time": f"{facts['wall']:.2f} s", "tasks/s": f"{facts['tasks'] / facts['wall']:.0f}",
                                  "put in store": amount(facts["put"]), "moved": "–", "counts": "equal" if counts == expected else "WRONG"}
            yield Run(policy=policy, tasks=tasks, engine="process", store=store, summary=summary), counts == expected


@click.command()
@click.option("--workers", type=click.IntRange(1), help="Worker processes; as many as usable cores, two at least.")
@click.option("--html", default="miniray-demo.html", show_default=True, type=click.Path(dir_okay=False), help="Where the report goes.")
@click.option("--megabytes", type=click.FloatRange(0, min_open=True), help="Less input than there is, for a quick look.")
def demo(workers: int | None, html: str, megabytes: float | None) -> None:
    """Word count of the Python sources of this machine, under three policies and two stores."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from miniray.lab.report import write_report
    from miniray.lab.units import amount

    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    workers = workers or max(2, len(os.sched_getaffinity(0)))
    limit = int(megabytes * 1e6) if megabytes else 0
    files = sources(limit, limit) if limit else sources()
    texts = blocks(files)
    size = sum(map(len, texts))
    begin = time.perf_counter()
    expected = plain_count(texts)
    plain = time.perf_counter() - begin
    console.print(f"{len(files):,} Python files, {amount(size)}, {sum(expected.values()):,} words, {len(expected):,} different; "
                  f"a plain loop in one process: {plain:.2f} s", highlight=False, soft_wrap=True)
    shown = Table(title=f"word count with {workers} workers, {len(texts)} maps and {REDUCES} reduces", title_justify="left", box=SIMPLE_HEAD)
    shown.add_column("policy", style="bold", no_wrap=True)
    shown.add_column("store", no_wrap=True)
    for name in ("wall time", "tasks", "tasks/s", "stored", "moved"):
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("counts", no_wrap=True)
    runs, right = [], True
    moved: dict[str, int] = {}
    for run, equal in itertools.chain(_runs(texts, workers, expected), _runs_on_nodes(files, workers, expected)):
        s = run.summary
        if "moved" in s:
            moved[run.policy] = s["moved"]
        runs.append(run)
        right = right and equal
        shown.add_row(run.label or run.policy, run.store, f"{s['wall']:.2f} s", str(s["tasks"]), f"{s['tasks'] / s['wall']:.0f}", amount(s["put"]),
                      amount(s["moved"]) if "moved" in s else "–", "[green]equal[/green]" if equal else "[red]WRONG[/red]")
    console.print(shown)
    console.print(f"two nodes of {max(1, workers // 2)} CPU, blocks on both: {amount(moved['locality'])} moved between them under locality, "
                  f"{amount(moved['fifo'])} under fifo", highlight=False, soft_wrap=True)
    words = f"{sum(expected.values()):,} words of {len(files):,} Python files ({amount(size)}), {workers} workers; every run checked against a plain count"
    console.print(f"report: {write_report(html, runs, title='miniray demo: word count', subtitle=words)}", soft_wrap=True, highlight=False)
    if not right:
        console.print("[red]at least one run counted something else than the plain loop[/red]")
        sys.exit(1)


if __name__ == "__main__":
    demo()
