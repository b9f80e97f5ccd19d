"""`miniray lab duel` and `miniray lab tune`."""

from __future__ import annotations

import json
import os
from typing import Any

import click


def _refuse(error: Exception) -> None:
    click.echo(f"miniray lab: {error}", err=True)
    raise SystemExit(getattr(error, "status", 2))


def _progress(total: int) -> Any:
    from rich.console import Console
    from rich.progress import Progress

    progress = Progress(console=Console(stderr=True), transient=True)
    return progress, progress.add_task("runs", total=total)


@click.command()
@click.argument("a")
@click.argument("b")
@click.option("--steps", default=300, show_default=True, type=click.IntRange(1, 100000))
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@click.option("--tasks", default=8, show_default=True, type=click.IntRange(2, 100), help="To begin with; at most twice as many.")
@click.option("--processors", default=3, show_default=True, type=click.IntRange(1, 64))
@click.option("--unlike", is_flag=True, help="Processors are nodes of their own speeds, and edges carry bytes between them.")
@click.option("--metric", default="makespan_s", show_default=True)
@click.option("--out", type=click.Path(dir_okay=False), help="Writes the instance, a workload like any other.")
@click.option("--save", is_flag=True, help="Adds the instance as a `--- test` to A, which must be a policy file; it fails until A is as good as B there.")
@click.option("--json", "json_", type=click.Path(dir_okay=False), help="Writes the figures.")
def duel(a: str, b: str, steps: int, seed: int, tasks: int, processors: int, unlike: bool, metric: str, out: str | None,
         save: bool, json_: str | None) -> None:
    """Searches a small graph on which policy A is as bad as possible against policy B, and takes away what is not needed.

    Prints the instance as a `--- test` for the policy file of A.  Interrupted, it tells of the worst that was found, and ends with status 130."""
    from miniray.lab import duel as duels

    if save and not os.path.isfile(a):
        raise click.BadParameter(f"{a} is not a policy file to add a test to", param_hint="--save")
    if save and metric != "makespan_s":
        raise click.BadParameter("a test is about the makespan, so --metric has to be makespan_s", param_hint="--save")
    progress, bar = _progress(steps)
    try:
        with progress:
            found = duels.duel(a, b, steps=steps, seed=seed, tasks=tasks, processors=processors, metric=metric, unlike=unlike,
                               each=lambda best: progress.update(bar, advance=1, description=f"ratio {best.ratio:.3f}"))
        if out:
            duels.write(out, found, a, b, metric)
        if save and found.ratio > 1:
            with open(a, "a", encoding="utf-8") as file:
                file.write("\n" + found.as_test())
        if json_:
            with open(json_, "w", encoding="utf-8") as file:
                json.dump(duels.describe(found, a, b), file, indent=2)
                file.write("\n")
    except (RuntimeError, ValueError, OSError) as error:
        _refuse(error)
    click.echo(f"{metric}: {a} {found.a:g}, {b} {found.b:g}: ratio {found.ratio:.3f} on {len(found.graph.times)} tasks with "
               f"{len(found.graph.edges)} edges, {found.graph.processors} processors ({found.runs} pairs of runs)")
    if found.ratio <= 1:
        click.echo(f"nowhere was {a} worse than {b}: more --steps or another --seed may find something")
    elif save:
        click.echo(f"added to {a} as a test: miniray policy test {a}")
    elif metric == "makespan_s":
        click.echo(found.as_test(), nl=False)
    if found.interrupted:
        click.echo("miniray lab: interrupted; this is the worst found so far, and nothing was taken away from it", err=True)
        raise SystemExit(130)


@click.command()
@click.argument("policy", type=click.Path(exists=True, dir_okay=False))
@click.option("--workload", required=True, help="gen:KIND,KEY=VALUE,... without a seed.")
@click.option("--metric", default="makespan_s", show_default=True)
@click.option("--param", "params", multiple=True, metavar="'NAME LOW HIGH [log] [whole]'", help="Instead of what the policy declares.")
@click.option("--budget", default=40, show_default=True, type=click.IntRange(2, 10000), help="Points to try.")
@click.option("--seeds", default=4, show_default=True, type=click.IntRange(2, 1000), help="Instances to search on; as many others judge.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of the search itself.")
@click.option("--nodes", type=click.IntRange(1, 65535))
@click.option("--cpus", type=click.FloatRange(0, min_open=True))
@click.option("--know", metavar="K")
def tune(policy: str, workload: str, metric: str, params: tuple[str, ...], budget: int, seeds: int, seed: int, **how: Any) -> None:
    """Searches the parameters that POLICY declares (`--- tune delay 1ms 1s log`), and judges them on other instances.

    Interrupted, it judges the best of those tried so far, and ends with status 130."""
    from miniray.lab import tune as tuning
    from miniray.lab.units import show

    progress, bar = _progress((budget + 3) * seeds)
    try:
        searched = [tuning.parameter(p) for p in params] or tuning.declared(policy)
        with progress:
            found = tuning.tune(policy, workload, searched, metric=metric, budget=budget, seeds=seeds, seed=seed,
                                each=lambda: progress.advance(bar), **{k: v for k, v in how.items() if v})
    except (RuntimeError, ValueError, OSError) as error:
        _refuse(error)
    click.echo("best of those tried: " + ", ".join(f"{k} = {v}" for k, v in found.values.items()))
    click.echo(f"searched on: {metric} {show(metric, found.before)} as it is, {show(metric, found.after)} with them")
    difference = found.held_out
    half = f" ± {show(metric, difference.half)}" if difference.half is not None else ""
    sign = "+" if difference.mean > 0 else "-" if difference.mean < 0 else ""
    click.echo(f"on others: {show(metric, found.held_out_before)} as it is, {sign}{show(metric, abs(difference.mean))}{half} with them"
               + ("" if difference.sure else ": may be chance"))
    if found.interrupted:
        click.echo(f"miniray lab: interrupted after {found.tried} of {budget} points", err=True)
        raise SystemExit(130)


COMMANDS: tuple[Any, ...] = (duel, tune)
