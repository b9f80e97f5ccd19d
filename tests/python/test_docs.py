"""Every code block of README.md and docs/ does what it says: Python blocks run and print what follows them, INI files are
accepted, Lua policies schedule a workload and pass their own tests, plugins in C pass the conformance suite, and `miniray ...`
commands succeed."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(
    r"(?:<!-- (?P<mark>run|file|prints|skip)(?:: (?P<arg>[^>]*?))? -->\n)?```(?P<lang>\w*)\n(?P<text>.*?)```", re.S
)


def blocks(path: Path) -> list[dict[str, str]]:
    return [m.groupdict() for m in BLOCK.finditer(path.read_text())]


def documents() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def miniray(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return run([sys.executable, "-m", "miniray", *args], folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of what the documents' commands name, as seen from the root of a clone."""
    for name in ("examples", "config", "labs"):
        if (ROOT / name).exists():
            (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


@pytest.mark.parametrize("path", documents(), ids=lambda p: p.name)
def test_blocks(path: Path, folder: Path) -> None:
    printed: str | None = None
    for block in blocks(path):
        text = block["text"]
        if block["mark"] == "skip":
            continue
        if block["mark"] == "prints":
            assert printed is not None and printed.strip() == text.strip()
            continue
        if block["mark"] == "file":
            (folder / block["arg"]).write_text(text)
        if block["lang"] == "python":
            script = folder / "block.py"
            script.write_text(text)
            done = run([sys.executable, str(script)], folder)
            assert done.returncode == 0, done.stderr
            printed = done.stdout
        elif block["lang"] == "ini":
            done = miniray(folder, "config", "check", block["arg"])
            assert done.returncode == 0, done.stdout + done.stderr
        elif block["lang"] == "lua":
            done = miniray(folder, "lab", "compare", "--workload", "gen:poisson,tasks=40", "--policies", f"fifo,{block['arg']}")
            assert done.returncode == 0, done.stdout + done.stderr
            if "--- test" in text:
                done = miniray(folder, "policy", "test", "--no-properties", block["arg"])
                assert done.returncode == 0, done.stdout + done.stderr
        elif block["lang"] == "c" and block["mark"] == "file":
            name = block["arg"].removesuffix(".c")
            done = run(["cc", "-shared", "-fPIC", "-fvisibility=hidden", "-Wall", "-Werror", "-I", str(ROOT / "core" / "include"),
                        "-o", f"{name}.so", block["arg"]], folder)
            assert done.returncode == 0, done.stderr
            done = miniray(folder, "plugins", "check", f"./{name}.so")
            assert done.returncode == 0, done.stdout + done.stderr
        elif block["lang"] == "sh":
            for line in text.splitlines():
                command = shlex.split(line, comments=True)
                if command and command[0] == "miniray":
                    done = miniray(folder, *command[1:])
                    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"


def test_every_relative_link_leads_somewhere() -> None:
    for path in [*documents(), ROOT / "CONTRIBUTING.md", ROOT / "ABI.md"]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"
