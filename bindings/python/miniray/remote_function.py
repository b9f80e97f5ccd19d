"""Ray's module of this name: what programs import from it."""

from ._function import RemoteFunction

__all__ = ["RemoteFunction"]
