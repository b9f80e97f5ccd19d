"""What workers print, on the driver's screen."""

from __future__ import annotations

import re
import sys

import pytest

import miniray
from miniray._output import WINDOW, Merger


@pytest.fixture
def screen(capsys):
    return lambda: capsys.readouterr().out.splitlines()


def test_an_actor_is_named_by_its_repr_once_it_is_constructed(screen):
    @miniray.remote
    class Trainer:
        def __init__(self, n):
            self.n = n
            print("made")

        def __repr__(self):
            return f"Trainer\n({self.n})"

        def step(self):
            print("stepped")
            print("warned", file=sys.stderr)

    @miniray.remote
    class Broken:
        def __repr__(self):
            raise ValueError("no name")

        def step(self):
            print("stepped too")

    with miniray.init(num_cpus=2):
        trainers = [Trainer.remote(i) for i in range(2)]
        miniray.get([t.step.remote() for t in trainers] + [Broken.remote().step.remote()])
    lines = sorted(re.sub(r"pid=\d+", "pid", line) for line in screen())
    names = [line for line in lines if "Trainer" in line and "stepped" in line]
    assert names == ["(Trainer (0) pid) stepped", "(Trainer (1) pid) stepped"], lines
    assert sum("Trainer pid) made" in line for line in lines) + sum("repeated" in line for line in lines) >= 1
    assert any("Broken pid) stepped too" in line for line in lines), lines
    assert not any("miniray-name" in line for line in lines)


def test_numbers_keep_lines_apart_and_empty_lines_stay(screen):
    @miniray.remote
    def say(i):
        print("epoch", i)
        print()
        print("  ")

    with miniray.init(num_cpus=2):
        miniray.get([say.remote(i) for i in range(20)])
    texts = [line.partition(") ")[2] for line in screen()]
    assert sorted(t for t in texts if t.strip()) == sorted(f"epoch {i}" for i in range(20))
    assert texts.count("") == 20 and texts.count("  ") == 20


def test_the_first_lines_know_their_process(screen):
    @miniray.remote(max_calls=1)
    def say(i):
        print("first", i)

    with miniray.init(num_cpus=2):
        miniray.get([say.remote(i) for i in range(30)])
    pids = [int(re.match(r"\(\S+ pid=(\d+)\)", line)[1]) for line in screen()]
    assert len(pids) == 30 and 0 not in pids


def test_merging_can_be_off(screen, monkeypatch):
    monkeypatch.setenv("MINIRAY_ENGINE_MERGE_OUTPUT", "false")

    @miniray.remote(max_calls=1)
    def say():
        print("same")

    with miniray.init(num_cpus=2):
        miniray.get([say.remote() for _ in range(10)])
    assert [line.partition(") ")[2] for line in screen()] == ["same"] * 10


def test_all_lines_are_counted(screen):
    @miniray.remote(max_calls=1)
    def say():
        print("same")

    with miniray.init(num_cpus=2):
        miniray.get([say.remote() for _ in range(10)])
    told = [int(m[1]) if (m := re.search(r"repeated (\d+)x", line)) else 1 for line in screen()]
    assert sum(told) == 10


class _Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_what_is_merged_and_when():
    clock, shown = _Clock(), []
    merger = Merger(lambda text, is_stderr: shown.append(text), clock)
    merger.add(1, False, "f", "loss 1")
    merger.add(1, False, "f", "loss 1")  # one process by itself: all are shown
    assert shown == ["(f pid=1) loss 1\n"] * 2 and merger.wait() is None
    shown.clear()
    merger.add(2, False, "f", "loss 1")
    merger.add(3, False, "f", "loss 1")
    merger.add(3, False, "f", "loss 2")
    merger.add(3, True, "f", "loss 1")
    merger.add(3, False, "g", "loss 1")
    assert shown == ["(f pid=3) loss 2\n", "(f pid=3) loss 1\n", "(g pid=3) loss 1\n"] and merger.wait() == WINDOW
    shown.clear()
    clock.now = WINDOW
    assert merger.wait() == 0
    merger.flush(clock())
    assert shown == ["(f pid=3) loss 1 [repeated 2x across 3 processes]\n"] and merger.wait() is None
    merger.add(4, False, "f", "loss 1")
    assert shown[1:] == ["(f pid=4) loss 1\n"]
    merger.add(5, False, "f", "loss 1")
    merger.flush()
    assert shown[2:] == ["(f pid=5) loss 1 [repeated 1x across 2 processes]\n"]


def test_a_file_keeps_it_for_afterwards(tmp_path):
    file = tmp_path / "workers.log"
    config = tmp_path / "my.ini"
    config.write_text(f"[log]\noutput = {file}\n")

    @miniray.remote
    def say(i):
        print("line", i)

    for _ in range(2):
        with miniray.init(num_cpus=2, config=str(config), log_to_driver=False):
            miniray.get([say.remote(i) for i in range(50)])
    texts = [line.partition(") ")[2] for line in file.read_text().splitlines()]
    assert sorted(texts) == sorted(f"line {i}" for i in range(50) for _ in range(2))
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_file_is_bounded(tmp_path):
    file = tmp_path / "workers.log"
    config = tmp_path / "my.ini"
    config.write_text(f"[log]\noutput = {file}\n")
    file.write_bytes(b"x" * ((16 << 20) + 1))

    with miniray.init(num_cpus=1, config=str(config), log_to_driver=False):
        miniray.get(miniray.remote(lambda: print("the last of the old one")).remote())
    assert (tmp_path / "workers.log.1").stat().st_size > 16 << 20
    assert (tmp_path / "workers.log.1").read_bytes().endswith(b"the last of the old one\n") and file.stat().st_size == 0


def test_a_file_that_cannot_be_made_is_told_at_once(tmp_path):
    config = tmp_path / "my.ini"
    config.write_text("[log]\noutput = /no/such/folder/workers.log\n")
    with pytest.raises(miniray.exceptions.RayError, match="/no/such/folder/workers.log"):
        miniray.init(config=str(config))
