"""What is shown of an object for people: that a pickle made by hand keeps it, and the line that asked for it."""

import inspect
import json
import os
import pickle
import warnings

import miniray
import pytest
from click.testing import CliRunner
from miniray import _session
from miniray.cli import main
from miniray.util import state

HERE = os.path.abspath(__file__)


def line():
    return f"{HERE}:{inspect.currentframe().f_back.f_lineno}"


def row(ref):
    return next(o for o in _session.state("objects") if int(o["object"], 16) == ref._id)


def by_hand(ref):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pickle.dumps(ref)


@pytest.fixture
def explained(tmp_path):
    settings = tmp_path / "explain.ini"
    settings.write_text("[sched]\nexplain = true\n")
    with miniray.init(num_workers=1, config=str(settings)):
        yield


@miniray.remote
def ends(x=None):
    return x


@miniray.remote
def pins(refs):
    by_hand(refs[0])
    return row(refs[0])["pinned"]  # the note went before the question


@miniray.remote
def puts():
    ref = miniray.put(b"inside"); where = line()  # noqa: E702
    return [ref], where


@miniray.remote
class Actor:
    def two(self):
        return 1, 2


def test_pinned_by_the_driver_and_by_a_worker():
    with miniray.init(num_workers=1):
        ref, other, plain = miniray.put(bytes(100_000)), miniray.put(1), miniray.put(2)
        assert not row(ref)["pinned"]
        by_hand(ref)
        assert miniray.get(pins.remote([other]), timeout=60)
        assert [row(r)["pinned"] for r in (ref, other, plain)] == [True, True, False]
        assert [row(r)["line"] for r in (ref, other)] == ["", ""], "nobody asked for lines"
        told = {o.object_id: o for o in state.list_objects(detail=True)}
        assert any(o.is_pinned and o.object_size >= 100_000 and o.line is None for o in told.values())
        text = CliRunner().invoke(main, ["memory"]).output
        assert text.count("a pickle made by hand, the driver") == 2, text


def test_lines_of_puts_and_calls(explained):
    put = miniray.put(1); at_put = line()  # noqa: E702
    call = ends.remote(); at_call = line()  # noqa: E702
    three = ends.options(num_returns=3).remote((1, 2, 3)); at_three = line()  # noqa: E702
    actor = Actor.remote(); at_actor = line()  # noqa: E702
    method = actor.two.options(num_returns=2).remote(); at_method = line()  # noqa: E702
    (inner,), at_inner = miniray.get(puts.remote(), timeout=60)
    for ref, where in ((put, at_put), (call, at_call), (three[0], at_three), (three[2], at_three), (method[1], at_method), (inner, at_inner)):
        assert row(ref)["line"] == where
    assert at_actor in {o["line"] for o in _session.state("objects") if o["actor"]}
    text = CliRunner().invoke(main, ["memory"]).output
    assert f"put at {os.path.basename(at_put)}" in text and f"at {os.path.basename(at_call)}" in text, text
    shown = json.loads(CliRunner().invoke(main, ["memory", "--json"]).output)
    assert at_put in {o["line"] for o in shown}
    assert {o.line for o in state.list_objects(detail=True)} >= {at_put, at_call}


def test_a_note_goes_with_its_object(explained):
    for _ in range(3):
        refs = [miniray.put(i) for i in range(1000)] + [ends.remote(i) for i in range(100)]
        assert all(row["line"] for row in _session.state("objects") if row["name"] != "code" and int(row["object"], 16) in {r._id for r in refs})
        miniray.get(refs, timeout=60)
        del refs
    ref = miniray.put(bytes(10)); where = line()  # noqa: E702
    miniray.free(ref)
    assert (row(ref)["state"], row(ref)["line"]) == ("freed", where)


def test_an_actor_that_holds_is_named():
    @miniray.remote(num_cpus=0)
    class Keeper:
        def keep(self, refs):
            self.refs = refs

    with miniray.init(num_workers=1):
        named, plain = Keeper.options(name="the one").remote(), Keeper.remote()
        ref = miniray.put(bytes(200_000))
        miniray.get([keeper.keep.remote([ref]) for keeper in (named, plain)])
        text = CliRunner().invoke(main, ["memory"]).output.splitlines()[1]
        assert "the driver, actor the one (" in text and "), actor Keeper (" in text, text
        del named, plain, ref
