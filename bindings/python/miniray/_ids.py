"""Ids as Ray's programs see them: opaque bytes of a fixed length, made from the core's 64-bit numbers at this edge.

A number is good within one session, so every id begins with the session's: ids of two sessions are never equal.
"""

from __future__ import annotations

from typing import Any, Optional

from . import _core


class BaseID:
    """Bytes that name something; compared and hashed by value."""

    SIZE = 28

    def __init__(self, id: bytes):
        if not isinstance(id, bytes):
            raise TypeError(f"Unsupported type: {type(id)}: an id is made from bytes")
        if len(id) != self.SIZE:
            raise ValueError(f"{type(self).__name__} has {self.SIZE} bytes, not {len(id)}")
        self._bytes = id

    @classmethod
    def of(cls, number: int, session: Optional[int] = None) -> Any:
        """The id of a number of the core, in this session unless another is given."""
        session = _core.session_number() if session is None else session
        return cls((session.to_bytes(8, "big") + number.to_bytes(8, "big")).ljust(cls.SIZE, b"\0")[:cls.SIZE])

    @classmethod
    def from_hex(cls, text: str) -> Any:
        return cls(bytes.fromhex(text))

    @classmethod
    def from_binary(cls, data: bytes) -> Any:
        return cls(data)

    @classmethod
    def nil(cls) -> Any:
        return cls(b"\xff" * cls.SIZE)

    @classmethod
    def size(cls) -> int:
        """Bytes of such an id."""
        return cls.SIZE

    @property
    def number(self) -> int:
        """The core's number in it."""
        return int.from_bytes(self._bytes[8:16], "big")

    def binary(self) -> bytes:
        return self._bytes

    def hex(self) -> str:
        return self._bytes.hex()

    def is_nil(self) -> bool:
        return self._bytes == b"\xff" * self.SIZE

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._bytes == other._bytes  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((type(self).__name__, self._bytes))

    def __reduce__(self):
        return type(self), (self._bytes,)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.hex()})"


class UniqueID(BaseID):
    """28 bytes."""


class NodeID(UniqueID):
    """Of a node; 28 bytes."""


class WorkerID(UniqueID):
    """Of a worker process; 28 bytes."""


class FunctionID(UniqueID):
    """Of a remote function; 28 bytes."""


class ClusterID(UniqueID):
    """Of a session; 28 bytes."""


class TaskID(BaseID):
    """24 bytes; the ObjectRef of its first result begins with them."""

    SIZE = 24


class ActorID(BaseID):
    """16 bytes."""

    SIZE = 16


class PlacementGroupID(BaseID):
    """18 bytes."""

    SIZE = 18


class JobID(BaseID):
    """4 bytes, of the session."""

    SIZE = 4

    @classmethod
    def from_int(cls, value: int) -> "JobID":
        """The id of that number; OverflowError beyond 32 bits."""
        return cls(value.to_bytes(4, "big"))

    def int(self) -> int:
        """Its number."""
        return int.from_bytes(self._bytes, "big")


def task_hex(number: int) -> Optional[str]:
    """Hex id of a task; None for 0."""
    return TaskID.of(number).hex() if number else None


def actor_hex(number: int) -> Optional[str]:
    """Hex id of an actor; None for 0."""
    return ActorID.of(number).hex() if number else None


def node_hex(number: int, session: Optional[int] = None) -> str:
    """Hex id of a node of this session, unless another is given."""
    return NodeID.of(number, session).hex()


def worker_hex(number: int, session: Optional[int] = None) -> str:
    """Hex id of a worker process; 0: of the driver."""
    return WorkerID.of(number, session).hex()


NO_NODE = 2**32 - 1


def node_number(text: str) -> int:
    """The core's number of a node, from its hex id.  ValueError if that is none; NO_NODE if it is not of this session."""
    made = NodeID.from_hex(text)
    return made.number if made == NodeID.of(made.number) else NO_NODE


def job_hex() -> str:
    """Hex id of the session as a job."""
    return JobID((_core.session_number() >> 32).to_bytes(4, "big")).hex()
