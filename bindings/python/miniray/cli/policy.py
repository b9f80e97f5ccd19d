"""`miniray policy`: write, check, test, step and time a scheduling policy in Lua, and put one to work while a program runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import List, Optional

import click

from .plugins import tool

_PRINTED = 50  # lines of a test that are shown
_TEMPLATES = Path(__file__).parent.parent / "templates" / "policy"


def _file(policy: str) -> str:
    from miniray.lab import policy_tests

    try:
        return policy_tests.exists(policy)
    except (OSError, ValueError) as error:
        click.echo(f"miniray policy: {error}", err=True)
        raise SystemExit(2) from None


@click.group()
def policy() -> None:
    """Write, check, test, step and time a scheduling policy in Lua, and put one to work while a program runs."""


@policy.command()
@click.argument("name")
@click.option("--into", type=click.Path(file_okay=False), default=".", help="Folder to write it in.")
def new(name: str, into: str) -> None:
    """Writes NAME.lua, a policy with its tests to start from, and .luarc.json, which tells editors the types."""
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,40}", name):
        raise click.BadParameter(f"{name!r}: small letters, digits, '-' and '_', beginning with a letter", param_hint="NAME")
    target = Path(into) / f"{name}.lua"
    if target.exists():
        raise click.ClickException(f"{target} exists already")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text((_TEMPLATES / "policy.lua").read_text(encoding="utf-8").replace("@NAME@", name), encoding="utf-8")
    settings = target.parent / ".luarc.json"
    if not settings.exists():  # types and completion in every editor with the Lua language server
        left_out = {name: "disable" for name in ("coroutine", "debug", "io", "os", "package", "utf8")}
        settings.write_text(json.dumps({"runtime.version": "Lua 5.4", "runtime.builtin": left_out,
                                        "workspace.library": [str(_TEMPLATES)]}, indent=2) + "\n")
    click.echo(f"{target}: try it with\n  miniray policy test {target}\nand on real workers with\n"
               f"  miniray run --policy {target} SCRIPT.py")


@policy.command()
@click.argument("files", nargs=-1, required=True)
def check(files: "tuple[str, ...]") -> None:
    """Reads FILES for mistakes that need no run (names, fields, types, arguments, what may be nil), then runs the conformance suite
    of schedulers on each: answers, budget, deaths, swaps, nothing known.

    Exit status: 0 all is well (warnings may be told), 1 one does not load, has an error or fails a case, 2 there is no such file."""
    from miniray.lab import places, policy_lint, policy_tests

    own, bad = places.plugins(), 0
    paths = [_file(file) for file in files]
    for file, path in zip(files, paths):
        if why := policy_tests.load_error(path):
            click.echo(f"{file} does not load: {why}")
            bad = 1
            continue
        found = policy_lint.lint(Path(path).read_bytes())
        for one in found:
            click.echo(f"{file}:{one.line}: {'' if one.error else 'warning: '}{one.text}")
        if errors := sum(one.error for one in found):
            click.echo(f"{file}: {errors} error{'s' if errors > 1 else ''}; the cases are run when there is none")
            bad = 1
            continue
        command = [tool(), *(["--own", str(own)] if own else []), "--policy", path, "sched-lua"]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        lines = done.stdout.splitlines()
        failed = [line for line in lines if line.startswith("FAILED")]
        click.echo(f"{file}: {sum(line.startswith('ok ') for line in lines)} cases passed, {len(failed)} failed")
        for line in policy_tests.gathered(path, failed) or ([] if done.returncode == 0 else [done.stderr.strip() or done.stdout.strip()]):
            click.echo(f"  {line}")
        bad |= done.returncode != 0
    raise SystemExit(1 if bad else 0)


@policy.command()
@click.argument("file")
@click.option("--properties/--no-properties", default=True, show_default=True,
              help="Also the properties that every policy must keep, on six kinds of workloads.")
def test(file: str, properties: bool) -> None:
    """Runs the tests in the comments of FILE (blocks that begin with `--- test NAME`), in virtual time; what FILE prints meanwhile is
    shown.

    Exit status: 0 all passed, 1 one failed or FILE does not load, 2 a line of a test is not understood, or there is no such file."""
    from miniray.lab import policy_tests

    path = _file(file)
    try:
        tests = policy_tests.read(path)
    except (policy_tests.BadTest, OSError) as error:
        click.echo(f"miniray policy: {error}", err=True)
        raise SystemExit(2) from None
    if why := policy_tests.load_error(path):
        click.echo(f"{file} does not load: {why}")
        raise SystemExit(1)
    failed = 0
    for one in tests:
        problems, printed = policy_tests.judge(path, one)
        failed += _tell(one.name, problems)
        for line in printed[-_PRINTED:]:
            click.echo(f"       it printed: {line}")
    for name in policy_tests.PROPERTIES if properties else ():
        failed += _tell(name, policy_tests.gathered(path, policy_tests.property_failures(path, name)))
    total = len(tests) + (len(policy_tests.PROPERTIES) if properties else 0)
    click.echo(f"{total - failed} of {total} passed" + ("" if tests else f"; {file} has no `--- test` of its own"))
    raise SystemExit(1 if failed else 0)


def _simulator(policy: str) -> List[str]:
    """The simulator's command with that policy: a file, or the name of a shipped one."""
    from miniray.lab import places

    try:
        plugin, file = places.policy_arguments(policy)
        own = places.plugins()
        return [str(places.program()), *(["--plugins", str(own)] if own else []), *(["--sched", plugin] if plugin else []),
                *(["--policy", file] if file else [])]
    except (OSError, ValueError) as error:
        click.echo(f"miniray policy: {error}", err=True)
        raise SystemExit(2) from None


@policy.command()
@click.argument("policy")
@click.option("--workload", default="gen:randomdag,tasks=12", show_default=True, help="As in `miniray lab compare`.")
@click.option("--nodes", type=click.IntRange(1), default=1, show_default=True)
@click.option("--cpus", type=float, default=2, show_default=True, help="Of each node.")
@click.option("--know", default="exact", show_default=True, help="What the policy knows of durations.")
@click.option("--seed", default=0, show_default=True)
def repl(policy: str, workload: str, nodes: int, cpus: float, know: str, seed: int) -> None:
    """Steps a workload in virtual time by hand: look at queues and tasks, ask POLICY out of turn, load it anew.

    Commands are read from the standard input; `help` lists them."""
    import tempfile

    from miniray.lab import sources, workload as workloads

    command = _simulator(policy)
    try:
        lines = sources.resolve(workload, seed)
    except (OSError, ValueError) as error:
        click.echo(f"miniray policy: {error}", err=True)
        raise SystemExit(2) from None
    with tempfile.TemporaryDirectory(prefix="miniray-repl-") as folder:
        path = lines if isinstance(lines, str) else str(Path(folder) / "workload.jsonl")
        if not isinstance(lines, str):
            workloads.write(path, lines)
        raise SystemExit(subprocess.call([*command, "--repl", "--workload", path, "--nodes", str(nodes), "--cpus", f"{cpus:g}",
                                          "--know", know, "--seed", str(seed)]))


@policy.command()
@click.argument("policies", nargs=-1, required=True, metavar="POLICY...")
@click.option("--queued", default="1000,1000000", show_default=True, help="How many tasks wait meanwhile: sizes with ',' between.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def bench(policies: "tuple[str, ...]", queued: str, as_json: bool) -> None:
    """What a decision costs, in ns: the whole of it (a slot is free until the task is dispatched), and one call of each hook.

    `increasing` and `random` are ranks without a policy's own work: what control's queues cost.  Medians of wall time, the whole
    the least of five."""
    rows = []
    for one in policies:
        extra = ["--ranks", one] if one in ("increasing", "random") else []
        done = subprocess.run([*_simulator("fifo" if extra else one), *extra, "--bench", queued], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL)
        if done.returncode:
            said = done.stderr.strip() or f"miniray-sim ended with {done.returncode}"
            click.echo(said.replace("miniray-sim", "miniray policy"), err=True)
            raise SystemExit(2)
        rows += json.loads(done.stdout)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    hooks = sorted({hook for row in rows for hook in row["ops_ns"]})
    titles = ["policy", "queued", "decision", *hooks, "queue one", "bytes"]
    table = [[row["policy"], f"{row['queued']:,}", f"{row['decision_ns']:.0f} ns",
              *(f"{row['ops_ns'][hook]:.0f} ns" if hook in row["ops_ns"] else "-" for hook in hooks),
              f"{row['submit_ns']:.0f} ns", f"{row['bytes']:.0f}"] for row in rows]
    widths = [max(len(line[i]) for line in [titles, *table]) for i in range(len(titles))]
    for line in [titles, *table]:
        click.echo("  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(line, widths))))
    for row in rows:
        if row.get("ejected"):
            click.echo(f"{row['policy']} was ejected with {row['queued']:,} queued, the figures are FIFO's: {row['ejected']}")


@policy.command("set")
@click.argument("policy")
@click.option("--session", "--address", metavar="S", help="Which session: the first digits of its number, the pid of its driver, or "
              "its folder; needed when several run.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def set_(policy: str, session: Optional[str], as_json: bool) -> None:
    """Puts POLICY (a file, a shipped name, a plugin) to work in a program that runs, as miniray.set_policy() does.

    The queues are not a policy's, so nothing is lost: the new one is told what waits and runs as one batch.  The same file again loads
    it anew.

    Exit status: 0 it is at work, 1 it does not load (then the old one stays) or failed at once, 2 there is no such file or session."""
    from miniray import _desk
    from miniray.lab import places

    try:
        plugin, file = places.policy_arguments(policy)
        folder = _desk.choose(session)
        what = file or plugin or ""
        what = os.path.abspath(what) if "/" in what else what
        before, who = _desk.ask(folder, "stats"), _desk.ask(folder, "session")
    except (OSError, ValueError) as error:
        click.echo(f"miniray policy: {error}", err=True)
        raise SystemExit(2) from None
    where = f"session {who['session']} (driver pid {who['pid']})"
    try:
        told = _desk.ask(folder, f"policy {what}")
    except ValueError as error:
        click.echo(f"miniray policy: {error}\n{where} stays with {before['policy']}", err=True)
        raise SystemExit(1) from None
    if as_json:
        click.echo(json.dumps({**told, "was": before["policy"]}))
    elif told["degraded"]:
        click.echo(f"miniray policy: {told['policy']} failed at once, the order in {where} is FIFO: {told['degraded']}", err=True)
    else:
        waits = told["submitted"] - told["ready"] - told["running"] - told["stopped"]
        click.echo(f"{told['policy']} is at work in {where}, after {before['policy']}\n"
                   f"it was told of {told['submitted']} tasks: {waits} wait for arguments, {told['ready']} are ready, "
                   f"{told['running']} run, {told['stopped']} are stopped" + ("\nit took over what the one before had saved" if told["restored"] else ""))
    raise SystemExit(1 if told["degraded"] else 0)


def _tell(name: str, problems: List[str]) -> bool:
    click.echo(f"{'FAILED' if problems else 'ok    '} {name}")
    for problem in problems:
        click.echo(f"       {problem}")
    return bool(problems)
