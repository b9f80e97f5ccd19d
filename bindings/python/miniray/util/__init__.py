"""What of ray.util is here: scheduling_strategies."""

from __future__ import annotations

from typing import Any

from . import scheduling_strategies

__all__ = ["scheduling_strategies"]


def __getattr__(name: str) -> Any:
    raise AttributeError(f"module 'miniray.util' has no attribute {name!r}: placement groups, ActorPool, Queue and the others of "
                         "ray.util are not here; it has scheduling_strategies")
