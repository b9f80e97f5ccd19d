"""Where the programs, plugins and policies of miniray lie: in the installed package, or in a source tree's build."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from miniray._options import nearest

_PACKAGE = Path(os.path.abspath(__file__)).parent.parent
_IN_C = ("fifo", "locality", "priority")


def _source_tree() -> Path | None:
    """The repository this package lies in, if it was not installed."""
    for folder in _PACKAGE.resolve().parents:
        if (folder / "CMakeLists.txt").is_file() and (folder / "core" / "engine").is_dir():
            return folder
    return None


def program(name: str = "miniray-sim") -> Path:
    """An executable of miniray.  Looked for in $MINIRAY_BIN, the package, a source tree's build folders, $PATH."""
    tried = []
    folders = []
    if os.environ.get("MINIRAY_BIN"):
        folders.append(Path(os.environ["MINIRAY_BIN"]))
    folders.append(_PACKAGE / "bin")
    tree = _source_tree()
    if tree:
        folders += sorted(tree.glob("build*/bin")) + sorted(tree.glob("build/*/bin"))
    for folder in folders:
        candidate = folder / name
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate
        tried.append(str(folder))
    found = shutil.which(name)
    if found:
        return Path(found)
    raise FileNotFoundError(f"{name} was not found in {', '.join(tried)} or on PATH; set MINIRAY_BIN to the folder that holds it")


def plugins() -> Path | None:
    """The folder of the plugins that belong to the program; None: it finds them itself."""
    for folder in (_PACKAGE / "plugins", program().resolve().parent.parent / "plugins"):
        if folder.is_dir() and any(folder.glob("*.so")):
            return folder
    return None


def policies() -> list[Path]:
    """Folders with policy files, nearest first."""
    folders = [_PACKAGE / "policies"]
    tree = _source_tree()
    if tree:
        folders.append(tree / "config" / "policies")
    try:
        base = program().resolve().parent.parent
        folders += [prefix / "share" / "miniray" / "policies" for prefix in (base, base.parent)]
    except FileNotFoundError:
        pass  # the simulator is not needed to find a policy
    return [f for f in folders if f.is_dir()]


def labs() -> Path | None:
    """The folder of the labs: $MINIRAY_LABS, the package's, or a source tree's."""
    tree = _source_tree()
    folders = [Path(os.environ["MINIRAY_LABS"])] if os.environ.get("MINIRAY_LABS") else []
    folders += [_PACKAGE / "labs", *([tree / "labs"] if tree else []), _PACKAGE.parents[3] / "share" / "miniray" / "labs"]
    return next((f for f in folders if f.is_dir()), None)


def policy_arguments(policy: str) -> tuple[str | None, str | None]:
    """What a policy's short name stands for: (scheduler plugin, policy file).

    ``fifo``, ``locality`` and ``priority`` are the plugins in C; a path that ends in ``.lua`` or the name of a shipped policy is a
    Lua policy; anything else that begins with ``sched-`` or has a ``/`` is a plugin."""
    if policy.endswith(".lua"):
        if not os.path.isfile(policy):
            raise FileNotFoundError(f"policy file {policy} {'is a folder' if os.path.isdir(policy) else 'does not exist'}")
        return None, os.path.abspath(policy)
    if policy in _IN_C:
        return f"sched-{policy}", None
    if policy.startswith("sched-") or "/" in policy:
        return policy, None
    names = set(_IN_C)
    for folder in policies():
        candidate = folder / f"{policy}.lua"
        if candidate.is_file():
            return None, str(candidate)
        names.update(p.stem for p in folder.glob("*.lua"))
    if os.path.isdir(policy):
        raise FileNotFoundError(f"{policy} is a folder: name the file NAME.lua in it")
    hint = f"did you mean the file {policy}.lua? Else it is" if os.path.isfile(f"{policy}.lua") else "it is"
    raise FileNotFoundError(f"there is no policy {policy!r}{nearest(policy, names)}: {hint} a file NAME.lua, a plugin, or one of "
                            f"{', '.join(sorted(names))}")
