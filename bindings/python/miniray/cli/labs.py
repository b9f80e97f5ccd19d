"""`miniray lab grade` and what belongs to the labs of a course."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import traceback
from typing import Any

import click

OURS = 3


def _ours(error: Exception) -> None:
    click.echo(f"miniray lab: {error}", err=True)
    raise SystemExit(OURS)


def _write(path: str, text: str) -> None:
    """All of it or, if this process is killed, nothing: what stood there before stays."""
    if os.path.exists(path) and not os.path.isfile(path):  # /dev/stdout, a pipe
        with open(path, "w", encoding="utf-8") as device:
            device.write(text)
        return
    path = os.path.realpath(path)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=os.path.dirname(path), prefix=".miniray-", delete=False) as new:
        new.write(text)
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(new.name, 0o666 & ~umask)
    os.replace(new.name, path)


class _Grade(click.Command):
    """Whoever calls it wrongly, or finds a fault in it, must not take that for a grade: statuses 1 and 2 are the hand-in's alone."""

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        try:
            return super().make_context(*args, **more)
        except click.UsageError as error:
            error.show()
            raise SystemExit(OURS) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("miniray lab: interrupted; there is no grade", err=True)
            raise SystemExit(130) from None
        except Exception as error:
            click.echo(traceback.format_exc(), err=True)
            _ours(error)


@click.command(cls=_Grade)
@click.argument("lab")
@click.argument("policy", type=click.Path())
@click.option("--format", "format_", type=click.Choice(["text", "junit", "gradescope"]), default="text", show_default=True)
@click.option("--out", type=click.Path(dir_okay=False), help="Writes the result there; without it, to the output.")
@click.option("--secret", type=click.Path(exists=True, dir_okay=False),
              help="File whose first line the hidden instances follow from; the teacher's. Else MINIRAY_LAB_SECRET; else a known one, for practice.")
@click.option("--solutions", type=click.Path(exists=True, file_okay=False), help="Folder of the reference solutions.")
@click.option("--public", is_flag=True, help="The public instances alone.")
def grade(lab: str, policy: str, format_: str, out: str | None, secret: str | None, solutions: str | None, public: bool) -> None:
    """Grades POLICY (a Lua file) on LAB: its number, its name, or its folder.

    The same policy gives the same bytes, on every machine.  Exit status: 0 passed, 1 below the threshold, 2 the policy
    failed (does not load, was ejected, held everything back), 3 the lab or this program is at fault."""
    from rich.console import Console
    from rich.progress import Progress

    from miniray.lab import grade as grading, labs
    from miniray.lab.grade_output import FORMATS, as_text

    try:
        asked = labs.load(lab, solutions)
        hidden = None if public or asked.solution is None else grading.read_secret(secret)
        with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
            bar = progress.add_task("runs", total=None)
            result = grading.grade(asked, policy, hidden, each=lambda: progress.advance(bar))
        text = FORMATS[format_](result)
        if out:
            _write(out, text)
    except (labs.LabError, OSError, ValueError, RuntimeError) as error:
        _ours(error)
    click.echo(as_text(result) if out else text, nl=False)
    raise SystemExit(result.status)


@click.command("labs")
def list_() -> None:
    """Lists the labs."""
    from miniray.lab import labs

    try:
        for name in labs.names():
            one = labs.load(name)
            click.echo(f"{name:<24} {one.title}")
    except labs.LabError as error:
        _ours(error)


@click.command("start")
@click.argument("lab")
@click.option("--into", type=click.Path(file_okay=False), default=".", show_default=True, help="Folder to put the lab's folder in.")
def start(lab: str, into: str) -> None:
    """Copies a lab's hand-out, starter policy and public instances, to work on."""
    from miniray.lab import labs

    try:
        source = labs.find(lab)
        target = os.path.join(into, source.resolve().name)
        if os.path.exists(target):
            raise labs.LabError(f"{target} exists already")
        shutil.copytree(source, target)
    except (labs.LabError, OSError) as error:
        _ours(error)
    click.echo(f"{target}: read README.md (or open handout.ipynb in Jupyter), change starter.lua, and try it with\n  cd {target}\n  miniray lab grade . starter.lua")


@click.command()
@click.argument("lab")
@click.option("--student", required=True, help="Any text, such as a name: the numbers of the question follow from it.")
@click.option("--answer", is_flag=True, help="Also the answer.")
def question(lab: str, student: str, answer: bool) -> None:
    """A small workload to schedule by hand, another one for each student; the answer only when asked for."""
    from miniray.lab import labs, question as questions

    try:
        click.echo(questions.ask(labs.load(lab), student, answer), nl=False)
    except (labs.LabError, ValueError, OSError, RuntimeError) as error:
        _ours(error)


@click.command()
@click.argument("lab")
@click.option("--solutions", type=click.Path(exists=True, file_okay=False), help="Folder of the reference solutions.")
def targets(lab: str, solutions: str | None) -> None:
    """For who writes a lab: runs baseline and reference on the public instances and writes targets.json, which stands in for
    the solution in the copies of students."""
    from miniray.lab import grade as grading, labs

    try:
        asked = labs.load(lab, solutions)
        if asked.solution is None:
            raise labs.LabError(f"{asked.name}: there is no solution; give --solutions")
        path = asked.folder / "targets.json"
        path.write_text(json.dumps(grading.targets(asked), indent=2) + "\n", encoding="utf-8")
    except (labs.LabError, OSError, ValueError, RuntimeError) as error:
        _ours(error)
    click.echo(f"wrote {path}")


@click.command()
@click.argument("lab")
@click.option("--secret", required=True, type=click.Path(exists=True, dir_okay=False), help="File whose first line the hidden instances follow from.")
@click.option("--out", default="autograder.zip", show_default=True, type=click.Path(dir_okay=False))
@click.option("--solutions", type=click.Path(exists=True, file_okay=False), help="Folder of the reference solutions.")
@click.option("--source", type=click.Path(exists=True, file_okay=False), help="A clone of miniray; without it, the one that the solution lies in.")
def autograder(lab: str, secret: str, out: str, solutions: str | None, source: str | None) -> None:
    """For who teaches: writes the archive to upload as the autograder of LAB to Gradescope.

    It holds the lab, its solution, the secret, and miniray's source, which is built there once."""
    from miniray.lab import autograder as archive, grade as grading, labs

    try:
        archive.write(out, labs.load(lab, solutions), grading.read_secret(secret), source)
    except (labs.LabError, OSError, ValueError) as error:
        _ours(error)
    click.echo(f"{out}: students hand in policy.lua, or one file NAME.lua; keep the archive to yourself, it holds the solution and the secret")


COMMANDS: tuple[Any, ...] = (grade, list_, start, question, targets, autograder)
