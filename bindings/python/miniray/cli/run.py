"""`miniray run`: any driver script under a chosen back end, unedited."""

from __future__ import annotations

import os
import runpy
import sys
from typing import Optional

import click

from miniray.cli.config import read_settings


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--config", metavar="F.ini", type=click.Path(exists=True, dir_okay=False, resolve_path=True), help="Settings.")
@click.option("--store", metavar="NAME|F.so", help="Store plugin: where the bytes live.")
@click.option("--sched", metavar="NAME|F.so", help="Scheduler plugin: who runs next.")
@click.option("--policy", metavar="F.lua|NAME", help="A policy in Lua, or the name of a shipped one.")
@click.option("--workers", metavar="N", type=click.IntRange(1), help="CPUs of the node.")
@click.argument("script", type=click.Path(exists=True, dir_okay=False))
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def run(config: Optional[str], store: Optional[str], sched: Optional[str], policy: Optional[str], workers: Optional[int],
        script: str, args: "tuple[str, ...]") -> None:
    """Runs SCRIPT with its ARGS under the chosen back end.

    What the script itself gives to init() wins over these options, they over the environment and the INI file.
    """
    if policy is not None:
        from miniray.lab.places import policy_arguments

        try:
            plugin, policy = policy_arguments(policy)
        except FileNotFoundError as error:
            raise click.BadParameter(str(error), param_hint="--policy") from None
        if plugin and sched:
            raise click.BadParameter(f"{plugin} and --sched {sched} are two plugins: give one", param_hint="--policy")
        sched = sched or plugin
    for name, value in (("MINIRAY_CONFIG", config), ("MINIRAY_STORE_PLUGIN", store), ("MINIRAY_SCHED_PLUGIN", sched),
                        ("MINIRAY_SCHED_POLICY", policy), ("MINIRAY_NODE_CPUS", workers)):
        if value is not None:
            os.environ[name] = str(value)
    read_settings("run", config)  # a mistake in it is told before the script begins
    sys.argv = [script, *args]
    sys.path.insert(0, os.path.dirname(os.path.abspath(script)))
    try:
        runpy.run_path(script, run_name="__main__")
    except (Exception, KeyboardInterrupt) as error:  # shown as if python had run the script: from its first line on
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename != script:
            trace = trace.tb_next
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        raise SystemExit(130 if isinstance(error, KeyboardInterrupt) else 1) from None
