"""The types that the package tells: right for itself, right for programs, and the same in stubs and at run time."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")

_REPO = Path(__file__).resolve().parents[2]
_PACKAGE = _REPO / "bindings" / "python" / "miniray"


def _run(tmp_path, *command):
    """mypy knows the package in the repository, or what is installed."""
    return subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, cwd=_REPO, timeout=300)


def test_the_package_is_typed(tmp_path):
    assert (_PACKAGE / "py.typed").exists()
    done = _run(tmp_path, "mypy", "--cache-dir", str(tmp_path), str(_PACKAGE))
    assert done.returncode == 0, done.stdout


def test_programs_are_understood(tmp_path):
    file = Path(__file__).parent / "typing" / "expected.py"
    done = _run(tmp_path, "mypy", "--cache-dir", str(tmp_path), str(file))
    told = {int(n): text for n, kind, text in re.findall(r"expected\.py:(\d+): (\w+): (.*)", done.stdout) if kind == "error"}
    lines = file.read_text().splitlines()
    wanted = {n for n, line in enumerate(lines, 1) if line.endswith("# wrong")}
    assert set(told) == wanted, done.stdout
    revealed = re.findall(r'Revealed type is "(.*)"', done.stdout)
    assert len(revealed) == 2, done.stdout
    function, handle = (text.replace("builtins.", "") for text in revealed)
    assert re.fullmatch(r"miniray\._function\.RemoteFunction\[\[a: int, b: int =\], miniray\._core\.ObjectRef\[float\]\]", function)
    assert re.fullmatch(r"miniray\._actor\.ActorHandle\[.*Counter\]", handle)


def test_stubs_say_what_is_there(tmp_path):
    config = tmp_path / "mypy.ini"
    config.write_text("[mypy]\nignore_missing_imports = true\n")
    done = subprocess.run([sys.executable, "-m", "mypy.stubtest", "miniray", "--mypy-config-file", str(config), "--ignore-disjoint-bases"],
                          capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stdout[-6000:]
