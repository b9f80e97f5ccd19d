"""The documents that scripts make: what they say is what is there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

_REPO = Path(__file__).resolve().parents[2]


def _script(*command, python=sys.executable):
    return subprocess.run([python, *map(str, command)], capture_output=True, text=True, cwd=_REPO, timeout=120)


def test_every_public_name_is_documented_and_api_md_is_fresh():
    """A name without a docstring, a time without "seconds", a size without "bytes", or no word of what is raised."""
    done = _script("scripts/api_md.py", "--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_table_of_ray_names_is_true():
    done = _script("scripts/coming_from_ray.py", "--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_ray_names_are_those_of_ray():
    """Where Ray of the same version is installed (build/ray-venv, where `make bench` has it): the list is what it has."""
    python = _REPO / "build" / "ray-venv" / "bin" / "python"
    known = json.loads((_REPO / "docs" / "ray-core.json").read_text())
    version = _script("-c", "import ray; print(ray.__version__)", python=str(python)) if python.exists() else None
    if version is None or version.stdout.strip() != known["ray"]:
        pytest.skip(f"Ray {known['ray']} is not in build/ray-venv")
    assert json.loads(_script("scripts/ray_names.py", python=str(python)).stdout) == known
