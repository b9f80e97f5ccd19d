"""init and shutdown: the session of this process, and what workers print."""

from __future__ import annotations

import atexit
import inspect
import os
import sys
import threading
import warnings
from typing import Any, Dict, List, Optional

from . import _core, _env, _nodes, _options, _output, _session
from ._ids import node_hex
from .exceptions import ConfigError, ObjectLostError, RaySystemError

ANONYMOUS = "default"  # the namespace where none is named
_lock = threading.RLock()
_shown: Optional[threading.Thread] = None  # shows what workers print

_IGNORED = {  # of Ray's init, without a meaning here; accepted silently
    "include_dashboard", "dashboard_host", "dashboard_port", "job_config", "configure_logging", "logging_level",
    "logging_format", "logging_config", "proxy_server_url",
}
_PRIVATE = {  # Ray's private arguments, about parts that do not exist here: one warning
    "_driver_object_store_memory", "_enable_object_reconstruction", "_metrics_export_port", "_node_ip_address", "_node_name",
    "_object_spilling_config", "_plasma_directory", "_redis_max_memory", "_redis_password", "_redis_username", "_system_config",
    "_temp_dir", "_tracing_startup_hook", "_lru_evict",
}
_REFUSED = {
    "enable_resource_isolation": "memory limits of workers are a matter of your system's cgroups",
    "storage": "it belonged to ray.workflow, which is not here",
    "labels": "init(nodes=[{'labels': ...}]) gives a node labels",
}


class Context:
    """What init() returns; usable as a context manager that shuts down at its end.

    ``address_info``: dict with ``session`` (hex) and ``node_id``; ``namespace``.
    """

    def __init__(self, session: int, namespace: str):
        self.address_info: Dict[str, Any] = {"session": f"{session:016x}", "node_id": node_hex(0, session), "address": "local"}
        self.namespace = namespace
        self.dashboard_url = ""
        self.python_version = ".".join(map(str, sys.version_info[:3]))

    def __getitem__(self, key: str) -> Any:
        return self.address_info[key]

    def __enter__(self) -> "Context":
        return self

    def __exit__(self, *exc: Any) -> None:
        shutdown()

    def disconnect(self) -> None:
        """The same as miniray.shutdown()."""
        shutdown()

    def __repr__(self) -> str:
        return f"<miniray session {self.address_info['session']}, python {self.python_version}, namespace {self.namespace!r}>"


def _text(value: float) -> str:
    return repr(int(value)) if float(value).is_integer() else repr(float(value))


def _path(value: Any, what: str) -> str:
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"init({what}=) is a path, not {type(value)}")
    return os.fspath(value)


def _policy(policy: Any) -> "tuple[Optional[str], Optional[str]]":
    """The plugin or the policy file that init(policy=) names: a file, a shipped policy, or a plugin."""
    from .lab.places import policy_arguments  # late: it brings the laboratory

    try:
        return policy_arguments(_path(policy, "policy"))
    except FileNotFoundError as why:
        raise ConfigError(f"init(policy=): {why}") from None


def _overrides(num_cpus, num_workers, num_gpus, resources, memory, object_store_memory, store, sched, policy, infeasible,
               log_to_driver, labels) -> List[tuple]:
    out = []

    def add(section: str, key: str, value: Any, argument: str) -> None:
        out.append((section, key, str(value), f"init({argument}=)"))

    if num_workers is not None:
        _options._whole("a positive integer", 1)("num_workers", num_workers)
        if num_cpus is not None and num_cpus != num_workers:
            raise ValueError(f"num_workers={num_workers} and num_cpus={num_cpus} contradict each other: give one")
        add("node", "cpus", num_workers, "num_workers")
    elif num_cpus is not None:
        _options._amount("num_cpus", num_cpus)
        add("node", "cpus", _text(num_cpus), "num_cpus")
    if num_gpus is not None:
        _options._amount("num_gpus", num_gpus)
        add("node", "gpus", _text(num_gpus), "num_gpus")
    if resources:
        _options._resources("resources", resources)
        add("node", "resources", ",".join(f"{k}={_text(v)}" for k, v in resources.items()), "resources")
    if labels:
        add("node", "labels", _nodes.label_text(labels), "labels")
    if memory is not None:
        _options._memory("memory", memory)
        add("node", "memory", int(memory), "_memory")
    if object_store_memory is not None:
        _options._memory("object_store_memory", object_store_memory)
        add("store", "capacity", int(object_store_memory), "object_store_memory")
    if store is not None:
        add("store", "plugin", _path(store, "store"), "store")
    if sched is not None:
        add("sched", "plugin", _path(sched, "sched"), "sched")
    if policy is not None:
        plugin, file = _policy(policy)
        if plugin and sched is not None:
            raise ValueError(f"sched={sched!r} and policy={policy!r} are two plugins: give one")
        add("sched", *(("policy", file) if file else ("plugin", plugin)), "policy")
    if infeasible is not None:
        if infeasible not in ("error", "wait"):
            raise ValueError(f'init(infeasible=) is "error" or "wait", not {infeasible!r}')
        add("engine", "infeasible", infeasible, "infeasible")
    if not isinstance(log_to_driver, bool):
        raise TypeError(f"init(log_to_driver=) is a bool, not {type(log_to_driver)}")
    if not log_to_driver:
        add("engine", "log_to_driver", "false", "log_to_driver")
    return out


def _script_dir() -> str:
    main = sys.modules.get("__main__")
    path = getattr(main, "__file__", None)
    return os.path.dirname(os.path.abspath(path)) if path else os.getcwd()


def _zygote(names: str) -> List[str]:
    """The command that starts the zygote: the same interpreter, with this program's module search path."""
    paths = [_script_dir()] + [os.path.abspath(p or os.getcwd()) for p in sys.path]
    parent = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    start = f"import gc, sys; gc.disable(); sys.path.append({parent!r}); from miniray._zygote import main; main()"
    return [sys.executable, "-c", start, names, *dict.fromkeys(paths)]


def _check_address(address: Optional[str]) -> None:
    if address is None:
        if os.environ.get("RAY_ADDRESS"):
            raise ConnectionError("RAY_ADDRESS is set, but miniray runs on this machine only: unset it")
        return
    if _session.context is not None and _core.session_number() and address == _session.context.address_info["address"]:
        return  # of the cluster that this process made
    if address.startswith("miniray:"):
        raise ConnectionError(f"init(address={address!r}): that cluster does not run in this process any more")
    if address == "auto":
        raise ConnectionError("Could not find any running Ray instance: miniray has no daemon; init() starts a session")
    if address != "local":
        raise ConnectionError(f"init(address={address!r}): miniray runs on this machine only; leave address out")


def init(
    address: Optional[str] = None, *, num_cpus: Optional[float] = None, num_workers: Optional[int] = None,
    num_gpus: Optional[float] = None, resources: Optional[Dict[str, float]] = None, labels: Optional[Dict[str, str]] = None,
    object_store_memory: Optional[int] = None, nodes: Optional[List[Dict[str, Any]]] = None, config: Any = None, store: Any = None, sched: Any = None, policy: Any = None,
    namespace: Optional[str] = None, infeasible: Optional[str] = None, log_to_driver: bool = True,
    ignore_reinit_error: bool = False, runtime_env: Optional[Dict[str, Any]] = None, local_mode: bool = False,
    record: Any = None, _memory: Optional[float] = None, **unknown: Any,
) -> Context:
    """Opens the session of this process: starts the node; worker processes come when needed.

    num_cpus: CPUs that tasks may use at a time (0 and fractions too; default: the usable cores).  num_workers: the same,
    at least 1.  num_gpus, resources ({name: amount}), labels ({key: text}): what else the node has.  object_store_memory: bytes.
    nodes: several logical nodes instead, each {num_cpus, num_gpus, memory, resources, labels, name}, with workers and a
    store of its own (object_store_memory: of each).  config: INI file.  store, sched: name or path of a plugin.  policy: Lua file, or the name of a shipped policy.  namespace: of actor names.
    infeasible: "error" (an impossible request raises at the call) or "wait".  log_to_driver: show what workers print.
    ignore_reinit_error: a second init() returns the open session.  runtime_env: of all tasks and actors that do not give
    their own: {"env_vars", "working_dir", "py_modules"}.  local_mode: everything runs in this process at the call, one after
    the other, for a debugger; resources, limits and restarts have no effect there.  record: a file that every event is written to,
    for `miniray replay`.

    Arguments win over the environment (MINIRAY_SECTION_KEY), that over the INI file, that over defaults.  Raises
    ConfigError, PluginError, PolicyError, RuntimeError (already open), TypeError and ValueError for bad arguments.
    """
    refused = next((name for name in unknown if name in _REFUSED and unknown[name]), None)
    if refused:
        raise ValueError(f"init({refused}=) is not supported: {_REFUSED[refused]}")
    private = [name for name in unknown if name in _PRIVATE and unknown[name] is not None]
    if private:
        warnings.warn(f"{private[0]} is Ray's own and ignored here: see `miniray config help`", RuntimeWarning, stacklevel=2)
    strange = [name for name in unknown if name not in _IGNORED and name not in _PRIVATE and name not in _REFUSED]
    if strange:
        known = [p for p in inspect.signature(init).parameters if p != "unknown"]
        raise TypeError(f"init() got an unexpected keyword argument {strange[0]!r}{_options.nearest(strange[0], known)}")
    _check_address(address)
    _options._bool("local_mode", local_mode)
    env = _env.checked(runtime_env, "init(runtime_env=)") if runtime_env is not None else {}
    if namespace is not None:
        _options._namespace("namespace", namespace)
    over = _overrides(num_cpus, num_workers, num_gpus, resources, _memory, object_store_memory, store, sched, policy,
                      infeasible, log_to_driver, labels)
    if nodes is not None:
        if any(x is not None for x in (num_cpus, num_workers, num_gpus, resources, labels, _memory)):
            raise ValueError("init(nodes=) says what each node has: leave out num_cpus, num_workers, num_gpus, resources, labels "
                             "and _memory")
        if not isinstance(nodes, (list, tuple)) or not nodes:
            raise ValueError(f"init(nodes=) is a list of one dict a node, not {nodes!r}")
        over += _nodes.settings(list(nodes))
    if record is not None:
        over.append(("engine", "record", os.path.abspath(_path(record, "record")), "init(record=)"))
    with _lock:
        if _core.session_number() and address is not None and _session.context is not None and address.startswith("miniray:"):
            if namespace is not None:
                _session.context.namespace = namespace
            return _session.context
        if _core.session_number():
            if ignore_reinit_error:
                return _session.context or Context(_core.session_number(), _session.namespace())
            where = "a worker: its session is there already" if _core.is_worker() else "this process"
            raise RuntimeError(
                f"Maybe you called ray.init twice by accident? A session is open in {where}. init(ignore_reinit_error=True) "
                "returns it, shutdown() ends it.")
        home = os.path.dirname(os.path.abspath(__file__))
        try:
            number = _core.open(_path(config, "config") if config is not None else None, over, home,
                                _zygote(namespace or ANONYMOUS), True, _script_dir())
        except ObjectLostError as why:  # the core's "not found": here a plugin, a policy or a file
            raise ConfigError(str(why)) from None
        _env.current = env
        _session.context = Context(number, namespace or ANONYMOUS)
        if local_mode:
            from ._local import Local

            _session.local = Local()
        _start_output()
        return _session.context


def shutdown(_exiting_interpreter: bool = False) -> None:
    """Ends the session: all its processes, and all its objects.  What workers printed has been shown when it returns.
    Without a session, nothing happens.  RaySystemError in a worker."""
    with _lock:
        if not _core.session_number():
            return
        if _core.is_worker():
            raise RaySystemError("shutdown() in a worker: only the driver ends the session")
        for clean in list(_session.at_shutdown):
            clean()
        if _session.local is not None:
            _session.local.close()
            _session.local = None
        _session.context = None
        _env.current = {}
        try:
            _core.finish()
        finally:  # Ctrl-C ends no shutdown half way
            try:
                _stop_output()
            finally:
                _core.close()


def _start_output() -> None:
    global _shown
    told = {row["key"]: row["value"] for row in _session.state("config") if row["section"] == "engine"}
    if told["log_to_driver"] == "true":
        _shown = _output.start(told["merge_output"] == "true")


def _stop_output() -> None:
    global _shown
    thread, _shown = _shown, None
    if thread is not None and thread is not threading.current_thread():
        thread.join()


_session.open_default = init
atexit.register(lambda: None if _core.session_number() == 0 or _core.is_worker() else shutdown(True))
