"""The soak of objects in tests/soak, at a level for every day."""

import importlib.util
import os
from pathlib import Path

import pytest

SOAK = Path(__file__).parent.parent / "soak" / "objects.py"


@pytest.mark.parametrize("store", ["store-shm", "store-mem"])
def test_ends_with_nothing(store):
    spec = importlib.util.spec_from_file_location("objects_soak", SOAK)
    soak = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(soak)
    told = soak.main(seed=int(os.environ.get("MRTEST_SEED", "1")), rounds=6, store=store)
    assert told["spilled"] > 0
