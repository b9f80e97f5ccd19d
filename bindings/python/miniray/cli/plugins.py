"""`miniray plugins` and `miniray new-plugin`: plugins are looked at by a separate program, since loading one runs it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import click

_PACKAGE = Path(os.path.abspath(__file__)).parent.parent


def tool() -> str:
    """The path of miniray-plugin-check."""
    for place in (os.environ.get("MINIRAY_BIN_DIR"), str(_PACKAGE / "bin")):
        if place and os.access(os.path.join(place, "miniray-plugin-check"), os.X_OK):
            return os.path.join(place, "miniray-plugin-check")
    found = shutil.which("miniray-plugin-check")
    if not found:
        click.echo(f"miniray plugins: miniray-plugin-check is not in {_PACKAGE / 'bin'}; reinstall miniray", err=True)
        raise SystemExit(2)
    return found


def _call(*arguments: str) -> None:
    own = _PACKAGE / "plugins"
    extra = ["--own", str(own)] if own.is_dir() else []
    raise SystemExit(subprocess.call([tool(), *extra, *arguments]))


@click.group()
def plugins() -> None:
    """Look at store and scheduler plugins."""


@plugins.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_(as_json: bool) -> None:
    """Every plugin on the search path."""
    _call("--list", *(["--json"] if as_json else []))


@plugins.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def describe(name: str, as_json: bool) -> None:
    """Kind, version, ops and configuration keys of the plugin NAME (or FILE.so)."""
    _call("--describe", *(["--json"] if as_json else []), name)


@plugins.command()
@click.argument("files", nargs=-1, required=True)
@click.option("--policy", type=click.Path(exists=True), help="The policy to run a scheduler that hosts one with.")
def check(files: "tuple[str, ...]", policy: "str | None") -> None:
    """Loads FILES in a child process and runs the conformance suite of their kind."""
    _call(*(["--policy", policy] if policy else []), *files)


@click.command("new-plugin")
@click.argument("kind", type=click.Choice(["store", "sched"]))
@click.argument("name")
@click.option("--into", type=click.Path(file_okay=False), default=".", help="Folder to write it in.")
def new_plugin(kind: str, name: str, into: str) -> None:
    """Writes a working plugin NAME with its CMakeLists.txt, to start from."""
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,40}", name):
        raise click.BadParameter(f"{name!r}: small letters, digits and '-', beginning with a letter", param_hint="NAME")
    target = Path(into) / name
    if target.exists():
        raise click.ClickException(f"{target} exists already")
    source = _PACKAGE / "templates" / kind
    identifier = name.replace("-", "_")
    target.mkdir(parents=True)
    for file in sorted(source.iterdir()):
        text = file.read_text(encoding="utf-8").replace("@NAME@", name).replace("@IDENT@", identifier)
        (target / file.name).write_text(text, encoding="utf-8")
    click.echo(f"{target}: build it with\n  cmake -S {target} -B {target}/build && cmake --build {target}/build\n"
               f"and look at it with\n  miniray plugins check {target}/build/{name}.so")
