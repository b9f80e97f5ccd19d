#!/usr/bin/env python3
"""Makes handout.ipynb of each lab out of its README.md: prose becomes Markdown cells, commands `!miniray ...` cells.  Before the questions
comes a picture of the starter on the first public instance.

Run it after a change of a README.md; a test compares."""

from __future__ import annotations

import configparser
import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"```(sh|python)\n(.*?)```\n?", re.S)
PICTURE = """## A picture
A policy on one of the public instances, beside the baseline. Move the mouse over a task, turn the wheel to zoom, choose what the colours mean;
run the cell again when you have changed the policy. The public instances: {names}.

```python
from miniray.lab import labs

labs.load(".").run("starter.lua", "{first}")
```

"""


def cell(kind: str, text: str, number: int) -> dict[str, Any]:
    more: dict[str, Any] = {"execution_count": None, "outputs": []} if kind == "code" else {}
    return {"cell_type": kind, "id": f"c{number}", "metadata": {}, "source": text.strip("\n").splitlines(keepends=True), **more}


def notebook(markdown: str) -> str:
    """The notebook as text, the same for the same Markdown."""
    cells, at = [], 0
    for block in BLOCK.finditer(markdown):
        if markdown[at:block.start()].strip():
            cells.append(cell("markdown", markdown[at:block.start()], len(cells)))
        lines = block[2].splitlines()
        code = [f"!{line}" if line.strip() else line for line in lines] if block[1] == "sh" else lines
        cells.append(cell("code", "\n".join(code), len(cells)))
        at = block.end()
    if markdown[at:].strip():
        cells.append(cell("markdown", markdown[at:], len(cells)))
    whole = {"cells": cells, "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
                                          "language_info": {"name": "python"}}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def of(folder: Path) -> str:
    """The notebook of a lab."""
    text, ini = (folder / "README.md").read_text(encoding="utf-8"), configparser.ConfigParser(interpolation=None)
    ini.read(folder / "lab.ini")
    names = list(ini["public"])
    at = text.rindex("## Questions")
    return notebook(text[:at] + PICTURE.format(names=", ".join(f"`{n}`" for n in names), first=names[0]) + text[at:])


def main() -> None:
    for readme in sorted(ROOT.glob("labs/[0-9]*/README.md")):
        (readme.parent / "handout.ipynb").write_text(of(readme.parent), encoding="utf-8")


if __name__ == "__main__":
    main()
