"""Readers of other people's workloads, the Task Bench patterns, and the data sets of the registries."""

from __future__ import annotations

import json
import re
import subprocess
import warnings

import pytest
from hypothesis import given, settings, strategies as st

from miniray.lab import data, kernels, readers, simulate, sources, taskbench, workload

SWF = """; Version: 2.2
; MaxProcs: 8
1 0 5 10 2 -1 -1 2 20 -1 1 3 1 1 1 1 -1 -1
2 1.5 -1 4 8 -1 -1 8 -1 -1 1 4 1 1 1 1 1 2
3 2 -1 -1 -1 -1 -1 4 9 -1 5 4 1 1 1 1 -1 -1
"""
BATSIM = "jobID,submission_time,requested_number_of_processors,requested_time,success,execution_time\na,1.5,4,60,1,3.25\nb,2,1,5,1,9\n"
ALIBABA = """0,j_1,M1,10,50.0,0.3,9
0,j_1,M2,20,100.0,0.3,1
3,j_1,J3_1_2,30,100.0,0.4,2
4,j_2,R2_1,5,100.0,0.4,2
5,j_2,task_abc,5,200.0,0.4,2
"""
SHOP = {"name": "two", "duration_matrix": [[3, 2], [2, 4]], "machines_matrix": [[0, 1], [1, 0]], "metadata": {"optimum": 7}}
MODEL = """# Model for cpu0_impl0 (Comb0)
# hash size flops mean dev sum sum2 n
cea37d6d 16 1.0 {0}00.0 0 0 0 8
cea37d6d 32 1.0 {0}00.0 0 0 0 8
cea37d6d 48 1.0 {0}00.0 0 0 0 8
# Model for cuda0_impl0 (Comb1)
cea37d6d 16 1.0 {0}0.0 0 0 0 8
cea37d6d 32 1.0 {0}0.0 0 0 0 8
cea37d6d 48 1.0 {0}0.0 0 0 0 8
"""


def write(folder, name, text):
    path = folder / name
    path.write_text(text)
    return str(path)


# ---- files that are right ----


def test_swf(tmp_path):
    path = write(tmp_path, "jobs.swf", SWF)
    with pytest.warns(UserWarning, match="1 jobs never ran"):
        lines = readers.swf(path)
    assert lines == [
        {"platform": {"nodes": [{"count": 1, "cpus": 8}]}},
        {"id": "job1", "fn": "job", "arrival_s": 0, "duration_s": 10, "cpus": 2, "limit_s": 20, "estimate_s": 20, "user": "user3"},
        {"id": "job2", "fn": "job", "arrival_s": 1.5, "duration_s": 4, "cpus": 8, "user": "user4", "deps": ["job1"]},
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = simulate(path)
    assert run.summary["makespan_s"] == 14
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert sources.resolve(f"swf:{path},processors=16")[0] == workload.platform(1, 16)


def test_batsim(tmp_path):
    lines = readers.batsim(write(tmp_path, "jobs.csv", BATSIM))
    assert lines[1] == {"id": "joba", "fn": "job", "arrival_s": 1.5, "duration_s": 3.25, "cpus": 4, "limit_s": 60, "estimate_s": 60}
    assert lines[2]["limit_s"] == 9  # it ran for longer than it asked for: nothing may kill it here
    assert simulate(lines).summary["failed"] == 0


def test_alibaba(tmp_path):
    with pytest.warns(UserWarning, match="1 parents are named but not in the file"):
        lines = readers.alibaba(write(tmp_path, "tasks.csv", ALIBABA), nodes=1, cpus=4)
    by_name = {line["id"]: line for line in lines[1:]}
    assert by_name["j_1/J3_1_2"]["deps"] == ["j_1/M1", "j_1/M2"]
    assert by_name["j_1/M1"]["cpus"] == 0.5
    assert "deps" not in by_name["j_2/R2_1"] and "deps" not in by_name["j_2/task_abc"]
    assert simulate(lines).summary["makespan_s"] == 50


def test_jobshop(tmp_path):
    lines = readers.jobshop(write(tmp_path, "shop.json", json.dumps(SHOP)))
    run = simulate(lines, "fifo", check=True)
    assert run.summary["makespan_s"] == 7
    assert run.summary["bounds"]["area_s"] == pytest.approx(7, abs=1e-6)  # machine 0 has 3 + 4 s to do
    many = write(tmp_path, "many.json", json.dumps({"two": SHOP, "other": SHOP}))
    assert readers.jobshop(many, name="two") == lines
    with pytest.raises(readers.ReadError, match=r"holds 2 instances: choose one by name"):
        readers.jobshop(many)


def test_cholesky_of_measured_kernels(tmp_path):
    paths = [write(tmp_path, f"k{k}", MODEL.format(k)) for k in (1, 2, 3)]
    lines = kernels.cholesky(paths, tiles=4, tile=2, gpus=1)
    tasks = [line for line in lines if "id" in line]
    assert len(tasks) == 4 + 6 + 10
    assert tasks[0]["duration_s"] == {"cpu0": 1e-4, "cuda0": 1e-5}
    run = simulate(lines, "fifo", know="exact", check=True)
    assert run.summary["failed"] == 0 and run.summary["bounds"]["classes_s"] > 0
    with pytest.raises(readers.ReadError, match="nothing was measured for 64"):
        kernels.cholesky(paths, tile=4)


# ---- files that are wrong ----


@pytest.mark.parametrize("reader, text, what", [
    ("swf", SWF.replace("10 2 -1 -1 2", "ten 2 -1 -1 2"), r":3:7: column 4: 'ten' is not a number"),
    ("swf", SWF.replace("1 0 5", "1 0"), r":3:\d+: expected 18 columns, got 17"),
    ("swf", SWF.replace("2 1.5", "1 1.5"), r":4:1: the job 1 is already there"),
    ("swf", SWF.replace("2 1.5", "2 -7"), r":4:3: submit time: -7 is out of range"),
    ("swf", SWF.replace("1 1 1 1 1 2", "1 1 1 1 9 2"), r":4:\d+: preceding job: there is no job 9"),
    ("swf", "; nothing\n", r":1:1: there is no task"),
    ("batsim", BATSIM.replace("3.25", "nan"), r":2:14: execution_time: nan is out of range"),
    ("batsim", BATSIM.replace("requested_time,", ""), r":1:1: the header has no 'requested_time'"),
    ("batsim", BATSIM.replace("b,2", "a,2"), r":3:1: the job a is already there \(line 2\)"),
    ("batsim", BATSIM.replace("b,2,1,", "b,2,"), r":3:\d+: expected 6 columns as in the header, got 5"),
    ("alibaba", ALIBABA.replace("3,j_1,J3", "x,j_1,J3"), r":3:1: arrival: 'x' is not a number"),
    ("alibaba", ALIBABA.replace(",10,50.0", ",10"), r":1:\d+: expected 7 columns"),
    ("alibaba", ALIBABA.replace("j_1,M2", "j_1,M1"), r":2:7: the task j_1/M1 is already there \(line 1\)"),
    ("jobshop", "{\"a\": }", r":1:7: not JSON"),
    ("jobshop", json.dumps({**SHOP, "duration_matrix": [[3, -2], [2, 4]]}), r":1:41: two: duration_matrix\[0\]\[1\]: -2 is not a time"),
    ("jobshop", json.dumps({**SHOP, "machines_matrix": [[0, 1], [1]]}), r":1:82: two: machines_matrix\[1\]: as many machines as durations"),
])
def test_what_is_wrong_is_said_with_its_place(tmp_path, reader, text, what):
    path = write(tmp_path, "bad", text)
    with pytest.raises(readers.ReadError, match=re.escape(path) + what if what.startswith(":") else what):
        readers.READERS[reader](path)


def test_models_of_kernels_that_are_wrong(tmp_path):
    with pytest.raises(readers.ReadError, match=r":1:1: this is no performance model"):
        kernels.starpu_model(write(tmp_path, "a", "hello\n"))
    with pytest.raises(readers.ReadError, match=r":3:17: 'slow' is not a time"):
        kernels.starpu_model(write(tmp_path, "b", MODEL.format(1).replace("100.0", "slow", 1)))


GOOD = {"swf": SWF, "batsim": BATSIM, "alibaba": ALIBABA, "jobshop": json.dumps(SHOP)}
ALPHABET = st.text(st.sampled_from("0123456789.,;-_ \n\t\r\"[]{}:eEjJMR+x\x00\u00e9"), max_size=12)


@pytest.mark.parametrize("reader", sorted(GOOD))
@given(edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 6), ALPHABET), max_size=4))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_read_or_refused_with_their_place(tmp_path_factory, reader, edits):
    text = GOOD[reader]
    for where, cut, put in edits:
        at = int(where * len(text))
        text = text[:at] + put + text[at + cut:]
    path = tmp_path_factory.getbasetemp() / f"fuzz-{reader}"
    path.write_bytes(text.encode())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            lines = readers.READERS[reader](str(path))
    except readers.ReadError as error:
        assert str(error).startswith(f"{path}:")
    else:
        assert len(lines) > 1 and len({line["id"] for line in lines[1:]}) == len(lines) - 1
        assert all(line["duration_s"] >= 0 and line.get("arrival_s", 0) >= 0 for line in lines[1:])


# ---- Task Bench ----


@pytest.mark.parametrize("pattern", sorted(taskbench.PATTERNS))
def test_task_bench_patterns_are_graphs_that_run(pattern):
    lines = workload.generate(pattern, seed=1, width=8, steps=6, duration=0.01, radix=3)
    widths = [taskbench.width_at(pattern, step, 8) for step in range(6)]
    assert len(lines) == sum(widths)
    for line in lines:
        step = int(line["id"][1:].split("_")[0])
        for parent in line.get("deps", []):
            before, place = map(int, parent[1:].split("_"))
            assert before == step - 1 and 0 <= place < widths[before]
    run = simulate(lines, nodes=1, cpus=64)
    depth = 1 if pattern == "trivial" else 6
    assert run.summary["makespan_s"] == pytest.approx(0.01 * depth)


@pytest.mark.parametrize("pattern, task, parents", [
    ("stencil_1d", "s1_0", ["s0_0", "s0_1"]), ("stencil_1d_periodic", "s1_0", ["s0_7", "s0_0", "s0_1"]),
    ("dom", "s2_3", ["s1_2", "s1_3"]), ("tree", "s2_3", ["s1_1"]), ("fft", "s1_4", ["s0_3", "s0_4", "s0_5"]),
    ("fft", "s3_4", ["s2_0", "s2_4"]), ("nearest", "s1_4", ["s0_3", "s0_4", "s0_5"]), ("no_comm", "s1_4", ["s0_4"]),
])
def test_task_bench_dependences(pattern, task, parents):
    lines = {line["id"]: line for line in workload.generate(pattern, width=8, steps=6, radix=3)}
    assert lines[task]["deps"] == parents


# ---- names of workloads ----


def test_specs():
    assert sources.resolve("w.jsonl") == "w.jsonl"
    assert len(sources.resolve("gen:fft,width=4,steps=3")) == 12
    with pytest.raises(ValueError, match="unknown data set 'nope'; known: evalys-jobs"):
        sources.resolve("data:nope")
    with pytest.raises(ValueError, match="expected KEY=VALUE, got 'x'"):
        sources.resolve("swf:jobs.swf,x")
    with pytest.raises(FileNotFoundError):
        sources.resolve("nowhere.swf")


# ---- data sets ----


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "miniray" / "data"


def _registry(monkeypatch, make):
    """Stands in for pip: `make` writes the archive into its folder, or answers the text of an error."""
    def client(command, folder):
        said = make(folder, command[-1])
        return subprocess.CompletedProcess(command, 1 if said else 0, "", said or "")
    monkeypatch.setattr(data, "_client", client)


def _wheel(folder, content):
    import zipfile

    with zipfile.ZipFile(f"{folder}/evalys-4.0.7-py2.py3-none-any.whl", "w") as wheel:
        wheel.writestr("tests/batsim_out_jobs.csv", content)


def test_fetch_keeps_nothing_with_a_wrong_checksum(home, monkeypatch):
    _registry(monkeypatch, lambda folder, package: _wheel(folder, "not the jobs"))
    with pytest.raises(data.DataError, match=r"evalys-jobs: tests/batsim_out_jobs\.csv of evalys-.* has SHA-256 .*, expected") as caught:
        data.fetch("evalys-jobs")
    assert not isinstance(caught.value, data.AwayError)
    assert not home.exists() or not any(home.iterdir())


def test_fetch_tells_a_missing_package_from_a_missing_network(home, monkeypatch):
    _registry(monkeypatch, lambda folder, package: "connection refused")
    with pytest.raises(data.AwayError, match="nor anything else.*connection refused"):
        data.fetch("evalys-jobs")

    def only_click(folder, package):
        return None if package == "click" else "no matching distribution"
    _registry(monkeypatch, only_click)
    with pytest.raises(data.DataError, match="pip could not download evalys==4.0.7: no matching") as caught:
        data.fetch("evalys-jobs")
    assert not isinstance(caught.value, data.AwayError)


def test_lab_data_on_the_command_line(home):
    from click.testing import CliRunner

    from miniray.cli.lab import lab

    result = CliRunner().invoke(lab, ["data", "list"])
    assert result.exit_code == 0 and all(name in result.output for name in data.SETS) and "licence: LGPL-2.1" in result.output
    result = CliRunner().invoke(lab, ["data", "fetch", "nope"])
    assert result.exit_code == 2 and "unknown data set" in result.output
