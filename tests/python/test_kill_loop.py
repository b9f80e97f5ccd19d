"""The kill loop of tests/soak, at a level for every day."""

import importlib.util
import os
from pathlib import Path

LOOP = Path(__file__).parent.parent / "soak" / "kill_loop.py"


def test_every_value_is_right():
    spec = importlib.util.spec_from_file_location("kill_loop", LOOP)
    loop = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loop)
    counts = loop.main(seed=int(os.environ.get("MRTEST_SEED", "1")), tasks=100_000, faults=300)
    assert counts["tasks"] >= 100_000
    assert counts["killed"] >= 100 and counts["stopped"] >= 20 and counts["own deaths"] >= 100
