#!/usr/bin/env python3
"""Lists the public names of Ray Core, taken from the Ray that is installed: PYTHON-WITH-RAY scripts/ray_names.py > docs/ray-core.json

The list is kept in the repository so that docs/coming-from-ray.md can be checked where Ray is not installed.
"""

from __future__ import annotations

import importlib
import inspect
import json
from typing import Any, Dict, Iterable

# Modules whose names count.  Without __all__ (or where that leaves names out): what is defined below the module.
MODULES = ("ray", "ray.util", "ray.util.state", "ray.exceptions", "ray.util.placement_group", "ray.util.scheduling_strategies",
           "ray.util.queue", "ray.util.actor_pool", "ray.util.multiprocessing", "ray.util.joblib", "ray.util.dask", "ray.actor",
           "ray.remote_function", "ray.runtime_context", "ray.runtime_env", "ray.cluster_utils")
CLASSES = ("ray.ObjectRef", "ray.ObjectRefGenerator", "ray.actor.ActorClass", "ray.actor.ActorHandle", "ray.actor.ActorMethod",
           "ray.remote_function.RemoteFunction", "ray.runtime_context.RuntimeContext", "ray.util.ActorPool", "ray.util.queue.Queue",
           "ray.util.multiprocessing.Pool", "ray.cluster_utils.Cluster")
# Modules whose import needs a library that Ray does not bring: their entry points, as Ray's documentation names them.
FALLBACK = {"ray.util.joblib": ["register_ray"], "ray.util.dask": ["ray_dask_get"]}


def _kinds(of: Any, names: Iterable[str]) -> Dict[str, str]:
    def kind(name: str) -> str:
        try:
            return "callable" if callable(getattr(of, name, None)) else "value"
        except (ImportError, RuntimeError):  # a library that wants more than Ray Core, or was removed
            return "value"

    return {name: kind(name) for name in sorted(set(names)) if not name.startswith("_")}


def _module(name: str) -> Dict[str, str]:
    try:
        module = importlib.import_module(name)
    except ImportError:
        return {n: "callable" for n in FALLBACK[name]}
    listed = getattr(module, "__all__", None)
    if listed is not None and name != "ray":
        return _kinds(module, (n for n in listed if not inspect.ismodule(getattr(module, n, None))))
    own = [n for n in dir(module) if not inspect.ismodule(getattr(module, n))
           and str(getattr(getattr(module, n), "__module__", "")).startswith("ray")
           and not type(getattr(module, n)).__module__.startswith("typing")]
    if name != "ray":
        own = [n for n in own if getattr(module, n).__module__ == name or not inspect.isclass(getattr(module, n))
               and getattr(module, n).__module__.startswith(name)]
    return _kinds(module, [*own, *(listed or [])])


def _class(path: str) -> Dict[str, str]:
    module, _, name = path.rpartition(".")
    if path == "ray.util.ActorPool":
        module = "ray.util"
    of = getattr(importlib.import_module(module), name)
    return _kinds(of, dir(of))


def collect() -> Dict[str, Any]:
    """{"ray": version, "names": {place: {name: "callable" or "value"}}}"""
    import ray
    from ray._common import ray_option_utils
    from ray.runtime_env import RuntimeEnv

    names: Dict[str, Dict[str, str]] = {module: _module(module) for module in MODULES}
    names.update({path: _class(path) for path in CLASSES})
    options = {"options of ray.init": [n for n in inspect.signature(ray.init).parameters if n != "kwargs"],
               "options of remote functions": ray_option_utils.task_options, "options of actors": ray_option_utils.actor_options,
               "keys of runtime_env": [n for n in RuntimeEnv.known_fields if not n.startswith("_")]}
    names.update({place: {n: "value" for n in sorted(found)} for place, found in options.items()})
    return {"ray": ray.__version__, "names": names}


if __name__ == "__main__":
    print(json.dumps(collect(), indent=1))
