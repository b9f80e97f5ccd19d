"""`miniray record`, `miniray replay` and `miniray calibrate`."""

from __future__ import annotations

import json
import os
from typing import Any, Optional

import click


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--out", default="run.jsonl", show_default=True, type=click.Path(dir_okay=False), help="The recording.")
@click.option("--policy", type=click.Path(exists=True, dir_okay=False, resolve_path=True), help="A policy in Lua.")
@click.option("--workers", metavar="N", type=click.IntRange(1), help="CPUs of the node.")
@click.argument("script", type=click.Path(exists=True, dir_okay=False))
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def record(ctx: click.Context, out: str, policy: Optional[str], workers: Optional[int], script: str, args: "tuple[str, ...]") -> None:
    """Runs SCRIPT on real workers and writes every event of its session to the recording."""
    from .run import run

    os.environ["MINIRAY_ENGINE_RECORD"] = os.path.abspath(out)
    try:
        ctx.invoke(run, config=None, store=None, sched=None, policy=policy, workers=workers, script=script, args=args)
    finally:
        os.environ.pop("MINIRAY_ENGINE_RECORD", None)
        if os.path.exists(out):
            click.echo(f"recording: {out}", err=True)


@click.command()
@click.argument("recording", type=click.Path(exists=True, dir_okay=False))
@click.option("--policy", "policies", multiple=True, help="fifo, locality, a Lua file, a shipped policy; may be repeated.")
@click.option("--policies", "listed", metavar="A,B,...", help="Several of them at once, with commas between them.")
@click.option("--runs", default=20, show_default=True, type=click.IntRange(0, 1000), help="Replays with durations off by up to 5%.")
@click.option("--know", default="learned", show_default=True)
@click.option("--config", type=click.Path(exists=True, dir_okay=False), help="Settings (INI), such as those that miniray calibrate writes.")
@click.option("--html", type=click.Path(dir_okay=False), help="Writes a report: the real run, and each replay.")
@click.option("--json", "json_", type=click.Path(dir_okay=False), help="Writes the figures.")
def replay(recording: str, policies: "tuple[str, ...]", listed: Optional[str], runs: int, know: str, config: Optional[str], html: Optional[str], json_: Optional[str]) -> None:
    """What if: a recorded run in virtual time, with the decisions that were made, and with each POLICY deciding again."""
    from rich.console import Console
    from rich.progress import Progress

    from miniray.lab import recording as recordings, replay as replaying, write_report
    from miniray.lab.units import seconds

    policies = (*policies, *(listed.split(",") if listed else ()))
    how: dict[str, Any] = {"know": know, **({"config": config} if config else {})}
    try:
        read = recordings.read(recording, switch_us=_switch_us(config))
        if len(read.real.tasks) == 0:
            raise ValueError(f"{recording}: no task ended in it")
        if not config:
            how["settings"] = {"sim.dispatch_us": round(read.dispatch_us)}
        again = replaying.forced(read, **how)
        with Progress(console=Console(stderr=True), transient=True) as progress:
            bar = progress.add_task("replays", total=len(policies) * runs)
            replays = {p: replaying.free(read, p, runs=runs, each=lambda: progress.advance(bar), **how) for p in policies}
    except (RuntimeError, ValueError, OSError, KeyError) as error:
        click.echo(f"miniray replay: {error}", err=True)
        raise SystemExit(getattr(error, "status", 2)) from None
    for note in read.notes:
        click.echo(f"note: {note}", err=True)
    real, simulated = read.makespan_s, recordings.span(again.tasks)
    click.echo(f"costs: those of {config}" if config else f"costs: not calibrated: {round(read.dispatch_us)} us from the end of a task to the start of the "
               "next, the mean in this recording; miniray calibrate measures this machine", err=True)
    error_of = simulated / real - 1 if real > 0 else 0.0
    figures: dict[str, Any] = {"tasks": len(read.real.tasks), "makespan_s": real, "forced_s": simulated, "calibrated": bool(config), "error": error_of, "policies": {}, "notes": read.notes}
    click.echo(f"{len(read.real.tasks)} tasks; makespan, first start to last end: measured {seconds(real)}, the same decisions simulated {seconds(simulated)} ({error_of:+.1%})")
    if again.summary.get("degraded"):
        click.echo(f"the recorded decisions could not be kept: {again.summary['ejected']}", err=True)
    for name, result in replays.items():
        span = recordings.span(result.run.tasks)
        line = f"{name}: {seconds(span)} ({span / real - 1:+.1%} against measured)"
        if result.spread:
            line += f"; with noise {seconds(min(result.spread))} to {seconds(max(result.spread))} in {len(result.spread)} replays"
        click.echo(line)
        figures["policies"][name] = {"makespan_s": span, "noisy_s": result.spread, "degraded": bool(result.run.summary.get("degraded"))}
    held = replaying.ranking(replays)
    if held:
        tau, pairs = held
        click.echo(f"the ranking under noise: Kendall's tau {tau:.2f} over the {pairs} pair{'s' * (pairs > 1)} of policies that differ by over 1% "
                   f"({'it holds' if tau > 0.8 else 'do not trust it'})")
        figures["tau"] = tau
    elif runs and len(replays) > 1:
        click.echo("no ranking: all of them are within 1% of each other")
    if json_:
        with open(json_, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=2)
            file.write("\n")
    if html:
        click.echo(f"report: {write_report(html, [read.real, again, *(r.run for r in replays.values())], title='miniray: a run and its replays', subtitle=recording)}")


def _switch_us(config: Optional[str]) -> float:
    """What the settings say that going on with a stopped task takes."""
    import configparser

    ini = configparser.ConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
    if config:
        ini.read(config, encoding="utf-8")
    return ini.getfloat("sim", "switch_us", fallback=0.0)


@click.command()
@click.option("--out", default="calibration.ini", show_default=True, type=click.Path(dir_okay=False))
@click.option("--tasks", default=2000, show_default=True, type=click.IntRange(10))
@click.option("--megabytes", default=64, show_default=True, type=click.IntRange(1, 1024))
def calibrate(out: str, tasks: int, megabytes: int) -> None:
    """Measures dispatch, calls, put, get and copies on this machine; writes settings for the simulator."""
    from miniray.lab import calibrate as calibration

    text = calibration.as_ini(calibration.measure(tasks, megabytes))
    with open(out, "w", encoding="utf-8") as file:
        file.write(text)
    click.echo(f"{text}written to {out}: use it with miniray replay --config {out}")
