"""`miniray status`, `why`, `list`, `summary`, `memory`, `logs`, `timeline`: looking at a program while it runs, from another terminal."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from typing import Any, Callable, Dict, List, Optional

import click

GIVEN = 2


def _told(function: Callable[[], Any]) -> Any:
    """Runs it; what the user can mend ends the command with the message alone."""
    from miniray.exceptions import RayError

    try:
        return function()
    except (OSError, ValueError, RayError) as error:
        click.echo(f"miniray: {error}", err=True)
        raise SystemExit(GIVEN) from None


def _source(session: Optional[str]) -> Any:
    from miniray._desk import Source

    return _told(lambda: Source(session))


def _session(command: Any) -> Any:
    return click.option("--session", "--address", metavar="S", help="Which session: the first digits of its number, the pid of its "
                        "driver, or its folder; needed when several run.")(command)


def _json(command: Any) -> Any:
    return click.option("--json", "as_json", is_flag=True, help="As JSON.")(command)


def _bytes(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError


def _amount(name: str, amount: float) -> str:
    return _bytes(amount) if name == "memory" else f"{amount:g}"


def _print_table(columns: List[str], rows: List[List[Any]]) -> None:
    """On a screen a table; into a file or a pipe columns that are as wide as they need to be."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        texts = [columns] + [["-" if cell is None else str(cell) for cell in row] for row in rows]
        widths = [max(len(row[i]) for row in texts) for i in range(len(columns))]
        for row in texts:
            click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
        return
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text("-" if cell is None else str(cell)) for cell in row))  # a name may have brackets
    console.print(table)


def _apart(stats: Dict[str, Any]) -> str:
    """What objects take beside the stores: on the disk, and to be made again."""
    return (f"{_bytes(stats['disk_bytes'])} on the disk; {stats['kept']} ended tasks ({_bytes(stats['kept_bytes'])}) are kept"
            " to make lost results again")


# ---- status ----------------------------------------------------------------------------------------------------------

def _waiting(tasks: List[Dict[str, Any]]) -> List[List[Any]]:
    """What the tasks that do not run wait for: [name, how many, why], most first."""
    counts: Dict[tuple, int] = {}
    for task in tasks:
        if task.get("waits_for"):
            key = (task["name"], task["phase"], task["waits_for"])
            counts[key] = counts.get(key, 0) + 1
    return [[n, name, phase, why] for (name, phase, why), n in sorted(counts.items(), key=lambda item: -item[1])]


def _unplaced(groups: List[Dict[str, Any]]) -> List[List[Any]]:
    """Placement groups that wait, in the same columns."""
    rows = []
    for group in groups:
        if group["unplaced"] and group["state"] != "REMOVED":
            wants = [", ".join(f"{name} {_amount(name, amount)}" for name, amount in bundle["resources"].items())
                     for bundle in group["bundles"] if bundle["node"] is None]
            name = "group " + (group["name"] or group["group"].lstrip("0"))
            rows.append([1, name, group["state"].lower(), f"room for {len(wants)} bundles ({group['strategy']}): {'; '.join(wants[:4])}"
                         + ("" if len(wants) <= 4 else f" and {len(wants) - 4} more")])
    return rows


def _full(room: List[Dict[str, Any]]) -> List[List[Any]]:
    """Those that wait for room in a full store, in the same columns, and who keeps it."""
    rows = []
    for node in room:
        by = ", ".join(f"{keeper['who']} (pid {keeper['pid']}) {_bytes(keeper['bytes'])}" for keeper in node["by"][:4])
        for wait in node["waits"]:
            why = f"room for {_bytes(wait['bytes'])} on {node['name']} for {wait['waited'] / 1e9:.1f} s"
            rows.append([1, wait["who"] + (f" (pid {wait['pid']})" if wait["pid"] else ""), "full store",
                         why + (f"; looked at by {by}" if by else "")])
    return rows


def _nodes(nodes: List[Dict[str, Any]]) -> List[List[Any]]:
    rows = []
    for node in nodes:
        used = ", ".join(f"{name} {_amount(name, total - node['available'][name])}/{_amount(name, total)}"
                         for name, total in node["total"].items() if total)
        store = f"{_bytes(node['used'])}/{_bytes(node['capacity'])} {node['store']}"
        rows.append([node["name"], "alive" if node["alive"] else "removed", used, store])
    return rows


@click.command()
@_session
@_json
def status(session: Optional[str], as_json: bool) -> None:
    """Nodes with what of them is used, queues, what waits for what, and how the policy is doing."""
    from miniray._desk import sessions

    if session is None:
        found = _told(sessions)
        if len(found) > 1:
            click.echo("several sessions run; see one with --session:")
            _print_table(["session", "driver", "folder"], [[s["session"], s["pid"], s["folder"]] for s in found])
            return
    source = _source(session)
    told = _told(lambda: {"session": source.session, **{what: source(what) for what in ("stats", "nodes", "tasks", "placement_groups", "room")}})
    stats, tasks = told["stats"], told.pop("tasks")
    told["waiting"] = [dict(zip(("tasks", "name", "phase", "waits_for"), row))
                       for row in _full(told["room"]) + _waiting(tasks) + _unplaced(told["placement_groups"])]
    if as_json:
        click.echo(json.dumps(told, indent=2))
        return
    click.echo(f"session {told['session']['session']}, driver pid {told['session']['pid']}, for {told['session']['now'] / 1e9:.0f} s")
    if stats["degraded"]:
        click.echo(f"POLICY EJECTED, the order is FIFO: {stats['degraded']}")
        for line in (stats["dump"] or "").splitlines():
            click.echo(f"  {line}")
    else:
        click.echo(f"policy {stats['policy']}, {stats['refused']} answers refused, {stats['held'] / 1e9:.3f} slot-seconds held back")
        if stats["refusal"]:
            click.echo(f"  the first: {stats['refusal']}")
    click.echo("")
    _print_table(["node", "state", "used", "objects"], _nodes(told["nodes"]))
    click.echo("")
    now = {key: stats[key] for key in ("waiting", "ready", "running", "stopped", "actors", "workers", "idle_workers", "objects")}
    so_far = {key: stats[key] for key in ("submitted", "finished", "failed", "cancelled", "retried")}
    click.echo("now:    " + ", ".join(f"{value} {key.replace('_', ' ')}" for key, value in now.items()))
    click.echo("so far: " + ", ".join(f"{value} {key}" for key, value in so_far.items()))
    click.echo("bytes:  " + _apart(stats))
    if told["waiting"]:
        click.echo("")
        _print_table(["tasks", "name", "is", "waits for"], [list(row.values()) for row in told["waiting"][:20]])


@click.command()
@click.argument("task")
@_session
def why(task: str, session: Optional[str]) -> None:
    """Why TASK (an id, or the name of a function: its newest task) went where it went, and when.

    [sched] explain = true makes the session record its decisions: then also who overtook it and why, and by which line of
    the policy."""
    from miniray.util import state

    click.echo(_told(lambda: state.why(task, address=session)))


# ---- list and summary ------------------------------------------------------------------------------------------------

_KINDS = ("tasks", "actors", "objects", "workers", "nodes", "placement-groups")
_HIDDEN = ("job_id", "ip", "node_ip", "creator_job_id", "func_or_class_name", "parent_task_id", "events")


def _filters(texts: "tuple[str, ...]") -> List[tuple]:
    out = []
    for text in texts:
        predicate = "!=" if "!=" in text else "="
        key, equals, value = text.partition(predicate)
        if not equals:
            raise click.BadParameter(f"{text!r}: expected FIELD=VALUE or FIELD!=VALUE", param_hint="--filter")
        out.append((key.strip(), predicate, value.strip()))
    return out


@click.command("list")
@click.argument("kind", type=click.Choice(_KINDS))
@_session
@click.option("--filter", "-f", "filters", multiple=True, metavar="FIELD=VALUE", help="Or FIELD!=VALUE; may be repeated.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="Most rows.")
@click.option("--detail", is_flag=True, help="All fields.")
@_json
def list_(kind: str, session: Optional[str], filters: "tuple[str, ...]", limit: int, detail: bool, as_json: bool) -> None:
    """Tasks, actors, objects, workers, nodes or placement groups, finished tasks too."""
    import warnings

    from miniray.util import state

    function = getattr(state, f"list_{kind.replace('-', '_')}")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        rows = _told(lambda: function(address=session, filters=_filters(filters), limit=limit, detail=detail))
    for warning in caught:
        click.echo(f"miniray: {warning.message}", err=True)
    if as_json:
        click.echo(json.dumps([row.asdict() for row in rows], indent=2))
        return
    if not rows:
        click.echo(f"no {kind.replace('-', ' ')}")
        return
    fields = [f.name for f in dataclasses.fields(rows[0]) if (detail or not f.metadata.get("detail")) and f.name not in _HIDDEN]
    _print_table(fields, [[row[name] for name in fields] for row in rows])


@click.command()
@click.argument("kind", type=click.Choice(("tasks", "actors", "objects")))
@_session
@_json
def summary(kind: str, session: Optional[str], as_json: bool) -> None:
    """How many tasks, actors or objects of each name are in which state."""
    from miniray.util import state

    told = _told(lambda: getattr(state, f"summarize_{kind}")(address=session))["cluster"]
    if as_json:
        click.echo(json.dumps(told, indent=2))
        return
    counts = "ref_type_counts" if kind == "objects" else "state_counts"
    rows = []
    for name, group in sorted(told["summary"].items()):
        size = [f"{group['total_size_mb']:.3f} MiB"] if kind == "objects" else []
        rows.append([name, *size, ", ".join(f"{n} {what}" for what, n in sorted(group[counts].items()))])
    _print_table(["name", *(["size"] if kind == "objects" else []), "states"], rows)


# ---- memory ----------------------------------------------------------------------------------------------------------

def _holder(holder: Dict[str, Any], driver: int, actors: Dict[int, str]) -> str:
    """`actors`: by the number of the worker that they are."""
    if holder["kind"] == "process":
        if holder["pid"] == driver and not holder["worker"]:
            return "the driver"
        return f"actor {actors[holder['worker']]} ({holder['pid']})" if holder["worker"] in actors else f"worker {holder['pid']}"
    if holder["kind"] == "detached":
        return "itself (detached)"
    if holder["kind"] == "code":
        return f"calls of {holder['name']}"
    return f"{holder['kind']} {holder.get('name') or holder['id'].lstrip('0')}"


@click.command()
@_session
@click.option("--sort", "by", type=click.Choice(("size", "id")), default="size", show_default=True)
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="Most rows.")
@_json
def memory(session: Optional[str], by: str, limit: int, as_json: bool) -> None:
    """Every object: its size, where its bytes are, what made it, and who keeps it."""
    source = _source(session)
    objects, nodes, driver, stats, alive, room = _told(
        lambda: (source("objects"), source("nodes"), source.session["pid"], source("stats"), source("actors"), source("room")))
    actors = {actor["worker"]: actor["name"] or actor["class"] for actor in alive if actor["worker"]}
    objects.sort(key=lambda o: (-o["size"], o["object"]) if by == "size" else o["object"])
    if as_json:
        click.echo(json.dumps(objects[:limit], indent=2))
        return
    rows = []
    for o in objects[:limit]:
        where = ", ".join(nodes[n]["name"] for n in range(min(64, len(nodes))) if o["nodes"] >> n & 1)
        held = [_holder(holder, driver, actors) for holder in o["held_by"]]
        made = f"code of {o['name']}" if o["code"] else o["name"] or "put"
        if o["line"]:
            made += f" at {os.path.basename(o['line'])}"
        if o["pinned"]:
            held.insert(0, "a pickle made by hand")
        shown = ", ".join(held[:4]) + (f" and {len(held) - 4} more" if len(held) > 4 else "")
        rows.append([o["object"].lstrip("0"), _bytes(o["size"]), o["state"], where if o["where"] == "store" else o["where"] or None,
                     made, shown])
    _print_table(["object", "size", "state", "where", "made by", "held by"], rows)
    total = sum(o["size"] for o in objects)
    click.echo(f"{len(objects)} objects, {_bytes(total)}; in stores "
               + ", ".join(f"{_bytes(n['used'])} of {_bytes(n['capacity'])} ({n['name']}"
                           + (f", {_bytes(n['inline'])} of it inline)" if n["inline"] else ")") for n in nodes if n["alive"])
               + ("" if len(objects) <= limit else f"; {len(objects) - limit} are not shown (--limit)"))
    click.echo(_apart(stats))
    looks = [[keeper["who"], keeper["pid"], keeper["objects"], _bytes(keeper["bytes"]), _bytes(keeper["with_others"]),
              f"{keeper['largest'].lstrip('0')} ({_bytes(keeper['largest_bytes'])})", node["name"]]
             for node in room for keeper in node["by"] if keeper["objects"]]
    if looks:
        click.echo("\nlooked at, so these can not leave for the disk:")
        _print_table(["by", "pid", "objects", "size", "with others", "the largest", "node"], looks)
    waits = _full(room)
    if waits:
        click.echo("")
        _print_table(["waits", "for"], [[name, why] for _, name, _, why in waits])


# ---- logs and timeline -----------------------------------------------------------------------------------------------

@click.command()
@_session
@click.option("--follow", "-f", is_flag=True, help="Goes on until the session ends.")
@click.option("--pid", type=int, help="Of this worker process only.")
@click.option("--name", help="Of this function or actor only.")
@click.option("--tail", type=click.IntRange(1), help="The last so many lines.")
@_json
def logs(session: Optional[str], follow: bool, pid: Optional[int], name: Optional[str], tail: Optional[int], as_json: bool) -> None:
    """What workers printed: the last megabyte of it, also where init(log_to_driver=False) keeps it from the driver's screen."""
    source = _source(session)
    after = 0
    while True:
        try:
            lines = source(f"logs {after}") if after else _told(lambda: source("logs"))
        except ConnectionError:
            return  # followed to its end
        after = lines[-1]["number"] if lines else after
        lines = [line for line in lines if (pid is None or line["pid"] == pid) and (name is None or line["name"] == name)]
        for line in lines[-tail:] if tail else lines:
            click.echo(json.dumps(line) if as_json else f"({line['name']} pid={line['pid']}) {line['text']}", err=line["stderr"] and not as_json)
        if not follow:
            return
        tail = None
        time.sleep(0.2)


@click.command()
@_session
@click.option("--output", "-o", type=click.Path(dir_okay=False, allow_dash=True), default="miniray-timeline.json", show_default=True)
def timeline(session: Optional[str], output: str) -> None:
    """Writes what ran where and when as Chrome trace events (chrome://tracing, Perfetto)."""
    from miniray._timeline import events

    source = _source(session)
    made = _told(lambda: events(source("tasks"), source("session")["now"], source("policies")))
    with click.open_file(output, "w", encoding="utf-8") as file:
        json.dump(made, file)
    if output != "-":
        click.echo(f"{len([e for e in made if e['ph'] == 'X'])} runs: {output}")

