"""In place of the core where only the simulator was built (MINIRAY_ENGINES=sim): `miniray lab` and `miniray policy` work, tasks do not.

Every name is there, so that the package can be imported; whoever uses one is told."""

from __future__ import annotations

from typing import Any


class _Away:
    def __init__(self, *_: Any, **__: Any) -> None:
        raise RuntimeError("this miniray was built without workers, for the laboratory alone (MINIRAY_ENGINES=sim): "
                           "install the whole package, on Linux, to run tasks")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Away()

    def __init_subclass__(cls, **_: Any) -> None:
        pass


def session_number() -> int:
    """There is no session."""
    return 0


def is_worker() -> bool:
    """Nor a worker."""
    return False


def set_hooks(*_: Any, **__: Any) -> None:
    """What would be called never is."""


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return _Away
