"""Each promise to policies has its test on both sides: docs/guarantees.md names them, and they are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = {path.name: path for folder in ("tests", "core/plugin/conformance") for path in (ROOT / folder).rglob("*.[chp]*") if path.is_file()}


def rows():
    lines = [line for line in (ROOT / "docs" / "guarantees.md").read_text().splitlines() if re.match(r"\| \d+ \|", line)]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_every_promise_names_tests_of_both_suites_that_are_there():
    assert [row[0] for row in rows()] == [str(i) for i in range(1, 20)]
    for number, _, control, bench in rows():
        for cell in (control, bench):
            named = re.findall(r"`([\w.]+): ([^`]+)`", cell)
            assert named, f"{number}: {cell}"
            for file, what in named:
                assert what in FILES[file].read_text(), f"{number}: {file} has no {what}"


def test_the_probe_checks_what_it_lists():
    """Every promise of helper_probe.h is put to the test by the probe itself."""
    probe = "".join(FILES[name].read_text() for name in ("helper_probe.c", "helper_probe_recount.c", "test_control_probe.c"))
    named = re.findall(r"(P_\w+) = (\d+),", FILES["helper_probe.h"].read_text())
    assert {int(number) for name, number in named if name != "P_COUNT"} == set(range(1, 20)) - {16}
    for name, _ in named:
        assert name == "P_COUNT" or f"OUGHT({name}," in re.sub(r"\(\s+", "(", probe), name
