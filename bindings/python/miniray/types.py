"""Ray's module of this name: what programs import from it."""

from ._core import ObjectRef

__all__ = ["ObjectRef"]
