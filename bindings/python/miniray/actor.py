"""Ray's module of this name: what programs import from it."""

from ._actor import ActorClass, ActorClassInheritanceException, ActorHandle, ActorMethod, exit_actor, method

__all__ = ["ActorClass", "ActorClassInheritanceException", "ActorHandle", "ActorMethod", "exit_actor", "method"]
