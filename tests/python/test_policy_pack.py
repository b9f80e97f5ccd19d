"""The shipped policies: what each file says of itself, that it is short, and that it keeps what every policy must keep."""

from pathlib import Path

import pytest

from miniray.lab import policy_tests

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "config" / "policies").glob("*.lua"))
BY_HAND = (ROOT / "tests" / "unit" / "test_policies.c").read_text()


def code(path):
    """The lines of a file that are neither comment nor empty."""
    return [line for line in path.read_text().splitlines() if line.strip() and not line.lstrip().startswith("--")]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_it_says_what_it_is_and_is_short(path):
    header = "".join(line for line in path.read_text().splitlines(True) if line.startswith("-- "))
    for word in ("Good: ", "Bad: ", "Source: "):
        assert word in header, f"{path.name} does not say {word}"
    assert len(code(path)) <= (60 if path.stem == "heft" else 40)
    assert policy_tests.read(str(path)) or f'world("{path.stem}"' in BY_HAND, f"nothing shows what {path.stem} is for"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_it_does_what_it_is_for(path):
    for test in policy_tests.read(str(path)):
        assert policy_tests.failures(str(path), test) == []


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_it_keeps_what_every_policy_must(path):
    """Nothing lost or doubled, with nothing known, with everything known, on unlike nodes; the same run twice; and two
    workloads that differ in their true durations alone get equal answers until the first task ends."""
    for name in policy_tests.PROPERTIES:
        assert policy_tests.property_failures(str(path), name) == [], name
