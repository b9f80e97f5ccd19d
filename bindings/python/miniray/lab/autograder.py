"""The archive that an instructor uploads to Gradescope: setup.sh, run_autograder, one lab with its solution, the secret, and miniray's
source, which setup.sh builds where the grading is done (a program that was built here need not run there)."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Iterator

from . import labs

# What scripts/build.sh needs of a clone.
_SOURCE = ("CMakeLists.txt", "pyproject.toml", "README.md", "LICENSE", "cmake", "core", "plugins", "bindings", "config", "labs", "scripts")
_NEVER = {"__pycache__", "solutions", "build", ".git"}

SETUP = """#!/usr/bin/env bash
# Run once, when the image is made: compiler and libraries by apt, then miniray into a Python environment of its own.
set -euo pipefail
cd "$(dirname "$0")/miniray"
bash scripts/bootstrap.sh
bash scripts/build.sh
"""

RUN = """#!/bin/sh
# Run for each hand-in, from /autograder.  Grades policy.lua, or the one .lua file that there is.
cd "$(dirname "$0")" || exit 3
hand_in=submission/policy.lua
set -- submission/*.lua
if [ ! -e "$hand_in" ] && [ $# = 1 ]; then hand_in=$1; fi
source/miniray/build/venv/bin/miniray lab grade source/labs/{name} "$hand_in" --secret source/secret.txt \\
    --format gradescope --out results/results.json
status=$?
if [ $status -gt 2 ]; then exit $status; fi  # our fault: there is no results.json, and Gradescope says so
"""


def _below(folder: Path) -> Iterator[Path]:
    """The files of a folder, in order, without what is built or must not be given away."""
    if folder.is_file():
        yield folder
        return
    for path in sorted(folder.iterdir()):
        if path.name not in _NEVER and path.suffix != ".pyc":
            yield from _below(path)


def source_of(lab: labs.Lab) -> Path | None:
    """The clone that the lab's solution lies in, if it does."""
    home = lab.solution.resolve().parents[3] if lab.solution else None
    return home if home and (home / "scripts" / "build.sh").is_file() else None


def write(path: str | os.PathLike[str], lab: labs.Lab, secret: str, source: str | os.PathLike[str] | None = None) -> None:
    """Writes the archive for one lab; the same lab gives the same bytes.  ``source``: a clone of miniray, if the lab is not in one.
    LabError if there is no solution, or no clone."""
    if lab.solution is None:
        raise labs.LabError(f"{lab.name}: there is no solution to grade against; give --solutions")
    home = Path(source) if source else source_of(lab)
    missing = [name for name in _SOURCE if home is None or not (home / name).exists()]
    if home is None or missing:
        raise labs.LabError(f"{home or lab.folder} is no clone of miniray{f' ({missing[0]} is not there)' if home else ''}: give --source, it goes into the archive")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        def put(name: str, data: bytes, mode: int = 0o644) -> None:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.external_attr, info.compress_type = (0o100000 | mode) << 16, zipfile.ZIP_DEFLATED
            archive.writestr(info, data)

        put("setup.sh", SETUP.encode(), 0o755)
        put("run_autograder", RUN.format(name=lab.name).encode(), 0o755)
        put("secret.txt", f"{secret}\n".encode())
        for file in _below(lab.folder):
            put(f"labs/{lab.name}/{file.relative_to(lab.folder).as_posix()}", file.read_bytes())
        put(f"labs/solutions/{lab.name}/reference.lua", lab.solution.read_bytes())
        for top in _SOURCE:
            for file in _below(home / top):
                put(f"miniray/{file.relative_to(home).as_posix()}", file.read_bytes(), 0o755 if os.access(file, os.X_OK) else 0o644)
