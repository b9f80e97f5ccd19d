"""The labs of a course, and the grader: every lab's starter is below the threshold and its reference passes; grades are the same
to the byte; no hand-in hangs, crashes or reads anything of the grader."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from miniray.cli.lab import lab as command
from miniray.lab import courses, data, grade, grade_output, labs, metrics, places, readers, simulate, workload

ROOT = Path(__file__).resolve().parents[2]
LABS = sorted(p.parent for p in (ROOT / "labs").glob("*/lab.ini"))
FIRST = ROOT / "labs" / "01-shortest-first"


def script(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fetched(name: str) -> "list[Path]":
    """The files of a public set; skips where no registry answers."""
    try:
        return data.fetch(name)
    except data.AwayError as error:
        pytest.skip(f"no registry answers: {error}")


def reference(folder: Path) -> Path:
    return folder.parent / "solutions" / folder.name / "reference.lua"


def lab_grade(*arguments: str) -> "tuple[int, str]":
    result = CliRunner().invoke(command, ["grade", *map(str, arguments)])
    return result.exit_code, result.output


# ---- every lab ----


@pytest.mark.parametrize("folder", LABS, ids=lambda p: p.name)
def test_the_starter_is_below_and_the_reference_passes(folder):
    lab = labs.load(str(folder))
    with grade.Grader(lab, "a secret of the test") as grader:
        starter = grader.grade(grade.read_policy(str(folder / "starter.lua")))
        solved = grader.grade(grade.read_policy(str(reference(folder))))
    assert starter.status == grade.BELOW, grade_output.as_text(starter)
    assert solved.status == grade.PASSED and solved.points == lab.points and solved.score == 1, grade_output.as_text(solved)


@pytest.mark.parametrize("folder", LABS, ids=lambda p: p.name)
def test_a_lab_has_all_its_parts(folder):
    lab = labs.load(str(folder))
    assert json.loads((folder / "targets.json").read_text()) == grade.targets(lab), "miniray lab targets makes it anew"
    assert (reference(folder).parent / "NOTES.md").is_file()
    assert (folder / "handout.ipynb").read_text() == script("lab_notebooks").of(folder), "scripts/lab_notebooks.py makes it anew"
    assert folder.name in (ROOT / "labs" / "README.md").read_text()


def test_an_attempt_says_what_the_grader_says(tmp_path):
    lab = labs.load(str(FIRST))
    mine = tmp_path / "mine.lua"
    mine.write_text("return { rank = function(t) return t.entry % 3 end }\n")
    tried, graded = lab.run(mine, "busy"), grade.grade(lab, str(mine)).outcomes[1]
    assert (tried.score, tried.outcome.digest) == (graded.score, graded.digest) and graded.name == "busy"
    assert [r.name for r in tried.runs] == ["fifo (the baseline)", "mine"] and "mine" in tried._repr_html_()
    assert tried.assert_ratio(tried.ratio) is tried.assert_score(tried.score) is tried and tried.ratio > 1
    assert lab.run(reference(FIRST)).assert_ratio(1).assert_score(1).ratio == 1
    with pytest.raises(AssertionError, match=r"busy: score .*: [0-9.]+ times the reference, at most 1 is allowed"):
        tried.assert_ratio(1)
    with pytest.raises(AssertionError, match="at least 1 is needed"):
        tried.assert_score(1)
    mine.write_text("return { rank = function(t) return t.x.y end }\n")
    failed = lab.run(mine)
    assert failed.ratio == float("inf") and len(failed.runs) == 2
    with pytest.raises(AssertionError, match="the policy failed and was replaced by FIFO: policy.lua:1"):
        failed.assert_ratio(float("inf"))
    mine.write_text("return {")
    assert len(lab.run(mine).runs) == 1 and "policy.lua:1" in str(lab.run(mine))
    with pytest.raises(labs.LabError, match="no public instance 'hidden 1'; it has five, busy, batch"):
        lab.run(mine, "hidden 1")
    with pytest.raises(ValueError, match="use assert_score"):
        dataclasses.replace(tried, outcome=dataclasses.replace(tried.outcome, reference=-1.0)).assert_ratio(1)


# ---- real data ----


@pytest.mark.parametrize("place", ["06-backfilling/public/jobs.csv", "11-job-shop/public/shops.json"])
def test_what_is_taken_from_a_public_set_is_what_is_in_it(place):
    name, make = script("lab_data").MADE[place]
    assert (ROOT / "labs" / place).read_text() == make(fetched(name)[0])
    assert "licence" in (ROOT / "labs" / place).with_name("SOURCE.md").read_text()


def test_the_proportions_of_the_cluster_are_those_of_the_hour():
    """Of durations and tasks per job: the share at or below each value is what the generator says, within 3%."""
    rows = readers.alibaba(fetched("alibaba-hour")[0])[1:]
    jobs: "dict[str, int]" = {}
    for row in rows:
        jobs[row["user"]] = jobs.get(row["user"], 0) + 1
    for values, table in (([row["duration_s"] for row in rows], courses._HOUR_S), (list(jobs.values()), courses._HOUR_TASKS)):
        for share, at in list(zip(courses._SHARES, table))[1:]:
            below, to = (sum(v < at for v in values) / len(values), sum(v <= at for v in values) / len(values))
            assert below - 0.03 <= share <= to + 0.03, (share, at, below, to)


def test_a_hidden_instance_of_a_file_is_another_one_of_its_kind():
    lab = labs.load(str(ROOT / "labs" / "06-backfilling"))
    public = labs.instance(lab, "evalys", "batsim:public/jobs.csv")
    a, b = (labs.instance(lab, "alike", "batsim:public/jobs.csv", seed) for seed in (1, 2))
    assert a == labs.instance(lab, "alike", "batsim:public/jobs.csv", 1) != b and len(a) == len(b) == len(public) == 801
    assert {t["duration_s"] for t in a[1:]} < {t["duration_s"] for t in public[1:]}
    shop = labs.load(str(ROOT / "labs" / "11-job-shop"))
    hidden = [labs.instance(shop, "published", "jobshop:public/shops.json", seed) for seed in range(8)]
    assert len({len(lines) for lines in hidden}) > 1 and all(isinstance(t["duration_s"], int) for t in hidden[0][1:])
    published = labs.instance(shop, "ft06", "jobshop:public/shops.json,name=ft06")
    times = [(x["duration_s"], y["duration_s"]) for x, y in zip(published[1:], labs.varied(published, 3)[1:])]
    assert all(abs(x - y) <= 0.1 * x + 0.5 for x, y in times) and any(x != y for x, y in times)


def test_a_makespan_below_what_is_proven_is_our_fault(tmp_path):
    lab = labs.load(str(ROOT / "labs" / "11-job-shop"))
    with grade.Grader(lab, None) as grader:
        one = next(i for i in grader.instances if i.name == "ft10")
        assert one.proven == 930
        with pytest.raises(labs.LabError, match="is below what is proven, 930"):
            grader.run("fifo", dataclasses.replace(one, lines=labs.instance(lab, "ft06", "jobshop:public/shops.json,name=ft06")))
    text = grade_output.as_text(grade.grade(lab, str(lab.solution)))
    assert "above the proven bound" in text and "above the best lower bound" in text


# ---- the same bytes ----


def test_a_grade_is_the_same_to_the_byte(tmp_path):
    for kind in grade_output.FORMATS:
        texts = []
        for i, name in enumerate(("a.lua", "other name.lua")):
            policy = tmp_path / name
            policy.write_text("return { rank = function(t) return t.estimate / 2 end }\n")
            os.utime(policy, (i, i))
            out = tmp_path / f"{i}.out"
            status, _ = lab_grade(FIRST, policy, "--format", kind, "--out", out)
            assert status == 0
            texts.append(out.read_bytes())
        assert texts[0] == texts[1]
        assert str(tmp_path).encode() not in texts[0] and b"/tmp" not in texts[0]


# What Gradescope's published specification of results.json (gradescope-autograders.readthedocs.io, "Autograder Specifications") allows:
# at each level the known keys with the types and values of each.
WHEN = {"visible", "hidden", "after_due_date", "after_published"}
HOW = {"text", "html", "simple_format", "md", "ansi"}
SPECIFICATION = {
    "": {"score": float, "execution_time": float, "output": str, "output_format": HOW, "test_output_format": HOW, "test_name_format": HOW,
         "visibility": WHEN, "stdout_visibility": WHEN, "extra_data": dict, "tests": list, "leaderboard": list},
    "tests": {"score": float, "max_score": float, "status": {"passed", "failed"}, "name": str, "name_format": HOW, "number": str, "output": str,
              "output_format": HOW, "tags": list, "visibility": WHEN, "extra_data": dict},
    "leaderboard": {"name": str, "value": (float, str), "order": {"asc", "desc"}},
}


def against_the_specification(result: dict) -> "list[str]":
    """What is wrong with results.json."""
    wrong = []
    for level, known in SPECIFICATION.items():
        for part in [result] if not level else result.get(level, []):
            for key, value in part.items():
                if key not in known:
                    wrong.append(f"{level}.{key} is unknown")
                elif isinstance(known[key], set):
                    wrong += [f"{level}.{key} = {value!r}"] if value not in known[key] else []
                elif not isinstance(float(value) if isinstance(value, int) and not isinstance(value, bool) else value, known[key]):
                    wrong.append(f"{level}.{key} is a {type(value).__name__}")
    if "score" not in result and not all("score" in t for t in result.get("tests", [{}])):
        wrong.append("no score")
    return wrong + [f"{t['name']}: more than its maximum" for t in result["tests"] if t["score"] > t["max_score"]]


def test_gradescope_and_junit_are_what_they_should_be(tmp_path):
    broken = tmp_path / "broken.lua"
    broken.write_text("return 5")
    for policy in (FIRST / "starter.lua", reference(FIRST), broken, tmp_path / "none.lua"):
        for more in ([], ["--public"]):
            lab_grade(FIRST, policy, "--format", "gradescope", "--out", tmp_path / "r.json", *more)
            assert against_the_specification(json.loads((tmp_path / "r.json").read_text())) == []
    assert against_the_specification({"tests": [{"name": 1, "scor": 2, "score": 3, "max_score": 2, "visibility": "shown"}]}) != []
    out = tmp_path / "results.json"
    assert lab_grade(FIRST, FIRST / "starter.lua", "--format", "gradescope", "--out", out)[0] == 1
    result = json.loads(out.read_text())
    assert result["execution_time"] == 0 and result["stdout_visibility"] == "hidden"
    assert sum(t["max_score"] for t in result["tests"]) == pytest.approx(100, abs=1e-4)
    assert result["score"] == pytest.approx(sum(t["score"] for t in result["tests"]), abs=0.01)
    hidden = [t for t in result["tests"] if t["visibility"] == "after_published"]
    assert len(hidden) == 6 and all(t["output"] == "" for t in hidden)
    assert {t["status"] for t in result["tests"]} == {"passed", "failed"}
    # What is shown before the grades are published is the same for two exams.
    shown = []
    for word in ("the first exam", "the second exam"):
        (tmp_path / "secret").write_text(word)
        lab_grade(FIRST, FIRST / "starter.lua", "--format", "gradescope", "--out", out, "--secret", tmp_path / "secret")
        result = json.loads(out.read_text())
        shown.append([result["output"], result["leaderboard"], [t for t in result["tests"] if t["visibility"] == "visible"]])
    assert shown[0] == shown[1]
    status, text = lab_grade(FIRST, FIRST / "starter.lua", "--format", "junit")
    suite = ElementTree.fromstring(text.encode())
    assert status == 1 and int(suite.get("tests")) == len(suite.findall("testcase")) == 10
    assert int(suite.get("failures")) == len(suite.findall("*/failure")) and suite.get("errors") == "0"


def test_the_archive_for_gradescope_grades_in_its_folders(tmp_path):
    """As in Gradescope's container: the archive unpacked in source/, run_autograder copied beside it and run from there.  Only setup.sh, which
    builds miniray, has not run."""
    (tmp_path / "secret").write_text("the exam of this term\nmore\n")
    made = CliRunner().invoke(command, ["autograder", str(FIRST), "--secret", str(tmp_path / "secret"), "--out", str(tmp_path / "a.zip")])
    assert made.exit_code == 0, made.output
    home, source = tmp_path / "autograder", tmp_path / "autograder" / "source"
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        names = archive.namelist()
        archive.extractall(source)
        assert {archive.getinfo(n).external_attr >> 16 & 0o111 for n in ("setup.sh", "run_autograder", "miniray/scripts/build.sh")} == {0o111}
    assert names[:3] == ["setup.sh", "run_autograder", "secret.txt"] and "miniray/core/engine/sim/main.c" in names
    assert [n for n in names if "solutions" in n] == [f"labs/solutions/{FIRST.name}/reference.lua"] and not any("build/" in n or "pycache" in n for n in names)
    assert subprocess.run(["bash", "-n", str(source / "setup.sh")]).returncode == 0
    program = source / "miniray" / "build" / "venv" / "bin" / "miniray"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m miniray "$@"\n')
    program.chmod(0o755)
    (home / "run_autograder").write_bytes((source / "run_autograder").read_bytes())
    (home / "results").mkdir()
    (home / "submission").mkdir()

    def graded(*submission: "tuple[str, str]") -> "tuple[int, dict]":
        for old in [*(home / "submission").iterdir(), *(home / "results").iterdir()]:
            old.unlink()
        for name, text in submission:
            (home / "submission" / name).write_text(text)
        done = subprocess.run(["sh", str(home / "run_autograder")], cwd=home, capture_output=True, text=True)
        out = home / "results" / "results.json"
        return done.returncode, json.loads(out.read_text()) if out.exists() else {}

    good = reference(FIRST).read_text()
    status, result = graded(("my own.lua", good))
    assert status == 0 and result["score"] == 100 and against_the_specification(result) == []
    expected = lab_grade(FIRST, reference(FIRST), "--secret", tmp_path / "secret", "--format", "gradescope")[1]
    assert json.loads(expected) == result
    assert graded(("policy.lua", good), ("other.lua", "return 5"))[1]["score"] == 100
    for submission in ([("policy.lua", "return 5")], [("a.lua", good), ("b.lua", good)], []):
        status, result = graded(*submission)
        assert status == 0 and result["score"] == 0 and against_the_specification(result) == []
    (source / "labs" / "solutions" / FIRST.name / "reference.lua").write_text("return 5")
    assert graded(("policy.lua", good)) == (3, {})


def test_another_secret_is_another_exam(tmp_path):
    texts = set()
    for word in ("first exam", "second exam"):
        (tmp_path / word).write_text(word + "\n")
        status, text = lab_grade(FIRST, FIRST / "starter.lua", "--secret", tmp_path / word)
        assert status == 1
        texts.add(text)
    assert len(texts) == 2


def test_the_secret_that_all_know_is_no_exam_and_says_so(tmp_path, monkeypatch):
    def forms(*more: object) -> "tuple[str, str, dict]":
        text, junit = (lab_grade(FIRST, FIRST / "starter.lua", "--format", kind, *more)[1] for kind in ("text", "junit"))
        return text, junit, json.loads(lab_grade(FIRST, FIRST / "starter.lua", "--format", "gradescope", *more)[1])

    text, junit, scope = forms()
    assert "PRACTICE: the hidden instances follow from a secret that everybody knows" in text and 'name="practice"' in junit
    assert scope["output"].startswith("PRACTICE") and scope["extra_data"]["practice"] is True
    for public in (True, False):  # without hidden instances there is nothing to practise; with the teacher's secret it is an exam
        monkeypatch.setenv("MINIRAY_LAB_SECRET", "a secret of ours")
        text, junit, scope = forms(*(["--public"] if public else []))
        assert "PRACTICE" not in text + junit + json.dumps(scope) and scope["extra_data"]["practice"] is False
    (tmp_path / "file").write_text("a secret of ours\nsecond line\n")
    monkeypatch.setenv("MINIRAY_LAB_SECRET", "another one")
    assert forms("--secret", tmp_path / "file")[0] == text  # the file stands above the environment
    monkeypatch.setenv("MINIRAY_LAB_SECRET", " short ")
    status, output = lab_grade(FIRST, FIRST / "starter.lua")
    assert status == 3 and "MINIRAY_LAB_SECRET: a secret has at least 8 characters" in output
    (tmp_path / "file").write_text("\n")
    status, output = lab_grade(FIRST, FIRST / "starter.lua", "--secret", tmp_path / "file")
    assert status == 3 and "has at least 8 characters" in output and "a secret of ours" not in output


def test_a_students_copy_grades_itself_on_the_public_instances(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIRAY_LABS", str(FIRST.parent))
    assert CliRunner().invoke(command, ["start", "1", "--into", str(tmp_path)]).exit_code == 0
    copy = tmp_path / FIRST.name
    (copy / "mine.lua").write_text(reference(FIRST).read_text())
    status, text = lab_grade(copy, copy / "mine.lua")
    assert status == 0 and "hidden" not in text.replace("no hidden instance was run: this is not the grade yet", "")
    (copy / "targets.json").unlink()
    status, text = lab_grade(copy, copy / "mine.lua")
    assert status == 3 and "neither a solution nor" in text


# ---- hidden instances ----


def test_a_disguise_changes_names_and_order_but_not_the_work():
    lines = workload.generate("tenants", tasks=80, seed=3) + workload.generate("mapreduce", maps=4, reduces=2)[:4]
    a, b = labs.disguise(lines, "k1"), labs.disguise(lines, "k2")
    assert a == labs.disguise(lines, "k1") and a != b
    words = json.dumps(a)
    assert "user0" not in words and "work_of" not in words and "block" not in words
    assert sorted(t["duration_s"] for t in a if "id" in t) == sorted(t["duration_s"] for t in lines if "id" in t)
    assert {t["user"] for t in labs.disguise(lines, "k1", keep=("user",)) if "user" in t} == {f"user{i}" for i in range(4)}


def test_a_disguised_graph_has_its_edges():
    lines = workload.generate("mapreduce", maps=8, reduces=2, nodes=2, seed=1)
    plain, masked = (simulate(x, "fifo").summary for x in (lines, labs.disguise(lines, "key")))
    assert masked["failed"] == 0 and masked["tasks"] == plain["tasks"]
    assert masked["bounds"]["critical_path_s"] == plain["bounds"]["critical_path_s"]


# ---- our own faults ----


@pytest.mark.parametrize("ini, said", [
    ("[lab]\nmetric = beauty\n[public]\na = gen:bag\n", "metric = beauty: not one of makespan_s"),
    ("[lab]\ntitel = x\n", "[lab] has no key 'titel'"),
    ("[labs]\n", "[labs] is not a section"),
    ("[lab]\n", "[public] names no instance"),
    ("[public]\na = gen:nothing\n", "unknown kind 'nothing'"),
    ("[public]\na = here.jsonl\n", "there is no such file"),
    ("[public]\na = gen:bag\n[hidden]\nb = public/x.jsonl\n", "b = public/x.jsonl: there is no such file"),
    ("[public]\na = jobshop:lab.ini\n", "not JSON"),
    ("[public]\na = gen:bag\n[score]\nthresholds = 1:50, 0.5:100\n", "scores must grow"),
    ("[lab]\nmetric = missed\n[public]\na = gen:bag\n", "no figure missed on a"),
    ("[lab]\nbaseline = nobody\n[public]\na = gen:bag\n", "there is no policy 'nobody'"),
    ("not an ini", "no section headers"),
])
def test_a_lab_that_is_wrong_is_our_fault(ini, said, tmp_path):
    folder = tmp_path / "99-wrong"
    folder.mkdir()
    (folder / "lab.ini").write_text(ini)
    home = tmp_path / "solutions" / "99-wrong"
    home.mkdir(parents=True)
    (home / "reference.lua").write_text("return {}\n")
    status, output = lab_grade(folder, FIRST / "starter.lua")
    assert status == 3 and said in output


def test_no_fault_of_ours_looks_like_a_grade(tmp_path, monkeypatch):
    assert lab_grade(FIRST)[0] == lab_grade(FIRST, reference(FIRST), "--nonsense")[0] == lab_grade(FIRST, reference(FIRST), "--secret", tmp_path / "none")[0] == 3

    def broken(*_: object, **__: object) -> None:
        raise KeyError("a fault")

    monkeypatch.setattr(metrics, "figures", broken)
    status, output = lab_grade(FIRST, reference(FIRST))
    assert status == 3 and "Traceback" in output and "a fault" in output

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(metrics, "figures", stopped)
    status, output = lab_grade(FIRST, reference(FIRST))
    assert status == 130 and "there is no grade" in output


def test_unknown_labs_are_named():
    status, output = lab_grade("nowhere", FIRST / "starter.lua")
    assert status == 3 and "there is no lab 'nowhere'" in output


# ---- scores and figures ----


def test_scores():
    lab = labs.load(str(FIRST))
    assert grade.score_of(lab, 10, 10, 5) == 0 and grade.score_of(lab, 5, 10, 5) == 1 and grade.score_of(lab, 2.5, 10, 5) == 1.5
    assert grade.score_of(lab, 1e9, 10, 5) == -1 and grade.score_of(lab, -1e9, 10, 5) == 2
    assert grade.score_of(lab, 10, 10, 10) == 1 and grade.score_of(lab, 11, 10, 10) == 0
    lab.thresholds = [(0.5, 0.5), (1.0, 1.0)]
    assert [lab.share(s) for s in (-1, 0, 0.25, 0.5, 0.75, 1, 2)] == [0, 0, 0.25, 0.5, 0.75, 1, 1]
    lab.metric = "utilisation"
    assert grade.score_of(lab, 0.9, 0.5, 0.9) == 1


def test_figures_of_users_and_deadlines():
    lines = [{"id": "a", "duration_s": 2, "user": "x", "deadline_s": 1}, {"id": "b", "duration_s": 2, "user": "y", "deadline_s": 5}]
    f = metrics.figures(simulate(lines, "fifo", nodes=1, cpus=1), lines)
    assert f["missed"] == 1 and f["lateness_max_s"] == 1
    assert f["response_mean_s"] == 1 and f["slowdown_mean"] == 1.5 and f["user_slowdown_mean"] == 1.5
    assert f["jain"] == pytest.approx(9 / 10) and f["bounded_slowdown_mean"] == 1
    assert metrics.jain([1, 0, 0, 0]) == 0.25 and metrics.jain([]) == 1


def test_a_question_without_and_with_its_answer(monkeypatch):
    monkeypatch.setenv("MINIRAY_LABS", str(FIRST.parent))

    def ask(*more: str) -> str:
        result = CliRunner().invoke(command, ["question", "1", "--student", *more])
        assert result.exit_code == 0, result.output
        return result.output

    assert ask("ada") == ask("ada") != ask("bob")
    assert "starts:" not in ask("ada")
    assert ask("ada", "--answer").startswith(ask("ada").rstrip()) and ask("ada", "--answer").count("starts:") == 2
    for number, places in (("2", "1 node of 2 CPUs"), ("3", "1 node of 2 CPUs"), ("13", "1 node of 1 CPU,")):
        said = CliRunner().invoke(command, ["question", number, "--student", "ada", "--answer"]).output
        table = said.split("On 1 node")[0]
        assert places in said and said.count("starts:") == 2 and "." not in table and ("is due at" in table) == (number == "13") and ("after" in table) == (number == "2")


def test_the_installed_labs_come_without_solutions():
    installed = Path(places.__file__).parent.parent / "labs"
    if not installed.is_dir():
        pytest.skip("the package was not installed")
    assert sorted(p.name for p in installed.iterdir() if p.is_dir()) == [p.name for p in LABS]


def test_dhalls_example(tmp_path):
    """Earliest deadline first misses one on two processors that are almost idle; least slack first misses none."""
    path = ROOT / "labs" / "13-deadlines" / "public" / "dhall.jsonl"
    slack = tmp_path / "slack.lua"
    slack.write_text("return { rank = function(t) return t.deadline - t.estimate end }\n")
    lines = workload.read(path)
    late = {p: metrics.figures(simulate(str(path), p, know="exact"), lines)["missed"] for p in ("edf", "deadline", str(slack))}
    assert late == {"edf": 1, "deadline": 1, str(slack): 0}


def test_preemption_beats_the_reference_of_the_first_lab(tmp_path):
    policy = tmp_path / "srpt.lua"
    policy.write_text("local function key(t) return t.remaining or math.huge end\n"
                      "return { rank = key, preempt = function(t) local r, k = most(running(t), key) if r and k > key(t) then return r end end }\n")
    result = grade.grade(labs.load(str(FIRST)), str(policy), "x")
    assert result.status == grade.PASSED and result.score > 1
