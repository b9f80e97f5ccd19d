"""What remote generators give: references one by one while the task runs, or all of them at its end."""

from __future__ import annotations

from typing import Any, Iterator, List, Optional

from . import _core
from .exceptions import GetTimeoutError


class ObjectRefGenerator:
    """The references of a streaming task's items, in order; each comes as soon as its item is made.

    A task that fails, is cancelled or whose worker dies gives one last reference, whose get() raises; then StopIteration.
    Any thread; with several readers each item goes to one of them.
    """

    def __init__(self, task: "_core.ObjectRef", done: "_core.ObjectRef"):
        self._task = task
        self._done = done
        self._ended = False
        self._kept: "List[_core.ObjectRef]" = []  # taken by is_finished(), not given yet

    def __del__(self) -> None:
        """The node is told at once: a producer that waits for its reader holds a CPU."""
        if getattr(self, "_task", None) is not None and not self._ended:
            del self._task
            _core.flush()

    def __iter__(self) -> "ObjectRefGenerator":
        return self

    def __next__(self) -> "_core.ObjectRef":
        return self._next(None)

    def _next(self, timeout: Optional[float]) -> "_core.ObjectRef":
        while not self._ended:
            try:
                return self._kept.pop()
            except IndexError:
                pass
            item = _core.next_item(self._task, timeout)
            if item is not None:
                return item
            self._ended = True
            if self._failed():
                return self._done  # its value is the error, which get() raises
        raise StopIteration

    def _next_sync(self, timeout_s: Optional[float] = None) -> "_core.ObjectRef":
        """The next reference; after `timeout_s` seconds without one, ObjectRef.nil() as a reference."""
        try:
            return self._next(timeout_s)
        except GetTimeoutError:
            return _core.ObjectRef.nil()

    def _failed(self) -> bool:
        try:
            _core.get(self._done)
        except Exception:
            return True
        return False

    def __aiter__(self) -> "ObjectRefGenerator":
        return self

    async def __anext__(self) -> "_core.ObjectRef":
        from ._async import ready

        while True:
            try:
                return self._next(0)
            except StopIteration:
                raise StopAsyncIteration from None
            except GetTimeoutError:
                await ready(self._task)

    def completed(self) -> "_core.ObjectRef":
        """A reference that is ready when the task has ended: None, or its error."""
        return self._done

    def next_ready(self) -> bool:
        """Would next() return, or end, without waiting?"""
        return bool(self._ended or self._kept or _core.wait([self._task], 1, 0)[0])

    def is_finished(self) -> bool:
        """Has the task ended, and was the last item taken?  (An error is an item.)"""
        if not self._ended and not self._kept and _core.contains(self._done):
            item = _core.next_item(self._task, None)
            if item is not None:
                self._kept.append(item)
            elif not self._failed():
                self._ended = True
        return self._ended

    def task_id(self) -> Any:
        """The TaskID of the generator's task."""
        from ._ids import TaskID

        return TaskID.of(self._task._id)

    def __reduce__(self):
        raise TypeError("an ObjectRefGenerator cannot be passed on or pickled; pass the references that it gives")

    def __repr__(self) -> str:
        return f"ObjectRefGenerator({self._task.hex()})"


class DynamicObjectRefGenerator:
    """The value of a task with num_returns="dynamic": the references of all that it yielded.  Can be passed on."""

    def __init__(self, refs: "List[_core.ObjectRef]"):
        self._refs = refs

    def __iter__(self) -> "Iterator[_core.ObjectRef]":
        return iter(self._refs)

    def __len__(self) -> int:
        return len(self._refs)

    def __getitem__(self, i: Any) -> Any:
        return self._refs[i]

    def __repr__(self) -> str:
        return f"DynamicObjectRefGenerator({len(self._refs)} references)"
