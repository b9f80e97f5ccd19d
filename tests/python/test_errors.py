"""How a task's exception arrives."""

import dataclasses
import os
import pickle
import sys
import threading

import pytest

import miniray
from miniray.exceptions import RayError, RayTaskError


class WithState(Exception):
    def __init__(self, code, text):
        super().__init__(f"{code}: {text}")
        self.code = code

    def __reduce__(self):
        return WithState, (self.code, "again")


class Unpicklable(Exception):
    def __init__(self, a, b):
        super().__init__("two arguments")


class TwoWords(ValueError):
    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")


class Held(Exception):
    pass


class Final(Exception):
    def __init_subclass__(cls, **kwargs):
        raise TypeError("final")


@miniray.remote
def throw(what):
    def inner():
        if what == "value":
            raise ValueError("bad value", 7)
        if what == "state":
            raise WithState(42, "x")
        if what == "unpicklable":
            raise Unpicklable(1, 2)
        if what == "final":
            raise Final("sealed")
        if what == "cause":
            raise KeyError("outer") from ValueError("inner")
        if what == "os":
            open("/no/such/file")
        if what == "unicode":
            b"\xff".decode()
        if what == "exit":
            sys.exit(3)
        if what == "interrupt":
            raise KeyboardInterrupt
        if what == "stop":
            raise StopIteration("done")
        if what == "recursion":
            return inner()
        if what == "local":
            class Local(Exception):
                pass
            raise Local("made in the task")
        if what == "str":
            class BadStr(Exception):
                def __str__(self):
                    raise RuntimeError("no text")
            raise BadStr()
        if what == "lock":
            import threading
            raise ValueError(threading.Lock())
    inner()


def caught(ray, what):
    with pytest.raises(BaseException) as info:
        ray.get(throw.remote(what), timeout=30)
    return info.value


def test_the_users_class_and_arguments(ray):
    error = caught(ray, "value")
    assert isinstance(error, ValueError) and isinstance(error, RayTaskError) and isinstance(error, RayError)
    assert error.args == ("bad value", 7) and type(error).__name__ == "RayTaskError(ValueError)"
    assert isinstance(error.cause, ValueError) and error.__cause__ is error.cause and error.function_name == "throw"
    assert "ValueError" in str(error) and "bad value" in str(error) and "in inner" in str(error)
    assert "miniray/_worker" not in str(error) and "pid=" in str(error)


def test_state_and_fields(ray):
    error = caught(ray, "state")
    assert isinstance(error, WithState) and error.code == 42
    error = caught(ray, "os")
    assert isinstance(error, FileNotFoundError) and error.errno == 2 and error.filename == "/no/such/file"
    error = caught(ray, "unicode")
    assert isinstance(error, UnicodeDecodeError) and error.reason == "invalid start byte"
    assert isinstance(caught(ray, "stop"), StopIteration)


@pytest.mark.parametrize("what, name", [("unpicklable", "Unpicklable"), ("final", "Final"), ("local", "Local"), ("str", "BadStr"),
                                        ("lock", "ValueError")])
def test_an_exception_that_cannot_travel_still_arrives(ray, what, name):
    error = caught(ray, what)
    assert isinstance(error, RayTaskError) and error.cause_class == name and name in str(error)


def test_causes(ray):
    error = caught(ray, "cause")
    assert isinstance(error, KeyError) and isinstance(error.cause.__cause__, ValueError) and "inner" in str(error)


def test_ends_of_processes(ray):
    error = caught(ray, "exit")
    assert type(error) is miniray.exceptions.WorkerCrashedError and "sys.exit(3)" in str(error)
    assert type(caught(ray, "interrupt")) is miniray.exceptions.TaskCancelledError
    assert isinstance(caught(ray, "recursion"), RecursionError)


def test_errors_pass_through_tasks(ray):
    @ray.remote
    def outer():
        miniray.get(throw.remote("value"))

    @ray.remote
    def needs(x):
        return x

    with pytest.raises(ValueError) as info:
        ray.get(outer.remote())
    assert info.value.args == ("bad value", 7) and "in inner" in str(info.value) and "in outer" in str(info.value)
    with pytest.raises(ValueError, match="bad value"):
        ray.get(needs.remote(throw.remote("value")))


def test_errors_pickle(ray):
    import pickle

    again = pickle.loads(pickle.dumps(caught(ray, "value")))
    assert isinstance(again, ValueError) and isinstance(again, RayTaskError) and again.args == ("bad value", 7)


def test_exception_groups(ray):
    if sys.version_info < (3, 11):
        pytest.skip("exception groups came with 3.11")

    @ray.remote
    def group():
        raise ExceptionGroup("several", [ValueError(1), TypeError(2)])  # noqa: F821

    with pytest.raises(ExceptionGroup) as info:  # noqa: F821
        ray.get(group.remote())
    assert [type(e) for e in info.value.exceptions] == [ValueError, TypeError]


def test_a_module_that_the_worker_lacks(ray, tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("def f():\n    return 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import only_here

    with pytest.raises(RuntimeError, match="failed to import on the worker.*only_here"):
        ray.get(ray.remote(only_here.f).remote(), timeout=30)


def test_a_crash_says_how(ray):
    @ray.remote(max_retries=0)
    def crash(how):
        if how == "exit":
            os._exit(9)
        import signal

        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(miniray.exceptions.WorkerCrashedError, match="9"):
        ray.get(crash.remote("exit"), timeout=30)
    with pytest.raises(miniray.exceptions.WorkerCrashedError, match="signal 9"):
        ray.get(crash.remote("kill"), timeout=30)


UNREAD = """
import time

import miniray

miniray.init(num_cpus=2)


@miniray.remote(max_retries=0)
def fails(how="raise"):
    if how == "crash":
        import os
        os._exit(7)
    raise ValueError("bad")


@miniray.remote(num_returns=2)
def two():
    raise ValueError("bad")


@miniray.remote
def stream():
    yield 1
    raise ValueError("bad")


@miniray.remote
def passes(x):
    return x


@miniray.remote
class Broken:
    def __init__(self):
        raise ValueError("bad")

    def f(self):
        pass


def caught(call):
    try:
        call()
    except Exception:
        return
    raise SystemExit("no error")


def read():
    import asyncio

    caught(lambda: miniray.get(fails.remote()))
    late = fails.remote()
    miniray.wait([late], timeout=20)
    time.sleep(0.1)
    caught(lambda: miniray.get(late))
    caught(lambda: miniray.get(fails.remote("crash")))
    a, b = two.remote()
    caught(lambda: miniray.get(a))
    del a, b
    a, b = two.remote()
    caught(lambda: miniray.get(b))
    del a, b
    caught(lambda: [miniray.get(x) for x in stream.remote()])
    caught(lambda: miniray.get(passes.remote(fails.remote())))
    caught(lambda: miniray.get(Broken.remote().f.remote()))

    async def waits():
        await fails.remote()

    caught(lambda: asyncio.run(waits()))
    stopped = passes.remote(1)
    miniray.cancel(stopped)
    del stopped


def in_a_worker(how):
    ref = fails.remote()
    if how == "get":
        caught(lambda: miniray.get(ref))
    else:
        miniray.wait([ref], timeout=20)


def unread(make):
    ref = make()
    miniray.wait([ref], timeout=20)


CODE
miniray.get(passes.remote(1))
time.sleep(0.3)
miniray.shutdown()
"""


def unhandled(tmp_path, code):
    """The lines about unhandled errors that a program writes."""
    import subprocess

    program = tmp_path / "program.py"
    program.write_text(UNREAD.replace("CODE", code))
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stderr.splitlines() if "unhandled error" in line]


def test_errors_that_were_read_are_not_reported(tmp_path):
    assert unhandled(tmp_path, "read()\nminiray.get(miniray.remote(in_a_worker).remote('get'))") == []


@pytest.mark.parametrize("code, what", [
    ("unread(fails.remote)", ["task fails (", "a get: ValueError: bad (File ", ", in fails)"]),
    ("fails.remote()", ["task fails (", "a get: ValueError: bad (File ", ", in fails)"]),
    ("unread(lambda: fails.remote('crash'))", ["task fails (", "7"]),
    ("unread(lambda: two.remote()[0])", ["task two ("]),
    ("miniray.get(miniray.remote(in_a_worker).remote('wait'))", ["task fails ("]),
])
def test_an_error_that_nobody_read_is_reported_once(tmp_path, code, what):
    (line,) = unhandled(tmp_path, code)
    assert all(w in line for w in what), line


def test_a_class_that_wants_other_arguments_keeps_its_class(ray):
    @ray.remote
    def two():
        raise TwoWords("salt", "pepper") from KeyError("cause")

    with pytest.raises(TwoWords) as info:
        ray.get(two.remote())
    error = info.value
    assert isinstance(error, RayTaskError) and error.cause_class == "TwoWords"
    assert type(error.cause) is TwoWords and str(error.cause) == "salt and pepper"
    assert isinstance(error.cause.__cause__, KeyError)
    assert "TwoWords: salt and pepper" in str(error) and "raise TwoWords" in str(error)


def test_a_class_that_cannot_leave_arrives_as_its_base(ray):
    @ray.remote
    def stuck():
        class Stuck(ValueError):
            pass
        Stuck.lock = threading.Lock()
        raise Stuck("here") from KeyError("cause")

    with pytest.raises(ValueError) as info:
        ray.get(stuck.remote())
    error = info.value
    assert error.cause_class == "Stuck" and type(error.cause) is ValueError and str(error.cause) == "here"
    assert isinstance(error.cause.__cause__, KeyError) and "arrives as one of its bases" in str(error)


def test_an_attribute_that_cannot_travel_is_left_behind(ray):
    @ray.remote
    def held():
        error = Held("text", threading.Lock())
        error.lock, error.code = threading.Lock(), 7
        raise error from Held("inner", threading.Lock())

    with pytest.raises(Held) as info:
        ray.get(held.remote())
    error = info.value
    assert error.code == 7 and not hasattr(error, "lock") and error.args[0] == "text" and "lock" in error.args[1]
    assert type(error.cause.__cause__) is Held


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    code: int


def test_the_chain_is_kept(ray):
    def deep():
        try:
            try:
                raise KeyError("first")
            except KeyError:
                raise TwoWords("se", "cond")  # its context is the first
        except TwoWords as second:
            error = ValueError("last")
            if hasattr(error, "add_note"):
                error.add_note("a note")
            error.__cause__ = None
            try:
                raise error
            except ValueError as last:
                raise OSError("end") from last
            finally:
                del second

    @ray.remote
    def chain(kind):
        if kind == "frozen":
            raise Frozen(4) from ValueError(1)
        if kind == "loop":
            error = ValueError("a")
            error.__cause__ = KeyError("b")
            error.__cause__.__context__ = error
            raise error
        deep()

    @ray.remote
    def outer():
        ray_module.get(chain.remote("deep"))

    ray_module = ray
    for task in (chain.remote("deep"), outer.remote()):
        with pytest.raises(OSError) as info:
            ray.get(task)
        end = info.value.cause
        last = end.__cause__
        assert type(last) is ValueError and end.__suppress_context__ and end.__context__ is last
        assert sys.version_info < (3, 11) or last.__notes__ == ["a note"]
        assert type(last.__context__) is TwoWords and last.__suppress_context__
        assert type(last.__context__.__context__) is KeyError and not last.__context__.__suppress_context__
        again = pickle.loads(pickle.dumps(info.value))
        assert type(again.cause.__cause__.__context__) is TwoWords
    with pytest.raises(Frozen) as info:
        ray.get(chain.remote("frozen"))
    assert info.value.cause.code == 4 and type(info.value.cause.__cause__) is ValueError
    with pytest.raises(ValueError) as info:
        ray.get(chain.remote("loop"))
    assert info.value.cause.__cause__.__context__ is info.value.cause


def test_members_of_a_group_keep_theirs(ray):
    if sys.version_info < (3, 11):
        pytest.skip("exception groups came with 3.11")

    @ray.remote
    def group():
        first, second = TwoWords("a", "b"), Held("held", threading.Lock())
        first.__cause__ = KeyError("why")
        first.add_note("noted")
        raise ExceptionGroup("several", [first, ExceptionGroup("inner", [second])])  # noqa: F821

    with pytest.raises(ExceptionGroup) as info:  # noqa: F821
        ray.get(group.remote())
    first, inner = info.value.exceptions
    assert type(first) is TwoWords and type(first.__cause__) is KeyError and first.__notes__ == ["noted"]
    assert type(inner.exceptions[0]) is Held and info.value.message == "several"
