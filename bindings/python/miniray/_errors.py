"""How an exception of a task becomes bytes: its class name, text and traceback as text, and a pickle where one can be
made.  So it arrives even where its class cannot."""

from __future__ import annotations

import os
import traceback
from typing import Optional

from . import _chain

_here = os.path.dirname(os.path.abspath(__file__)) + os.sep


class ActorExit(BaseException):
    """Raised by exit_actor()."""


def _user_frames(exc: BaseException) -> None:
    """Cuts miniray's own frames off the start of the traceback."""
    tb = exc.__traceback__
    while tb is not None and os.path.abspath(tb.tb_frame.f_code.co_filename).startswith(_here):
        tb = tb.tb_next
    exc.with_traceback(tb)


def _stand_in(exc: BaseException, text: str) -> Optional[_chain.Packed]:
    """For an exception whose class cannot leave this process: one of its nearest base that can, with its text and chain."""
    for base in type(exc).__mro__[1:]:
        if base in (Exception, BaseException) or not issubclass(base, BaseException):
            break
        try:
            made = base(text)
        except Exception:
            continue
        made.__cause__, made.__context__, made.__suppress_context__ = exc.__cause__, exc.__context__, exc.__suppress_context__
        if str(made) == text and (data := _chain.pack(made)) is not None:
            return data
    return None


def encode(exc: BaseException, function_name: str, actor: Optional[str], constructs: bool = False) -> tuple:
    """The plain tuple that exceptions._from_error reads.  constructs: it left a constructor, so that there is no actor yet that
    could leave: the callers of the actor are told what was raised, whatever it is."""
    from .exceptions import RayTaskError

    pid = os.getpid()
    if constructs:
        function_name += ".__init__"
        if isinstance(exc, ActorExit):
            exc = SystemExit("the constructor called exit_actor()").with_traceback(exc.__traceback__)
    elif isinstance(exc, ActorExit):
        return ("exit", function_name, "SystemExit", "The actor is dead because its method called exit_actor().", "", pid,
                None, actor or "")
    elif isinstance(exc, SystemExit):
        what = "method" if actor else "task"
        text = f"the {what} {function_name} called sys.exit({'' if exc.code is None else repr(exc.code)}) (pid {pid})"
        return ("exit", function_name, "SystemExit", text, "", pid, None, actor)
    _user_frames(exc)
    try:
        trace = "".join(traceback.format_exception(type(exc), exc, exc.__traceback__))
    except Exception as why:  # a class whose __str__ raises
        trace = f"{type(exc).__name__}: <its text could not be made: {type(why).__name__}>\n"
    try:
        text = str(exc)
    except Exception:
        text = ""
    inner = exc.cause if isinstance(exc, RayTaskError) and exc.cause is not None else exc
    exc.with_traceback(None)
    if inner is not exc and getattr(exc, "__notes__", None):
        inner.__notes__ = exc.__notes__  # type: ignore[attr-defined]
    data = _chain.pack(inner)
    if data is None and (data := _stand_in(inner, text)) is not None:
        trace = f"{trace.rstrip()}\n(a {type(inner).__name__} cannot leave its process: it arrives as one of its bases)\n"
    return ("task", function_name, type(inner).__name__, text, _plain(trace), pid, data, actor)


def _plain(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
