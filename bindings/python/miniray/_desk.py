"""Asks a session about itself: the one of this process, or another of this user through the socket in its folder."""

from __future__ import annotations

import errno
import json
import os
import socket
import time
from typing import Any, Dict, List, Optional

from . import _core

_PREFIX = "miniray-session-"


def folders() -> "List[str]":
    """The folders of the sessions of this user on this machine, newest first; some may be of sessions that were killed."""
    places = [os.environ.get("XDG_RUNTIME_DIR", ""), os.environ.get("TMPDIR", ""), "/tmp"]
    found = []
    for place in dict.fromkeys(p for p in places if p.startswith("/")):
        try:
            entries = list(os.scandir(place))
        except OSError:
            continue
        for entry in entries:
            try:
                if entry.name.startswith(_PREFIX) and entry.stat(follow_symlinks=False).st_uid == os.geteuid():
                    found.append((entry.stat(follow_symlinks=False).st_mtime, entry.path))
            except OSError:
                continue  # it went while we looked
    return [path for _, path in sorted(found, reverse=True)]


def ask(folder: str, what: str, timeout: float = 30) -> Any:
    """One table of the session with that folder.  timeout: seconds.  ConnectionError if nobody answers, PermissionError
    for a folder of another user, ValueError for a table that does not exist."""
    try:
        if os.stat(folder).st_uid != os.geteuid():
            raise PermissionError(f"{folder} belongs to another user")
    except FileNotFoundError:
        raise ConnectionError(f"there is no session in {folder} (any more)") from None
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(timeout)
        parts = []
        try:
            until = time.monotonic() + timeout
            while (why := line.connect_ex(os.path.join(folder, "socket"))) == errno.EAGAIN and time.monotonic() < until:
                time.sleep(0.01)  # many ask at once
            if why:
                raise OSError(why, os.strerror(why))
            line.sendall(what.encode() + b"\n")
            while part := line.recv(1 << 20):
                parts.append(part)
        except OSError as why:
            raise ConnectionError(f"the session in {folder} does not answer ({why})") from None
    if not parts:
        raise ConnectionError(f"the session in {folder} does not answer: it is ending, or of another user")
    answer = json.loads(b"".join(parts))
    if isinstance(answer, dict) and set(answer) == {"error"}:
        raise ValueError(answer["error"])
    return answer


def sessions() -> "List[Dict[str, Any]]":
    """What each living session of this user says of itself, newest first; ``folder`` among it."""
    out = []
    for folder in folders():
        try:
            out.append({**ask(folder, "session", timeout=5), "folder": folder})
        except (OSError, ValueError):
            continue
    return out


def choose(address: Optional[str] = None) -> str:
    """The folder of the session that `address` names: a folder, the first digits of a session's number, or its driver's
    pid; None or "auto": the one that there is.  ConnectionError lists them where there is none or there are several."""
    if address is None or address == "auto":
        own = os.environ.get("MINIRAY_FOLDER", "")
        if own and os.path.exists(os.path.join(own, "socket")):
            return own  # of the session whose worker started this process
    elif "/" in address:
        return address
    found = sessions()
    if address is not None and address != "auto":
        found = [s for s in found if s["session"].startswith(address) or str(s["pid"]) == address]
    if len(found) == 1:
        return found[0]["folder"]
    if not found:
        named = "" if address in (None, "auto") else f" named {address!r}"
        raise ConnectionError(f"Could not find any running session{named} of this user: miniray has no daemon, so a program "
                              "that called init() has to run")
    rows = "\n".join(f"  {s['session']}  pid {s['pid']}  {s['folder']}" for s in found)
    raise ConnectionError(f"several sessions run; say which one (--session, address=), by the first digits of its number or by "
                          f"the pid of its driver:\n{rows}")


class Source:
    """Where tables come from: call it with a table's name."""

    def __init__(self, address: Optional[str] = None, timeout: float = 30):
        own = _core.session_number()
        is_ours = own and (address in (None, "auto", "local") or f"{own:016x}".startswith(str(address)))
        self.folder = None if is_ours else choose(address)
        self._timeout = timeout
        self._session: "Optional[Dict[str, Any]]" = None

    def __call__(self, what: str) -> Any:
        return json.loads(_core.state(what)) if self.folder is None else ask(self.folder, what, self._timeout)

    @property
    def session(self) -> "Dict[str, Any]":
        """What the session says of itself."""
        if self._session is None:
            self._session = self("session")
        return self._session

    def unix_ms(self, at: int) -> Optional[int]:
        """ns since the session began as ms since 1970; None for -1."""
        return None if at < 0 else (self.session["origin_ns"] + at) // 1_000_000
