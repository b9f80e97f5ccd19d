"""`miniray lab`: run and compare policies, in the simulator or on real workers."""

from __future__ import annotations

import json
from typing import Any

import click

from .lab_data import data as _data
from .lab_search import COMMANDS as _SEARCH
from .labs import COMMANDS as _LABS

GIVEN, OURS = 2, 3


def _fail(error: Exception) -> None:
    """Ends the command with the message alone: 2 for what the user gave, else the simulator's own status."""
    click.echo(f"miniray lab: {error}", err=True)
    raise SystemExit(getattr(error, "status", GIVEN))


def _print(table: Any) -> None:
    """A table on the screen, always as wide as it needs to be: a narrow terminal breaks lines, but no figure is cut."""
    from rich.console import Console
    from rich.measure import Measurement

    console = Console()
    console.width = max(console.width if console.is_terminal else 0, Measurement.get(console, console.options.update(width=1000), table).maximum)
    console.print(table)


def _settings(pairs: tuple[str, ...]) -> dict[str, str]:
    out = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or "." not in key:
            raise click.BadParameter(f"{pair!r}: expected SECTION.KEY=VALUE", param_hint="--set")
        out[key] = value
    return out


def _shared(command: Any) -> Any:
    """What `run` and `compare` have in common."""
    for option in reversed((
        click.option("--workload", required=True, metavar="FILE",
                     help="JSONL, WfFormat or SWF file, gen:KIND,KEY=VALUE,..., data:NAME or, on real workers, a driver script."),
        click.option("--platform", type=click.Path(exists=True, dir_okay=False), help="Simulated machines (JSON), in place of the workload's."),
        click.option("--nodes", type=click.IntRange(1, 65535), help="Simulated nodes, in place of the workload's platform."),
        click.option("--cpus", type=click.FloatRange(0, min_open=True), help="CPUs of each simulated node."),
        click.option("--know", metavar="K", help="What policies know of durations: nothing, learned, stated, noisy:S, exact."),
        click.option("--reveal", type=click.Choice(["whole", "unfold"]), help="The whole graph at once, or as parents end."),
        click.option("--config", type=click.Path(exists=True, dir_okay=False), help="Settings (INI)."),
        click.option("--set", "settings", multiple=True, metavar="SECTION.KEY=VALUE", help="One more setting; may be repeated."),
        click.option("--html", "html", type=click.Path(dir_okay=False), help="Writes a report with a Gantt picture per run."),
        click.option("--json", "json_", type=click.Path(dir_okay=False, allow_dash=True), help="Writes the figures."),
    )):
        command = option(command)
    return command


def _sim_options(nodes: Any, cpus: Any, platform: Any, know: Any, reveal: Any, config: Any, settings: tuple[str, ...]) -> dict[str, Any]:
    options = {"nodes": nodes, "cpus": cpus, "platform": platform, "know": know, "reveal": reveal, "config": config, "settings": _settings(settings)}
    return {key: value for key, value in options.items() if value}


@click.group()
def lab() -> None:
    """Compare scheduling policies, in virtual time or on real workers."""


lab.add_command(_data)


@lab.command()
@_shared
@click.option("--policy", default="fifo", show_default=True, help="fifo, locality, priority, a Lua file, a shipped policy or a plugin.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@click.option("--trace", "trace_", type=click.Path(dir_okay=False), help="Writes one JSON line per task.")
@click.option("--stream", is_flag=True, help="Reads the workload as time goes on, in the memory of what is alive: independent tasks, in order.")
def run(workload: str, policy: str, seed: int, trace_: str | None, stream: bool, html: str | None, json_: str | None, **how: Any) -> None:
    """One simulation of one workload under one policy."""
    from miniray.lab import metrics, simulate, table, workload as workloads, write_report, write_trace

    if stream and (trace_ or html):
        raise click.UsageError("--stream keeps no tasks: it goes with neither --trace nor --html (miniray-sim --stream --trace FILE writes them)")
    try:
        made = workloads.parse(workload)
        lines = workloads.make(workload, seed) if made and not stream else workload
        result = simulate(lines, policy, seed=seed, partial=True, stream=stream, **_sim_options(**how))
    except (RuntimeError, ValueError, TypeError, OSError) as error:
        _fail(error)
    if json_ != "-":
        _print(table([result]))
        click.echo(f"digest {result.summary['digest']}")
    if trace_:
        write_trace(trace_, result.tasks)
    if json_:
        with click.open_file(json_, "w", encoding="utf-8") as file:
            json.dump({**metrics.figures(result, lines if isinstance(lines, list) else ()), **result.summary}, file, indent=2)
            file.write("\n")
    if html:
        click.echo(f"report: {write_report(html, [result], subtitle=workload)}")
    if result.summary.get("degraded"):
        click.echo(f"the policy was ejected, the run went on as FIFO: {result.summary['ejected']}", err=True)
    if result.summary.get("interrupted"):
        click.echo("interrupted: all of this is of the tasks that had ended", err=True)
        raise SystemExit(130)


@lab.command()
@_shared
@click.option("--policies", required=True, metavar="A,B,...", help="Policies as in `lab run`, with commas between them.")
@click.option("--stores", metavar="A,B,...", help="Store plugins; on real workers only.")
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(1, 10000),
              help="Runs of each, seeds 0, 1, ...; a trace of arrivals has blocks of it drawn again.")
@click.option("--warmup", default=0.0, show_default=True, type=click.FloatRange(0, 0.9), help="Share of the tasks that flow times leave out.")
@click.option("--engine", type=click.Choice(["sim", "process", "sim,process"]), default="sim", show_default=True,
              help="Both: also whether the ranking of the policies holds on real workers.")
@click.option("--workers", type=click.IntRange(1), help="CPUs of the real node (and of the simulated one, for both engines).")
@click.option("--scale", default=1.0, show_default=True, type=click.FloatRange(0, min_open=True),
              help="Multiplies the times of a workload that is played on real workers.")
@click.option("--figure", type=click.Path(dir_okay=False), help="Writes the Gantt pictures as .png, .svg or .pdf (matplotlib).")
@click.option("--perfetto", type=click.Path(dir_okay=False), help="Writes a trace for Perfetto or chrome://tracing.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def compare(workload: str, policies: str, stores: str | None, seeds: int, warmup: float, engine: str, workers: int | None, scale: float,
            figure: str | None, perfetto: str | None, arguments: tuple[str, ...], html: str | None, json_: str | None, **how: Any) -> None:
    """One workload, or one driver script, under several policies (and stores).

    ARGUMENTS are given to a driver script.  The report goes to miniray-compare.html unless --html names another file
    ('' for none).  Interrupted, it reports on the runs that were done, and ends with status 130."""
    import signal

    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress

    from miniray.lab import Comparison, compare as compare_runs

    names = [name.strip() for name in policies.split(",") if name.strip()]
    places: list[Any] = [name.strip() for name in (stores or "").split(",") if name.strip()] or [None]
    runs, total, partial = Comparison(), len(names) * len(places) * seeds * len(engine.split(",")), ""

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=Console(stderr=True), transient=True) as progress:
            bar = progress.add_task("runs", total=total)

            def each(run: Any) -> None:
                runs.append(run)
                progress.update(bar, advance=1, description=run.name)

            compare_runs(workload, names, engine=engine, stores=places, seeds=seeds, workers=workers, arguments=arguments,
                         scale=scale, each=each, warmup=warmup, **_sim_options(**how))
    except KeyboardInterrupt:
        partial = f"interrupted after {len(runs)} of {total} runs"
        if not runs:
            click.echo(f"miniray lab: {partial}", err=True)
            raise SystemExit(130) from None
    except (RuntimeError, ValueError, TypeError, OSError) as error:
        _fail(error)
    finally:
        signal.signal(signal.SIGTERM, before)
    _tell(runs, workload, engine, seeds, warmup, partial, html, json_, figure, perfetto)
    if partial:
        raise SystemExit(130)


def _tell(runs: Any, workload: str, engine: str, seeds: int, warmup: float, partial: str, html: str | None, json_: str | None,
          figure: str | None, perfetto: str | None) -> None:
    """Everything that a comparison leaves behind."""
    from miniray.lab import differences, engines, summarise, table, write_report
    from miniray.lab.summary import difference_table, warnings
    from miniray.lab.trace import chrome

    said = [*([partial] if partial else []), *warnings(runs, warmup)]
    parts = [part for name in engine.split(",") if (part := [r for r in runs if r.engine == name])]
    pairs = [{**row, "engine": part[0].engine} for part in parts for row in differences(part)]
    ranked = engines.rankings(runs)
    if json_ != "-":
        _print(table(runs))
        for part in parts:
            if any(not r.summary.get("degraded") for r in part):
                _print(difference_table(part))
        for one in ranked:
            click.echo(str(one))
        if seeds == 1 and engine == "sim":
            for one in runs:
                click.echo(f"digest {one.summary['digest']}  {one.name}")
    for line in said:
        click.echo(f"note: {line}", err=True)
    if json_:
        with click.open_file(json_, "w", encoding="utf-8") as file:
            json.dump({"rows": summarise(runs), "differences": pairs, "notes": said, "rankings": [r.as_dict() for r in ranked], "partial": bool(partial),
                       "runs": [{**r.summary, "policy": r.policy, "engine": r.engine, "store": r.store, "seed": r.seed} for r in runs]}, file, indent=2)
            file.write("\n")
    shown = [r for r in runs if not r.seed]
    said += [str(one) for one in ranked]
    try:
        if html != "":
            where = " and ".join({"sim": "the simulator", "process": "real workers"}[name] for name in engine.split(","))
            path = write_report(html or "miniray-compare.html", shown, subtitle=f"{workload} on {where}", notes=said, every=runs)
            click.echo(f"report: {path}", err=json_ == "-")
        if figure:
            from miniray.lab.figure import write_figure

            click.echo(f"figure: {write_figure(figure, shown)}", err=json_ == "-")
        if perfetto:
            with open(perfetto, "w", encoding="utf-8") as file:
                json.dump({"traceEvents": chrome(shown), "displayTimeUnit": "ms"}, file)
    except (ValueError, OSError) as error:
        _fail(error)


for _command in (*_LABS, *_SEARCH):
    lab.add_command(_command)
