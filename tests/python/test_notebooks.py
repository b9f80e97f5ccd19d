"""The hand-outs as notebooks, run in a Jupyter kernel as a student would: `miniray lab start`, open handout.ipynb, run all cells."""

from __future__ import annotations

import asyncio
import html
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from miniray.lab import data

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

LABS = sorted(p.parent for p in (Path(__file__).resolve().parents[2] / "labs").glob("*/lab.ini"))
# A command that fails stops no notebook; here it does.
STRICT = """
_shell = get_ipython()
def _strict(command, _system=_shell.system):
    _system(command)
    assert _shell.user_ns["_exit_code"] == 0, command
_shell.system = _strict
"""


def reachable(command: str) -> bool:
    """Whether the public set that a command names, if any, can be had."""
    name = re.search(r"data:([a-z0-9-]+)", command)
    try:
        return not name or bool(data.fetch(name[1]))
    except data.AwayError as error:
        print(f"not run, no registry answers: {error}")
        return False


def executed(folder: Path, monkeypatch, *more: str):
    """The notebook of a lab with the outputs of all its cells, and of ``more`` at its end."""
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(folder.parent / name.lower()))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("MINIRAY_LABS", str(folder.parent))  # no solutions there
    book = nbformat.read(folder / "handout.ipynb", 4)
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.source = "\n".join(line for line in cell.source.splitlines() if not line.startswith("!") or reachable(line))
    book.cells = [nbformat.v4.new_code_cell(STRICT), *book.cells, *map(nbformat.v4.new_code_cell, more)]
    asyncio.run(nbclient.NotebookClient(book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).async_execute())
    return book


def said(cell) -> str:
    return "".join(o.get("text", "") for o in cell.get("outputs", ()) if o.output_type == "stream")


def pictures(cell) -> "list[str]":
    """What stands in the frames that a cell shows."""
    frames = [o.data["text/html"] for o in cell.outputs if o.output_type in ("execute_result", "display_data") and "text/html" in o.data]
    return [html.unescape(re.fullmatch(r'<iframe srcdoc="([^"]*)" style="[^"]*"></iframe>', frame)[1]) for frame in frames]


@pytest.mark.parametrize("lab", LABS, ids=lambda p: p.name)
def test_a_notebook_runs_in_a_kernel(lab, tmp_path, monkeypatch):
    folder = Path(shutil.copytree(lab, tmp_path / lab.name))
    more = ["from miniray.lab import compare\ncompare('gen:bag,tasks=9,seed=1', ['fifo', 'lpt'], nodes=1, cpus=2)"] if lab == LABS[0] else []
    book = executed(folder, monkeypatch, *more)
    codes = [c for c in book.cells if c.cell_type == "code"]
    for cell in codes:
        assert not re.search(r"not found|No such|Traceback|^miniray lab: |^Usage: ", said(cell), re.M), f"{cell.source}\n{said(cell)}"
        for line in cell.source.splitlines():
            assert not line.startswith("!") or line.startswith("!miniray ") and said(cell)
    shown = [page for cell in codes for page in pictures(cell)]
    assert len(shown) == 1 + len(more) and all(page.startswith("<!doctype html>") and '<canvas class="gantt"' in page for page in shown)
    assert "(the baseline)" in shown[0] and "starter" in shown[0]
