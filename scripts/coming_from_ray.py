#!/usr/bin/env python3
"""Writes the table in docs/coming-from-ray.md: what of Ray Core is here.  Each row is tried on miniray itself.

    build/venv/bin/python scripts/coming_from_ray.py [--check]     # --check: exit 1 if the file is not what would be written

docs/ray-core.json has Ray's names (scripts/ray_names.py).  What is said by hand is below: why a name is better here, and
why one has no meaning here.  A name that is neither here nor explained is shown as "not yet".
"""

from __future__ import annotations

import difflib
import functools
import importlib
import json
import re
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

DOCS = Path(__file__).resolve().parents[1] / "docs"

BETTER = {
    "ray.ObjectRef.future": "resolves without a thread per reference",
    "ray.cancel": "a real signal: `time.sleep` and other C code that can be interrupted is; what cannot is killed after `[engine] grace`",
    "ray.get": "a reference of an earlier session, a freed or a lost object raises at once and says why, it never hangs; "
               "`DeadlockError` names the tasks that wait for each other",
    "ray.init": "tens of milliseconds, no daemon; an option that is misspelt is named with the nearest",
    "ray.timeline": "one lane for each worker, and for each call that runs beside others in it",
    "ray.available_resources": "exact at the instant of the call, not after a heartbeat",
    "ray.kill": "frees the actor's name before it returns",
    "ray.wait": "takes generators beside references",
    "ray.put": "a full store asks every process to collect garbage before `ObjectStoreFullError`",
    "ray.exceptions.RayTaskError": "also an instance of the user's class, with its `args`; only the user's frames are shown",
    "ray.exceptions.WorkerCrashedError": "names pid, exit code or signal, and attempt",
    "ray.exceptions.TaskUnschedulableError": "raised at the call for what no node can ever run; Ray waits for ever",
    "ray.exceptions.ActorUnschedulableError": "raised at the call for what no node can ever hold; Ray waits for ever",
    "ray.exceptions.ObjectLostError": "says which node went, and why the object cannot be made again",
    "ray.util.state.list_tasks": "exact; `waits_for` tells what one that does not run waits for",
    "ray.util.state.list_objects": "every object and every process that keeps it, pending ones too",
    "options of ray.init.log_to_driver": "lines that differ in a number are never merged; `miniray logs` has them also when it is False",
}
_MACHINE = "there is one machine, and no cluster to connect to"
_OTHER_LANGUAGES = "Python and C are the languages here"
_DASHBOARD = "there is no dashboard; accepted and ignored"
_RAYS_OWN = "of Ray's own machinery"
_GPU_DIRECT = "values travel through the object store"
NOT_APPLICABLE = {
    "ray": {"ClientBuilder": _MACHINE, "Language": _OTHER_LANGUAGES, "LoggingConfig": "use Python's logging", "internal": _RAYS_OWN,
            "ray_constants": _RAYS_OWN, "serialization": _RAYS_OWN, "state": _RAYS_OWN, "widgets": _RAYS_OWN, "worker": _RAYS_OWN},
    "ray.util": {"collective": "only Ray Core's model is here", "connect": _MACHINE, "disconnect": _MACHINE,
                 "get_node_instance_id": _MACHINE},
    "ray.util.state": {"StateApiClient": "the functions are what there is", "get_job": "a session is one job",
                       "list_jobs": "a session is one job", "get_log": "see `miniray logs`", "list_logs": "see `miniray logs`",
                       "list_cluster_events": "there is no cluster", "list_runtime_envs": "list_tasks tells what runs"},
    "ray.exceptions": {name: why for names, why in (
        (("AuthenticationError", "RpcError", "LocalRayletDiedError"), _MACHINE), (("CrossLanguageError",), _OTHER_LANGUAGES),
        (("RayCgraphCapacityExceeded", "RayChannelError", "RayChannelTimeoutError", "RayDirectTransportError"), _GPU_DIRECT),
        (("OutOfDiskError",), "nothing is written to disk"),
        (("PlasmaObjectNotAvailable", "ReferenceCountingAssertionError", "ObjectFetchTimedOutError", "UnserializableException",
          "ActorHandleNotFoundError", "ObjectRefStreamEndOfStreamError", "StreamingGeneratorReplayInconsistentError",
          "OufOfBandObjectRefSerializationException", "UserCodeException"), "never raised: its cause does not exist here"),
    ) for name in names},
    "ray.cluster_utils": {"AutoscalingCluster": "nodes are added by hand: `Cluster.add_node`"},
    "ray.runtime_env": {"RuntimeEnvConfig": "environments are made at once, or refused"},
    "ray.util.placement_group": {"check_placement_group_index": _RAYS_OWN, "validate_placement_group": _RAYS_OWN},
    "ray.util.multiprocessing": {"JoinableQueue": "the standard library's own"},
    "ray.ObjectRef": {"call_site": "see `miniray memory`", "owner_address": "no process owns an object", "tensor_transport": _GPU_DIRECT,
                      "redis_shard_hash": _RAYS_OWN},
    "ray.ObjectRefGenerator": {name: "not a Python generator, an iterator" for name in ("aclose", "asend", "athrow", "close", "send", "throw")},
    "ray.cluster_utils.Cluster": {"gcs_address": _MACHINE, "remaining_processes_alive": "nodes are parts of one process"},
    "options of ray.init": {"cgroup_path": "processes are not put into groups", "system_reserved_cpu": "processes are not put into groups",
                            "system_reserved_memory": "processes are not put into groups", "proxy_server_url": _MACHINE},
    "options of actors": {"_actor_generator_backpressure_num_objects": "give it to the method: `@ray.method`"},
    "options of remote functions": {"_num_objects_per_yield": "an item is an object"},
}
HEADING = "## Every public name of Ray Core"


def _f() -> None:
    pass


class _A:
    pass


def _group() -> Any:
    return getattr(importlib.import_module("miniray.util"), "placement_group")([{"CPU": 1}])


OPTIONS: Dict[str, Any] = {  # a good value of each option
    "_generator_backpressure_num_objects": 2, "_labels": {"a": "b"}, "_num_objects_per_yield": 2, "accelerator_type": "A100",
    "allow_out_of_order_execution": True, "concurrency_groups": {"io": 2}, "enable_task_events": False, "enable_tensor_transport": True,
    "fallback_strategy": [{"label_selector": {"a": "b"}}], "get_if_exists": True, "label_selector": {"a": "b"}, "lifetime": "detached",
    "max_calls": 1, "max_concurrency": 2, "max_pending_calls": 2, "max_restarts": 1, "max_retries": 1, "max_task_retries": 1,
    "memory": 1 << 20, "name": "x", "namespace": "n", "num_cpus": 0.5, "num_gpus": 1, "num_returns": 2, "object_store_memory": 1 << 20,
    "placement_group": None, "placement_group_bundle_index": -1, "placement_group_capture_child_tasks": True,
    "resources": {"R": 1}, "retry_exceptions": [ValueError], "runtime_env": {"env_vars": {"A": "b"}}, "scheduling_strategy": "SPREAD",
    "_actor_generator_backpressure_num_objects": 2,
    "address": "local", "cgroup_path": "/", "configure_logging": True, "dashboard_host": "x", "dashboard_port": 1,
    "enable_resource_isolation": False, "ignore_reinit_error": True, "include_dashboard": False, "job_config": None, "labels": {"a": "b"},
    "local_mode": True, "log_to_driver": False, "logging_config": None, "logging_format": "x", "logging_level": 20, "proxy_server_url": "x",
    "system_reserved_cpu": 1, "system_reserved_memory": 1,
}
ENVIRONMENT: Dict[str, Any] = {
    "conda": "base", "config": {"setup_timeout_seconds": 1}, "container": {"image": "x"}, "env_vars": {"A": "b"}, "excludes": ["*.bin"],
    "image_uri": "x", "java_jars": ["x.jar"], "pip": ["requests"], "py_executable": "python", "py_modules": ["."], "uv": ["requests"],
    "worker_process_setup_hook": _f, "working_dir": ".",
}

Row = Tuple[str, str, str]  # name, verdict, note


def _short(text: str) -> str:
    """The first sentence or so of a message, fit for a cell."""
    text = re.sub(r"^module '[\w.]+' has no attribute '\w+': ", "", text).partition(". It has: ")[0]
    text = " ".join(text.split()).replace("|", "\\|")
    return text if len(text) <= 160 else text[:157].rsplit(" ", 1)[0] + " ..."


def _tried(place: str, name: str, kind: str, attempt: Callable[[], Any]) -> Row:
    """What comes of it: same, better, raises, not applicable or not yet."""
    try:
        found = attempt()
    except (AttributeError, ImportError, TypeError, ValueError, NotImplementedError, ConnectionError, RuntimeError) as why:
        reason = NOT_APPLICABLE.get(place, {}).get(name)
        if reason is not None:
            return name, "not applicable", reason
        told = str(why)
        named = isinstance(why, AttributeError) and re.match(rf"module '[\w.]+' has no attribute '{name}': ", told)
        if not named and not isinstance(why, (ValueError, NotImplementedError, ConnectionError)) or "and the others" in told:
            return name, "not yet", ""
        return name, "raises", f"{type(why).__name__}: {_short(told)}"
    if place.startswith("ray") and callable(found) != (kind == "callable"):
        raise SystemExit(f"{place}.{name}: a {kind} in Ray, here {found!r}")
    better = BETTER.get(f"{place}.{name}")
    return (name, "better", better) if better else (name, "same", "")


def _home(path: str) -> Any:
    """The module, or the class in one, that a dotted path names."""
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as why:
        parent, _, name = path.rpartition(".")
        if not parent or why.name != path:
            raise
        return getattr(_home(parent), name)


def _find(place: str, name: str) -> Any:
    """What miniray has for a name of Ray."""
    place = place.replace("ray", "miniray", 1)
    try:
        home = _home(place)
    except ModuleNotFoundError as why:
        if why.name is None or why.name.startswith("miniray"):
            raise
        return _f  # ours is there; the library that it is for is not
    try:
        return getattr(home, name)
    except AttributeError:
        try:
            return importlib.import_module(f"{place}.{name}")
        except ModuleNotFoundError:
            pass
        raise


def _option(place: str, name: str) -> Callable[[], Any]:
    import miniray

    def attempt() -> None:
        value = OPTIONS[name]
        if place == "options of ray.init":
            with miniray.init(**{name: value}):
                pass
        else:
            miniray.remote(**{name: value})(_f if place == "options of remote functions" else _A)

    return attempt


def _environment(name: str) -> Callable[[], Any]:
    import miniray

    return lambda: miniray.remote(runtime_env={name: ENVIRONMENT[name]})(_f)


def rows(names: Dict[str, Dict[str, str]]) -> Dict[str, List[Row]]:
    """The verdict on every name, by place."""
    out: Dict[str, List[Row]] = {}
    for place, members in names.items():
        found = []
        for name, kind in members.items():
            if place.startswith("options of"):
                attempt = _option(place, name)
            elif place == "keys of runtime_env":
                attempt = _environment(name)
            else:
                attempt = functools.partial(_find, place, name)
            row = _tried(place, name, kind, attempt)
            ignored = place == "options of ray.init" and row[1] == "same" and _ignored(name)
            found.append((name, "same", _DASHBOARD if "dashboard" in name else "accepted and ignored") if ignored else row)
        out[place] = found
    return out


def _ignored(name: str) -> bool:
    from miniray import _init

    return name in _init._IGNORED


def page() -> str:
    """The whole file: what is above the heading of the table is left as it is."""
    data = json.loads((DOCS / "ray-core.json").read_text())
    found = rows(data["names"])
    every = [row for place in found.values() for row in place]
    counts = {verdict: sum(row[1] == verdict for row in every) for verdict in ("same", "better", "raises", "not applicable", "not yet")}
    prose = (DOCS / "coming-from-ray.md").read_text().partition(HEADING)[0].rstrip()
    out = [prose, "", f"{HEADING} {data['ray']}", "",
           f"Made by `scripts/coming_from_ray.py`, which tries each row: {len(every)} names, of which "
           + ", ".join(f"{n} *{verdict}*" for verdict, n in counts.items() if n) + ". "
           "*Same*: it is here and means the same. *Raises*: at once, with the text shown.", ""]
    for place, members in found.items():
        if not members:
            continue
        out += [f"### {place}", "", "| name | here | |", "|---|---|---|"]
        out += [f"| `{name}` | {verdict} | {note} |" for name, verdict, note in members]
        out.append("")
    return "\n".join(out).rstrip() + "\n"


def main() -> int:
    """Writes the file, or checks it."""
    import warnings

    warnings.simplefilter("ignore")
    target = DOCS / "coming-from-ray.md"
    made = page()
    if "--check" not in sys.argv[1:]:
        target.write_text(made)
        return 0
    old = target.read_text() if target.exists() else ""
    for line in difflib.unified_diff(old.splitlines(), made.splitlines(), "docs/coming-from-ray.md", "as it would be made", lineterm=""):
        print(line)
    if old != made:
        print("run build/venv/bin/python scripts/coming_from_ray.py")
    return int(old != made)


if __name__ == "__main__":
    sys.exit(main())
