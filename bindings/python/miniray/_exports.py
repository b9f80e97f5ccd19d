"""What of a function or class is in the session.

Its code is sent once, and shared by all that options() makes of it and by every process that it comes to: what other code
refers to is sent before that code, and by reference; what refers to itself finds itself when it is loaded.  Of two that
refer to each other one lies in the other's code, and each process that calls it sends it once.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from . import _core, _env, _options, _pickle, _session
from ._code import Code

MAX_CODE = 95 << 20
_ACTOR = ("concurrency_groups", "max_task_retries", "max_pending_calls")  # what handles are made by


class _Thread(threading.local):
    def __init__(self) -> None:
        self.sent: "List[Tuple[Any, tuple]]" = []  # what this thread is sending, innermost last: a function or class, its key
        self.loaded: Optional[tuple] = None  # what it is loading: code, number, and itself where it is there


_thread = _Thread()


class Exports:
    """The code of one function or class in this session, by what of its options and environment the code depends on."""

    def __init__(self) -> None:
        self._session = 0
        self._codes: "Dict[tuple, Tuple[Any, Any]]" = {}  # the code; what the key has only the address of

    def find(self, key: tuple) -> Any:
        code, _ = self._codes.get(key, (None, None)) if self._session == _core.session_number() else (None, None)
        return code

    def know(self, key: tuple, code: Any, options: Dict[str, Any]) -> None:
        if self._session != _core.session_number():
            self._session, self._codes = _core.session_number(), {}
        self._codes[key] = code, options.get("retry_exceptions")


def _key(owner: Any) -> tuple:
    options = owner._options
    retry = options.get("retry_exceptions", False)
    return (repr(_env.merged(_env.current, options.get("runtime_env", {}))), tuple(map(id, retry)) if isinstance(retry, (list, tuple)) else retry,
            repr(_options.held(options, owner._is_class)), repr([options.get(name) for name in _ACTOR]))


def send(owner: Any, name: str) -> "_core.ObjectRef":
    """The code of a remote function or class in the session.  TypeError: it cannot be pickled; ValueError: it is too large."""
    key, options = _key(owner), owner._options
    found = owner._exports.find(key)
    if found is not None:
        return found
    env = _env.merged(_env.current, options.get("runtime_env", {}))
    code = Code(owner._target(), env, options.get("retry_exceptions", False), _options.held(options, owner._is_class),
                {key: options[key] for key in _ACTOR if owner._is_class and key in options})
    _thread.sent.append((owner, key))
    try:
        with _pickle.code_limit(name, MAX_CODE) as limit:
            sent: Any = _core.put(code)
        if limit.holds:  # whoever has loaded it looks at it too: so it is held by another, which only those hold who can call it
            sent = _core.put((sent,))
    finally:
        _thread.sent.pop()
    owner._exports.know(key, sent, options)
    return sent


def fetch(code: "_core.ObjectRef") -> Code:
    """What send() has sent."""
    found = _core.get(code)
    return _core.get(found[0]) if isinstance(found, tuple) else found


def share(owner: Any, other: Any) -> Any:
    """`other`, which options() has made of `owner`, with what is known of the code."""
    if is_there(owner) and owner._base == _env.number(_env.current):
        owner._exports.know(_key(owner), owner._code, owner._options)
    other._exports = owner._exports
    return other


def is_there(owner: Any) -> bool:
    return owner._code is not None and owner._code._session == _core.session_number()


def reduce(owner: Any, attached: Callable[[], tuple], itself: Callable[[bool], tuple], whole: Callable[[], tuple]) -> tuple:
    """How a function or class is pickled: attached() where its code is in the session, sent now if it has to be, itself(same)
    in its own code, else whole()."""
    if _core.encoding() is None or _session.local is not None:
        return whole()
    if _thread.sent:
        sending, key = _thread.sent[-1]
        if sending is owner or (sending._exports is owner._exports and key == _key(owner)):
            return itself(sending is owner)
    if not is_there(owner) and all(sending is not owner for sending, _ in _thread.sent):
        owner._prepare()
    return attached() if is_there(owner) else whole()


@contextlib.contextmanager
def loading(code: Any, number: int, known: Any = None) -> Iterator[None]:
    """While it is entered, what is loaded is function `number`, and finds itself: `known`, or as it is in this process."""
    before = _thread.loaded
    _thread.loaded = code, number, known
    try:
        yield
    finally:
        _thread.loaded = before


def loaded(same: bool) -> "Tuple[Any, int, int, Any]":
    """Code, number, the session that it is good for, and itself, of what is being loaded; not `same`: with other options."""
    assert _thread.loaded is not None, "the code of a function is loaded by what knows its number"
    code, number, known = _thread.loaded
    return (code, number, _core.session_number(), known) if same else (code, 0, 0, None)
