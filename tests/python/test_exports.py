"""A function or class is sent to a session once, however it is called: from itself, with other options, or by another process."""

import gc

import pytest

import miniray as ray
from miniray import _session


@pytest.fixture
def session():
    ray.init(num_cpus=2)
    yield
    ray.shutdown()


def codes():
    """How many pieces of code the session has."""
    return sum(row["code"] for row in _session.state("objects"))


def test_a_function_that_calls_itself(session):
    @ray.remote
    def down(n, step=1):
        return n if n <= 0 else ray.get(down.remote(n - step))

    assert ray.get(down.remote(6)) == 0
    assert ray.get(down.options(num_cpus=0.5).remote(6)) == 0
    assert codes() == 2


def test_functions_that_call_each_other(session):
    @ray.remote
    def even(n, one=1):
        return n == 0 or ray.get(odd.remote(n - one))

    @ray.remote
    def odd(n, one=1):
        return n != 0 and ray.get(even.remote(n - one))

    assert ray.get([even.remote(5), odd.remote(5)]) == [False, True]
    assert codes() <= 2 + len(_session.state("workers")), "one of them is sent once, the other by each process that needs it"


def test_a_class_that_makes_its_own(session):
    @ray.remote(num_cpus=0)
    class Node:
        def __init__(self, depth=3):
            self.below = Node.remote(depth - 1) if depth else None

        def count(self):
            return 1 + (ray.get(self.below.count.remote()) if self.below else 0)

        def again(self):
            return ray.get(Node.options(num_cpus=0).remote(0).count.remote())

    top = Node.remote()
    assert ray.get([top.count.remote(), top.again.remote()]) == [4, 1]
    assert codes() == 1
    del top
    gc.collect()


@pytest.mark.parametrize("in_worker", [False, True])
def test_options_send_nothing_again(session, in_worker):
    @ray.remote
    def one():
        return 1

    @ray.remote(num_cpus=0)
    class Own:
        def get(self):
            return 1

    def many(n):
        actors = [Own.options(max_restarts=i % 2, name=f"own {i}").remote() for i in range(n)]
        return sum(ray.get([one.options(name=f"one {i}", max_retries=i % 3).remote() for i in range(n)] + [a.get.remote() for a in actors]))

    assert (ray.get(ray.remote(many).options(num_cpus=0).remote(4)) if in_worker else many(4)) == 8
    assert codes() == 2, "and nobody can call `many` any more"


def test_what_the_options_change_is_sent_anew(session, tmp_path):
    @ray.remote(runtime_env={"env_vars": {"WHO": "first"}})
    def who():
        import os
        return os.environ["WHO"], ray.get_runtime_context().get_assigned_resources()["CPU"]

    other = who.options(runtime_env={"env_vars": {"WHO": "second"}})
    assert ray.get([who.remote(), other.remote(), other.options(num_cpus=2).remote()]) == [("first", 1.0), ("second", 1.0), ("second", 2.0)]

    @ray.remote(max_retries=1, retry_exceptions=[ValueError])
    def fails(path, kind):
        with open(path, "a") as file:
            file.write("x")
        raise kind("again")

    for f, kind, runs in [(fails, KeyError, 1), (fails, ValueError, 2), (fails.options(retry_exceptions=[KeyError]), ValueError, 1)]:
        path = tmp_path / f"runs of {kind.__name__} {runs}"
        with pytest.raises(kind):
            ray.get(f.remote(path, kind))
        assert path.read_text() == runs * "x"


def test_a_function_given_as_an_argument(session):
    @ray.remote
    def inner(x, k=2):
        return x * k

    @ray.remote
    def outer(f, x):
        return ray.get(f.remote(x))

    assert ray.get([outer.remote(inner, i) for i in range(8)]) == [2 * i for i in range(8)]
    assert codes() == 2


def test_a_definition_is_known_again(session):
    @ray.remote
    def one():
        return 1

    numbers = set()
    for _ in range(5):
        f = one.options(num_cpus=0.5)
        ray.get(f.remote())
        numbers.add(f._number)
    assert len(numbers) == 1
