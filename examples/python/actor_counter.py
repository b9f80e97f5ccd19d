"""An actor: an object in a process of its own; the calls of one caller run in their order."""

import miniray as ray


@ray.remote
class Counter:
    def __init__(self, start=0):
        self.value = start

    def increment(self, by=1):
        self.value += by
        return self.value


@ray.remote
def count_to(counter, n):
    """A handle can be passed on: this task counts with the same actor."""
    for _ in range(n):
        last = ray.get(counter.increment.remote())
    return last


def main() -> None:
    with ray.init(num_workers=2):
        counter = Counter.remote()
        print("ten increments:", ray.get([counter.increment.remote() for _ in range(10)]))
        print("after a task's five more:", ray.get(count_to.remote(counter, 5)))


if __name__ == "__main__":
    main()
