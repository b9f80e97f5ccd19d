"""Runtime environments: what a task or actor wants of its process.  Here the checks, the merging and the applying.

An environment in its plain form is a dict with any of env_vars ({name: text}), working_dir (absolute path) and
py_modules ([absolute paths]).  Processes of equal environments are shared, those of others never (the `env` number of a
definition).  Directories are used where they lie: there is one machine, so nothing is copied.
"""

from __future__ import annotations

import importlib.machinery
import json
import os
import re
import sys
import types
import zlib
from typing import Any, Dict, List, Optional

_SUPPORTED = "'env_vars', 'working_dir' and 'py_modules' are"
_IGNORED = ("config",)  # setup_timeout_seconds, eager_install: there is no setup that takes time

current: Dict[str, Any] = {}  # the plain form of this process's own: of the job in the driver, of the task in a worker
texts: Dict[int, str] = {0: "{}"}  # by number: those that this process has asked for


def checked(value: Any, what: str = "runtime_env") -> Dict[str, Any]:
    """The plain form.  ValueError and TypeError name what is wrong and what is supported."""
    if not isinstance(value, dict):
        raise TypeError(f"The type of keyword '{what}' must be a dict, but received type {type(value)}")
    out: Dict[str, Any] = {}
    for key, part in value.items():
        if part is None or key in _IGNORED:
            continue
        if key == "env_vars":
            out[key] = _env_vars(part, what)
        elif key == "working_dir":
            out[key] = _directory(part, f"{what}['working_dir']")
        elif key == "py_modules":
            if not isinstance(part, (list, tuple)):
                raise TypeError(f"{what}['py_modules'] is a list of directories or modules, not {type(part)}")
            out[key] = [_module(module, what) for module in part]
        else:
            raise ValueError(f"{what}: {key!r} is not supported; {_SUPPORTED}. Packages must be installed where the driver runs.")
    return {key: part for key, part in out.items() if part}


def _env_vars(value: Any, what: str) -> Dict[str, str]:
    if not isinstance(value, dict):
        raise TypeError(f"{what}['env_vars'] must be of type Dict[str, str], got {type(value)}")
    for name, text in value.items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise TypeError(f"{what}['env_vars'] must be of type Dict[str, str], got {name!r}: {text!r}")
        if not name or "=" in name or "\0" in name + text:
            raise ValueError(f"{what}['env_vars']: {name!r} cannot be the name of an environment variable")
    return dict(value)


def _directory(value: Any, what: str) -> str:
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{what} is the path of a directory, not {type(value)}")
    path = os.fspath(value)
    if "://" in path:
        raise ValueError(f"{what}: {path} is not on this machine; only local directories are supported")
    if not os.path.isdir(path):
        raise ValueError(f"{what}: {path} is not a directory")
    return os.path.abspath(path)


def _module(value: Any, what: str) -> str:
    if isinstance(value, types.ModuleType):
        places = list(getattr(value, "__path__", ())) or [getattr(value, "__file__", None)]
        if not places[0]:
            raise ValueError(f"{what}['py_modules']: {value!r} has no file")
        return os.path.abspath(places[0])
    path = os.fspath(value) if isinstance(value, (str, os.PathLike)) else value
    if isinstance(path, str) and path.endswith(".py") and os.path.isfile(path):
        return os.path.abspath(path)
    return _directory(value, f"{what}['py_modules']")


def merged(parent: Dict[str, Any], child: Dict[str, Any]) -> Dict[str, Any]:
    """What a task with `child` gets below a parent: its own parts replace the parent's, variables one by one."""
    out = {**parent, **child}
    if "env_vars" in parent and "env_vars" in child:
        out["env_vars"] = {**parent["env_vars"], **child["env_vars"]}
    return out


def number(env: Dict[str, Any]) -> int:
    """The number by which processes are shared; 0 for none."""
    if not env:
        return 0
    told = text(env)
    made = zlib.crc32(told.encode()) or 1
    texts[made] = told
    return made


def text(env: Dict[str, Any]) -> str:
    """As JSON."""
    return json.dumps(env, sort_keys=True)


class _Modules:
    """Finds the modules of py_modules, and nothing else that lies beside them."""

    def __init__(self, paths: List[str]):
        self.parents = {os.path.splitext(os.path.basename(path))[0]: os.path.dirname(path) for path in paths}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        parent = self.parents.get(name)
        return importlib.machinery.PathFinder.find_spec(name, [parent]) if parent is not None else None


def apply(env: Dict[str, Any]) -> None:
    """Makes it this worker process's own; before its first function is loaded.  OSError: the directory is gone."""
    global current
    if env == current:
        return
    current = env
    for name, value in env.get("env_vars", {}).items():
        os.environ[name] = re.sub(r"\$\{(\w+)\}", lambda m: os.environ.get(m.group(1), ""), value)
    directory: Optional[str] = env.get("working_dir")
    if directory:
        os.chdir(directory)
        sys.path.insert(0, directory)
    if env.get("py_modules"):
        sys.meta_path.insert(0, _Modules(env["py_modules"]))  # type: ignore[arg-type]
