"""How an exception of a task becomes bytes: its class name, text and traceback as text, and a pickle where one can be
made.  So it arrives even where its class cannot."""

from __future__ import annotations

import os
import traceback
from typing import Optional

_here = os.path.dirname(os.path.abspath(__file__)) + os.sep


class ActorExit(BaseException):
    """Raised by exit_actor()."""


def _user_frames(exc: BaseException) -> None:
    """Cuts miniray's own frames off the start of the traceback."""
    tb = exc.__traceback__
    while tb is not None and os.path.abspath(tb.tb_frame.f_code.co_filename).startswith(_here):
        tb = tb.tb_next
    exc.__traceback__ = tb


def _pickle_chain(exc: BaseException) -> Optional[bytes]:
    import cloudpickle

    chain = [exc]
    while chain[-1].__cause__ is not None and len(chain) < 8 and chain[-1].__cause__ not in chain:
        chain.append(chain[-1].__cause__)
    for n in (len(chain), 1):
        try:
            data = cloudpickle.dumps(chain[:n], protocol=5)
            import pickle

            pickle.loads(data)  # many classes pickle but cannot be rebuilt: better found here, where the class is known
            return data
        except Exception:
            continue
    return None


def _stand_in(exc: BaseException, text: str) -> Optional[BaseException]:
    """For an exception that cannot be rebuilt from its pickle: one of its nearest base that can, with its text."""
    for base in type(exc).__mro__[1:]:
        if base in (Exception, BaseException) or not issubclass(base, BaseException):
            break
        try:
            made = base(text)
            if str(made) == text and _pickle_chain(made) is not None:
                return made
        except Exception:
            continue
    return None


def encode(exc: BaseException, function_name: str, actor: Optional[str]) -> tuple:
    """The plain tuple that exceptions._from_error reads."""
    from .exceptions import RayTaskError

    pid = os.getpid()
    if isinstance(exc, ActorExit):
        return ("exit", function_name, "SystemExit", "The actor is dead because its method called exit_actor().", "", pid,
                None, actor or "")
    if isinstance(exc, SystemExit):
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
    exc.__traceback__ = None
    data = _pickle_chain(inner)
    if data is None and (other := _stand_in(inner, text)) is not None:
        other.__cause__ = inner.__cause__
        data = _pickle_chain(other)
        trace = f"{trace.rstrip()}\n(a {type(inner).__name__} cannot be rebuilt from its pickle: it arrives as {type(other).__name__})\n"
    return ("task", function_name, type(inner).__name__, text, _plain(trace), pid, data, actor)


def _plain(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
