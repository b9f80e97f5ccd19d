"""What this process knows of its session.  It is opened and closed by _init."""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, List, Optional

from . import _core

context: Any = None  # what init() gave
local: Any = None  # of local mode: what takes the place of workers
at_shutdown: "List[Callable[[], None]]" = []  # called before the session closes
open_default: "Optional[Callable[[], Any]]" = None  # init() without arguments

# Of a worker process:
_worker_namespace: Optional[str] = None
_instance: Any = None  # of the actor that it is
_gpus: "list[Any]" = []  # given to the task or actor
_actor_ref: Any = None  # its own reference, not counted
_actor_class: Any = None
_actor_attempt = 0
_actor_options: "Dict[str, Any]" = {}  # of its class: those that its handles are made by
_assigned: "Dict[str, float]" = {}


def is_initialized() -> bool:
    """Is a session open in this process?  True in workers."""
    return _core.session_number() != 0


def namespace() -> str:
    """The namespace of actor names when none is given."""
    if _worker_namespace is not None:
        return _worker_namespace
    return context.namespace if context else ""


def in_actor() -> bool:
    """Does this code run in an actor?"""
    if local is not None:
        return local.in_actor()
    return _actor_ref is not None  # in a constructor too


def ensure() -> None:
    """Opens the default session if none is open."""
    if not _core.session_number():
        assert open_default is not None  # the package imports _init
        open_default()


def state(what: str) -> Any:
    """One table of the node, from its JSON."""
    return json.loads(_core.state(what))
