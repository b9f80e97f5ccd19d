# What editors and checkers see of the decorator.
from typing import Any, Callable, Generator, Iterator, ParamSpec, Protocol, TypeVar, Union, overload

from ._actor import ActorClass
from ._core import ObjectRef
from ._function import RemoteFunction
from ._generator import ObjectRefGenerator

_P = ParamSpec("_P")
_R = TypeVar("_R")
_T = TypeVar("_T")

# A class is a callable too, and a generator function one that returns something: the first form that fits is meant.
class _Remote(Protocol):
    @overload
    def __call__(self, target: type[_T], /) -> ActorClass[_T]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, target: Callable[_P, Generator[_T, Any, Any]], /) -> RemoteFunction[_P, ObjectRefGenerator[_T]]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, target: Callable[_P, Iterator[_T]], /) -> RemoteFunction[_P, ObjectRefGenerator[_T]]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, target: Callable[_P, _R], /) -> RemoteFunction[_P, ObjectRef[_R]]: ...

class _RemoteMany(Protocol):
    def __call__(self, target: Callable[_P, Any], /) -> RemoteFunction[_P, Any]: ...

@overload
def remote(target: type[_T], /) -> ActorClass[_T]: ...  # type: ignore[overload-overlap]
@overload
def remote(target: Callable[_P, Generator[_T, Any, Any]], /) -> RemoteFunction[_P, ObjectRefGenerator[_T]]: ...  # type: ignore[overload-overlap]
@overload
def remote(target: Callable[_P, Iterator[_T]], /) -> RemoteFunction[_P, ObjectRefGenerator[_T]]: ...  # type: ignore[overload-overlap]
@overload
def remote(target: Callable[_P, _R], /) -> RemoteFunction[_P, ObjectRef[_R]]: ...
@overload
def remote(*, num_returns: Union[int, str], **options: Any) -> _RemoteMany: ...
@overload
def remote(**options: Any) -> _Remote: ...
