"""A first-in-first-out queue for tasks and actors: ``miniray.util.queue.Queue(maxsize=100)``; a copy of it in another
process is the same queue."""

from __future__ import annotations

import asyncio
import queue
from typing import Any, Dict, Iterable, List, Optional

from .. import _api, _core, _remote, _wait
from .._actor import ActorHandle

__all__ = ["Empty", "Full", "Queue"]


class Empty(queue.Empty):
    """Nothing is in the queue."""


class Full(queue.Full):
    """The queue holds maxsize items."""


class _Store:
    """The actor that holds the items.  Answers say whether it worked, so that a full queue is no error of a task."""

    def __init__(self, maxsize: int):
        self.queue: "asyncio.Queue[Any]" = asyncio.Queue(maxsize)

    async def put(self, item: Any, timeout: Optional[float]) -> bool:
        try:
            await asyncio.wait_for(self.queue.put(item), timeout)
        except asyncio.TimeoutError:
            return False
        return True

    async def get(self, timeout: Optional[float]) -> tuple:
        try:
            return True, await asyncio.wait_for(self.queue.get(), timeout)
        except asyncio.TimeoutError:
            return False, None

    def put_now(self, items: List[Any]) -> int:
        """Puts all or none; returns how many are there."""
        if not self.queue.maxsize or self.queue.qsize() + len(items) <= self.queue.maxsize:
            for item in items:
                self.queue.put_nowait(item)
            return -1
        return self.queue.qsize()

    def get_now(self, n: int) -> Any:
        """n items, or how many there are when that is less."""
        if self.queue.qsize() < n:
            return self.queue.qsize()
        return [self.queue.get_nowait() for _ in range(n)]

    def size(self) -> int:
        return self.queue.qsize()


def ask(ref: Any) -> Any:
    """get(); a caller who is interrupted takes its request back."""
    try:
        return _core.get(ref)
    except (KeyboardInterrupt, SystemExit):
        _api.cancel(ref)
        raise


def check_timeout(timeout: Optional[float]) -> None:
    if timeout is not None and timeout < 0:
        raise ValueError("'timeout' must be a non-negative number")


class Queue:
    """Like queue.Queue, with batches and async methods; it is an actor.

    maxsize: 0 for any number of items.  actor_options: of the actor (name, num_cpus, ...).
    """

    def __init__(self, maxsize: int = 0, actor_options: Optional[Dict[str, Any]] = None):
        from .._actor import ActorClass

        self.maxsize = maxsize
        made: ActorClass = _remote.remote(_Store)
        self.actor: ActorHandle = made.options(**{"max_concurrency": 1000, **(actor_options or {})}).remote(maxsize)

    def __len__(self) -> int:
        return self.size()

    def size(self) -> int:
        """How many items there are."""
        return ask(self.actor.size.remote())

    def qsize(self) -> int:
        """How many items there are."""
        return self.size()

    def empty(self) -> bool:
        """Is there no item?"""
        return self.size() == 0

    def full(self) -> bool:
        """Are there maxsize items?"""
        return 0 < self.maxsize <= self.size()

    def put(self, item: Any, block: bool = True, timeout: Optional[float] = None) -> None:
        """Adds an item; waits for room, at most `timeout` seconds, else raises Full.  block=False: does not wait."""
        check_timeout(timeout)
        if not block or timeout == 0:
            return self.put_nowait(item)
        if not ask(self.actor.put.remote(item, timeout)):
            raise Full

    async def put_async(self, item: Any, block: bool = True, timeout: Optional[float] = None) -> None:
        """put() for coroutines: waits at most `timeout` seconds, else raises Full."""
        check_timeout(timeout)
        if not (await self.actor.put.remote(item, timeout) if block and timeout != 0 else await self.actor.put_now.remote([item]) < 0):
            raise Full

    def get(self, block: bool = True, timeout: Optional[float] = None) -> Any:
        """Takes the oldest item; waits for one, at most `timeout` seconds, else raises Empty.  block=False: does not wait."""
        check_timeout(timeout)
        if not block or timeout == 0:
            return self.get_nowait()
        return _item(ask(self.actor.get.remote(timeout)))

    async def get_async(self, block: bool = True, timeout: Optional[float] = None) -> Any:
        """get() for coroutines: waits at most `timeout` seconds, else raises Empty."""
        check_timeout(timeout)
        if block and timeout != 0:
            return _item(await self.actor.get.remote(timeout))
        found = await self.actor.get_now.remote(1)
        return _item((isinstance(found, list), found[0] if isinstance(found, list) else None))

    def put_nowait(self, item: Any) -> None:
        """put() that raises Full instead of waiting."""
        if ask(self.actor.put_now.remote([item])) >= 0:
            raise Full

    def put_nowait_batch(self, items: Iterable[Any]) -> None:
        """Adds all the items, or none and raises Full."""
        if not isinstance(items, Iterable):
            raise TypeError("Argument 'items' must be an Iterable")
        items = list(items)
        there = ask(self.actor.put_now.remote(items))
        if there >= 0:
            raise Full(f"Cannot add {len(items)} items to queue of size {there} and maxsize {self.maxsize}.")

    def get_nowait(self) -> Any:
        """get() that raises Empty instead of waiting."""
        return self.get_nowait_batch(1)[0]

    def get_nowait_batch(self, num_items: int) -> List[Any]:
        """Takes so many items, or none and raises Empty."""
        if not isinstance(num_items, int):
            raise TypeError("Argument 'num_items' must be an int")
        if num_items < 0:
            raise ValueError("'num_items' must be nonnegative")
        found = ask(self.actor.get_now.remote(num_items))
        if not isinstance(found, list):
            raise Empty(f"Cannot get {num_items} items from queue of size {found}.")
        return found

    def shutdown(self, force: bool = False, grace_period_s: int = 5) -> None:
        """Ends the actor: who waits, and who comes later, gets an ActorDiedError.  force: without letting calls end."""
        if not force:
            _wait.look([self.actor.__ray_terminate__.remote()], 1, grace_period_s)
        _api.kill(self.actor, no_restart=True)


def _item(answer: tuple) -> Any:
    there, item = answer
    if not there:
        raise Empty
    return item
