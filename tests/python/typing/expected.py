# What a checker knows of a program; test_typing.py runs mypy over it.  A line that ends with "# wrong" must be an error, every
# other one none.
from typing import Any, Iterator, List, Tuple

from typing_extensions import assert_type

import miniray as ray
from miniray import ActorClass, ActorHandle, ObjectRef, ObjectRefGenerator, RemoteFunction
from miniray.util import state

@ray.remote
def add(a: int, b: int = 1) -> float:
    return float(a + b)

assert_type(add.remote(1), ObjectRef[float])
assert_type(add.remote(add.remote(1), b=2), ObjectRef[float])
assert_type(add.options(num_cpus=2).remote(1), ObjectRef[float])
assert_type(ray.get(add.remote(1)), float)
assert_type(ray.get([add.remote(i) for i in range(3)], timeout=1.5), List[float])
reveal_type(add)

@ray.remote(num_cpus=0.5)
def text(x: bytes) -> str:
    return x.decode()

assert_type(ray.get(text.remote(b"")), str)

@ray.remote(num_returns=2)
def pair() -> Tuple[int, str]:
    return 1, ""

one, two = pair.remote()

@ray.remote
def count(n: int) -> Iterator[int]:
    yield from range(n)

assert_type(count.remote(3), ObjectRefGenerator[int])
for ref in count.remote(3):
    assert_type(ray.get(ref), int)

class _Counter:
    def __init__(self, start: int = 0) -> None:
        self.n = start

    @ray.method(num_returns=2)
    def add(self, k: int) -> Tuple[int, int]:
        return k, self.n

Counter = ray.remote(_Counter)  # as a decorator of a class, mypy does not look at what it gives
assert_type(Counter, ActorClass[_Counter])
assert_type(ray.remote(num_cpus=2)(_Counter).remote(), ActorHandle[_Counter])
counter = Counter.options(name="c").remote(3)
reveal_type(counter)
counter.add.remote(2)
ray.kill(counter)

assert_type(ray.put("x"), ObjectRef[str])
ready, rest = ray.wait([add.remote(1)], num_returns=1, timeout=0.5)
assert_type(ready, List[ObjectRef[float]])
assert_type(state.list_tasks()[0].state, str)

async def later() -> None:
    assert_type(await add.remote(1), float)

with ray.init(num_cpus=2, namespace="n") as context:
    assert_type(context.namespace, str)

ray.get(5)  # wrong
ray.init(num_cpus="2")  # wrong
ray.nothing  # wrong
add.remote(1).upper()  # wrong
