from typing import Any, Generator, List, Optional, Tuple, TypeVar, Union

from ._core import ObjectRef
from ._generator import ObjectRefGenerator

_Ref = TypeVar("_Ref", bound=Union[ObjectRef[Any], ObjectRefGenerator[Any]])

_Any = TypeVar("_Any")

class Waiting(Tuple[List[_Ref], List[_Ref]]):
    def __await__(self) -> Generator[Any, None, Tuple[List[_Ref], List[_Ref]]]: ...

def look(refs: List[_Any], num_returns: int, timeout: Optional[float]) -> Tuple[List[_Any], List[_Any]]: ...
def wait(refs: List[_Ref], *, num_returns: int = 1, timeout: Optional[float] = None, fetch_local: bool = True) -> Waiting[_Ref]: ...
