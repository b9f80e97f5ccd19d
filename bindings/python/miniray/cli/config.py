"""`miniray config`: check, dump and explain settings, without starting anything."""

from __future__ import annotations

import json
import subprocess
import tempfile
from typing import Any, Dict, Optional

import click

from miniray import _core
from miniray.exceptions import RayError


def read_settings(command: str, file: Optional[str]) -> Dict[str, Any]:
    """What FILE, the environment and the defaults say; ends the program with status 2 and one line if they are wrong."""
    try:
        return json.loads(_core.config_json(file, []))
    except RayError as error:
        click.echo(f"miniray {command}: {error}", err=True)
        raise SystemExit(2) from None


def _where(setting: Dict[str, Any]) -> str:
    if setting["source"] == "file":
        return f"{setting['file']}:{setting['line']}"
    return setting["source"]


def _try_policy(file: Optional[str]) -> None:
    """Opens the policy with these settings, in the simulator, for one task that needs nothing."""
    from miniray.lab import places

    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as workload:
        workload.write('{"id": "check", "duration_s": 0, "cpus": 0}\n')
        workload.flush()
        command = [str(places.program()), "--workload", workload.name, "--quiet"]
        own = places.plugins()
        for option, value in (("--plugins", own), ("--config", file)):
            if value is not None:
                command += [option, str(value)]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        click.echo(f"miniray config: {done.stderr.strip().removeprefix('miniray-sim: ')}", err=True)
        raise SystemExit(2)


@click.group()
def config() -> None:
    """Check, show and explain settings."""


@config.command()
@click.argument("file", type=click.Path(), required=False)
def check(file: Optional[str]) -> None:
    """Checks FILE.ini (and the environment, the plugins and the policy they name); status 2 and one line if it is wrong."""
    settings = read_settings("config", file)["settings"]
    if any(s["section"] == "sched" and s["value"] and (s["key"] == "policy" or s["value"].endswith(".lua")) for s in settings):
        _try_policy(file)
    click.echo(f"{file or 'the environment'}: good")


@config.command()
@click.argument("file", type=click.Path(), required=False)
def dump(file: Optional[str]) -> None:
    """Prints every setting with where its value came from, as an INI file."""
    section = None
    for setting in read_settings("config", file)["settings"]:
        if setting["section"] != section:
            click.echo(f"{'' if section is None else chr(10)}[{setting['section']}]")
            section = setting["section"]
        value = "" if setting["value"] is None else setting["value"]
        line = f"{setting['key']} = {value}" if value else f"# {setting['key']} ="
        click.echo(f"{line:<40}  ; {_where(setting)}")


@config.command("help")
@click.argument("key", required=False)
def help_(key: Optional[str]) -> None:
    """Explains every key, or those whose SECTION or SECTION.KEY begins as given."""
    section = None
    found = False
    for entry in read_settings("config", "")["keys"]:
        name = f"{entry['section']}.{entry['key']}"
        if key and not name.startswith(key):
            continue
        found = True
        if entry["section"] != section:
            click.echo(f"{'' if section is None else chr(10)}[{entry['section']}]")
            section = entry["section"]
        default = entry["default"] if entry["default"] is not None else "none"
        click.echo(f"  {entry['key']:<14} {entry['help']}\n  {'':<14} {entry['type']}; default: {default}")
    if not found:
        click.echo(f"miniray config help: there is no key {key!r}", err=True)
        raise SystemExit(2)
