# What editors and checkers see of remote functions: RemoteFunction[parameters, what remote() gives].  remote() shows the
# signature of the function; that a reference may stand for any argument is its second form, so arguments are checked when
# it is called, as always.  With num_returns, what it gives is not known here.
from typing import Any, Callable, Dict, Generic, NoReturn, Optional, ParamSpec, TypeVar, Union, overload

from . import _core
from ._core import ObjectRef

_P = ParamSpec("_P")
_R = TypeVar("_R")

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
    _is_class: bool
    _exports: Any
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
