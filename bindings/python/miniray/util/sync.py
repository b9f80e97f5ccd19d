"""Event, Lock and Semaphore for tasks and actors; a copy in another process is the same one.  Each is an actor.

A holder that dies without release() keeps what it holds: use a timeout where that can happen.
"""

from __future__ import annotations

import asyncio
from typing import Any, Dict, Optional

from .. import _remote
from .queue import ask, check_timeout

__all__ = ["Event", "Lock", "Semaphore"]


class _Permits:
    def __init__(self, value: int, most: Optional[int]):
        self.free = asyncio.Semaphore(value)
        self.value, self.most = value, most

    async def acquire(self, timeout: Optional[float]) -> bool:
        if timeout is not None and timeout <= 0:  # wait_for() would not even try
            if self.free.locked():
                return False
            timeout = None
        try:
            await asyncio.wait_for(self.free.acquire(), timeout)
        except asyncio.TimeoutError:
            return False
        self.value -= 1
        return True

    def release(self, n: int) -> bool:
        if self.most is not None and self.value + n > self.most:
            return False
        self.value += n
        for _ in range(n):
            self.free.release()
        return True

    def count(self) -> int:
        return self.value


class _Flag:
    def __init__(self) -> None:
        self.event = asyncio.Event()

    async def wait(self, timeout: Optional[float]) -> bool:
        try:
            return await asyncio.wait_for(self.event.wait(), timeout)
        except asyncio.TimeoutError:
            return False

    def change(self, value: bool) -> None:
        (self.event.set if value else self.event.clear)()

    def is_set(self) -> bool:
        return self.event.is_set()


def _actor(cls: type, options: Optional[Dict[str, Any]], *args: Any) -> Any:
    return _remote.remote(cls).options(**{"max_concurrency": 10000, **(options or {})}).remote(*args)


class Semaphore:
    """Like threading.Semaphore: at most `value` holders.  actor_options: of its actor."""

    _most: Optional[int] = None

    def __init__(self, value: int = 1, actor_options: Optional[Dict[str, Any]] = None):
        if value < 0:
            raise ValueError("semaphore initial value must be >= 0")
        self.actor = _actor(_Permits, actor_options, value, self._most)

    def acquire(self, blocking: bool = True, timeout: Optional[float] = None) -> bool:
        """Waits for a permit, at most `timeout` seconds; blocking=False: does not wait.  Was there one?

        Raises ValueError for a negative timeout, and for one without blocking.
        """
        if not blocking and timeout is not None:
            raise ValueError("can't specify timeout for non-blocking acquire")
        check_timeout(timeout)
        return ask(self.actor.acquire.remote(timeout if blocking else 0))

    async def acquire_async(self, timeout: Optional[float] = None) -> bool:
        """acquire() for coroutines: waits at most `timeout` seconds.  Raises ValueError for a negative timeout."""
        check_timeout(timeout)
        return await self.actor.acquire.remote(timeout)

    def release(self, n: int = 1) -> None:
        """Gives n permits back; the longest waiting ones get them."""
        if n < 1:
            raise ValueError("n must be one or more")
        if not ask(self.actor.release.remote(n)):
            raise RuntimeError("release unlocked lock")

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *exc: Any) -> None:
        self.release()

    async def __aenter__(self) -> bool:
        return await self.acquire_async()

    async def __aexit__(self, *exc: Any) -> None:
        await self.actor.release.remote(1)


class Lock(Semaphore):
    """Like threading.Lock: one holder; any process may release it.  RuntimeError for a release of a free one."""

    _most = 1

    def __init__(self, actor_options: Optional[Dict[str, Any]] = None):
        super().__init__(1, actor_options)

    def locked(self) -> bool:
        """Does anybody hold it?"""
        return ask(self.actor.count.remote()) == 0


class Event:
    """Like threading.Event.  actor_options: of its actor."""

    def __init__(self, actor_options: Optional[Dict[str, Any]] = None):
        self.actor = _actor(_Flag, actor_options)

    def set(self) -> None:
        """Lets all go who wait, and who will."""
        ask(self.actor.change.remote(True))

    def clear(self) -> None:
        """Who waits from now on, waits."""
        ask(self.actor.change.remote(False))

    def is_set(self) -> bool:
        """Was it set?"""
        return ask(self.actor.is_set.remote())

    def wait(self, timeout: Optional[float] = None) -> bool:
        """Waits until it is set, at most `timeout` seconds.  Is it?  Raises ValueError for a negative timeout."""
        check_timeout(timeout)
        return ask(self.actor.wait.remote(timeout))

    async def wait_async(self, timeout: Optional[float] = None) -> bool:
        """wait() for coroutines: at most `timeout` seconds.  Raises ValueError for a negative timeout."""
        check_timeout(timeout)
        return await self.actor.wait.remote(timeout)
