# What editors and checkers see of remote functions: RemoteFunction[parameters, what remote() gives].  remote() shows the
# signature of the function; that a reference may stand for any argument is its second form, so arguments are checked when
# it is called, as always.  With num_returns, what it gives is not known here.
from typing import Any, Callable, Dict, Generator, Generic, Iterator, NoReturn, Optional, ParamSpec, Protocol, TypeVar, Union, overload

from . import _core
from ._actor import ActorClass
from ._core import ObjectRef
from ._generator import ObjectRefGenerator

_P = ParamSpec("_P")
_R = TypeVar("_R")
_T = TypeVar("_T")

MAX_CODE: int

class Code:
    env: Dict[str, Any]
    actor: Dict[str, Any]
    retry: Any
    held: Dict[str, float]
    def __init__(self, target: Any, env: Dict[str, Any], retry: Any, held: Dict[str, float], actor: Optional[Dict[str, Any]] = None, pickled: Optional[bytes] = None) -> None: ...
    @property
    def target(self) -> Any: ...
    def __reduce__(self) -> Any: ...

def export(target: Any, options: Dict[str, Any], name: str, actor: bool) -> ObjectRef[Any]: ...
def qualified(target: Any) -> str: ...
def n_returns(returns: Any) -> int: ...
def check_yields(function: Callable[..., Any], returns: Any) -> None: ...
def results(options: Dict[str, Any], n: int) -> Dict[str, Any]: ...

class RemoteFunction(_core.Submitter, Generic[_P, _R]):
    _function: Optional[Callable[_P, Any]]
    _options: Dict[str, Any]
    _described: Any
    _name: str
    _code: Any
    _base: int
    def __init__(self, function: Optional[Callable[_P, Any]], options: Dict[str, Any], described: Any = None,
                 name: str = "") -> None: ...
    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn: ...
    @overload  # type: ignore[override]
    def remote(self, *args: _P.args, **kwargs: _P.kwargs) -> _R: ...
    @overload
    def remote(self, *args: Any, **kwargs: Any) -> _R: ...
    @overload
    def options(self, *, num_returns: Union[int, str], **options: Any) -> RemoteFunction[_P, Any]: ...
    @overload
    def options(self, **options: Any) -> RemoteFunction[_P, _R]: ...
    def bind(self, *args: Any, **kwargs: Any) -> NoReturn: ...
    def __reduce__(self) -> Any: ...

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
