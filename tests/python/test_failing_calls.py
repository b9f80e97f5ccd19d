"""Failing calls below a Python driver, of tests/soak, at a level for every day."""

import importlib.util
import os
from pathlib import Path

SOAK = Path(__file__).parent.parent / "soak" / "failing_calls.py"


def test_what_is_told_is_right_or_an_error():
    spec = importlib.util.spec_from_file_location("failing_calls_soak", SOAK)
    soak = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(soak)
    assert soak.main(seed=int(os.environ.get("MRTEST_SEED", "1")), tries=2)["failures"] > 0
