"""Values saved under names, with a store that keeps them: the next session loads them, whatever became of this one."""

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import miniray
from miniray import _session
from miniray.util import named

MB = 1 << 20


@pytest.fixture
def keeping(tmp_path):
    """-> begin(): starts a session whose store keeps what it has in a folder of the test."""
    config = tmp_path / "keep.ini"
    config.write_text(f"[store]\nplugin = store-file\ncapacity = 32M\n[store.store-file]\ndir = {tmp_path}\npersist = true\n")
    yield lambda: miniray.init(num_workers=1, config=str(config))
    miniray.shutdown()


def test_the_next_session_loads_what_was_saved(keeping):
    values = {"number": 7, "a text": "x" * 100_000, "array": np.arange(1 << 18).reshape(512, -1), "deep": {"a": [1, (2.5, None)]}}
    keeping()

    @miniray.remote
    def made():
        return np.full(MB, 3, np.uint8)

    for name, value in values.items():
        named.save(name, value)
    named.save("result", made.remote())
    assert (miniray.get(named.load("array")) == values["array"]).all()
    miniray.shutdown()
    keeping()
    for name, value in values.items():
        got = miniray.get(named.load(name))
        assert np.array_equal(got, value) if name == "array" else got == value
    assert not miniray.get(named.load("array")).flags.writeable
    assert (miniray.get(named.load("result")) == 3).all()
    named.delete("array")
    with pytest.raises(KeyError, match="nothing was saved as .*array"):
        named.load("array")
    with pytest.raises(KeyError, match="array"):
        named.delete("array")
    miniray.shutdown()
    keeping()
    with pytest.raises(KeyError):
        named.load("array")
    for name in ("number", "a text", "deep", "result"):
        named.delete(name)
    assert _session.state("nodes")[0]["used"] == _session.state("nodes")[0]["inline"]


def test_what_cannot_be_saved(keeping):
    keeping()
    named.save("one", 1)
    with pytest.raises(ValueError, match="is saved as .*one.* already"):
        named.save("one", 2)
    with pytest.raises(ValueError, match="references inside"):
        named.save("two", [miniray.put(1)])
    with pytest.raises(ValueError, match="1 to 255 bytes"):
        named.save("", 1)
    with pytest.raises(ValueError, match="1 to 255 bytes"):
        named.save("x" * 256, 1)
    with pytest.raises(TypeError, match="a name is a text"):
        named.load(5)
    with pytest.raises(miniray.exceptions.ObjectStoreFullError, match="no room"):
        ref = miniray.put(np.zeros(20 * MB, np.uint8))
        named.save("large", ref)

    @miniray.remote
    def fails():
        raise KeyError("no")

    @miniray.remote
    def there():
        named.load("one")

    with pytest.raises(ValueError, match="is an error"):
        named.save("three", fails.remote())
    with pytest.raises(NotImplementedError, match="only the driver"):
        miniray.get(there.remote())
    assert miniray.get(named.load("one")) == 1


@pytest.mark.parametrize("store", ["store-shm", "store-mem", "store-file"])
def test_a_store_that_forgets_says_so(store):
    miniray.init(num_workers=1, store=store)
    try:
        with pytest.raises(NotImplementedError, match="persist = true"):
            named.save("x", 1)
        with pytest.raises(NotImplementedError, match="forgets"):
            named.load("x")
    finally:
        miniray.shutdown()


def test_a_driver_that_is_killed_leaves_what_it_saved_and_damage_is_noticed(keeping, tmp_path):
    code = f"""
        import os, signal
        import numpy as np
        import miniray
        from miniray.util import named
        miniray.init(num_workers=1, config={str(tmp_path / "keep.ini")!r})
        named.save("kept", np.full({MB}, 77, np.uint8))
        named.save("hurt", np.full({MB}, 99, np.uint8))
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, env=os.environ)
    assert done.returncode == -signal.SIGKILL, done.stderr
    file = tmp_path / "miniray-store-0.bytes"
    content = file.read_bytes()
    end = content.rindex(b"\x63" * 4096) + 4096  # behind it: what is known of the value
    rest = content.index(b"mrname1", end)
    for at in (end - 5000, end - 1, rest, rest + 8, rest + 16, rest + 24, rest + 40):
        with open(file, "r+b") as f:
            f.seek(at)
            f.write(bytes([content[at] ^ 4]))
        keeping()
        assert (miniray.get(named.load("kept")) == 77).all()
        with pytest.raises((miniray.exceptions.ObjectLostError, ValueError), match="hurt"):
            named.load("hurt")
        miniray.shutdown()
        with open(file, "r+b") as f:
            f.seek(at)
            f.write(content[at:at + 1])
    os.truncate(file, end - MB // 2)
    keeping()
    assert (miniray.get(named.load("kept")) == 77).all()
    with pytest.raises(miniray.exceptions.ObjectLostError, match="hurt.*damaged"):
        named.load("hurt")
    named.delete("hurt")


def test_two_sessions_and_other_capacities(keeping, tmp_path):
    config = tmp_path / "keep.ini"
    keeping()
    named.save("one", 1)
    code = f"import miniray\nminiray.init(num_workers=1, config={str(config)!r})\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=os.environ)
    assert done.returncode == 1 and "another session has it" in done.stderr, done.stderr
    miniray.shutdown()
    text = config.read_text()
    config.write_text(text.replace("32M", "16M"))
    with pytest.raises(miniray.exceptions.RaySystemError, match="a larger capacity"):
        keeping()
    config.write_text(text.replace("32M", "48M"))
    keeping()
    assert miniray.get(named.load("one")) == 1
    miniray.shutdown()
    with open(tmp_path / "miniray-store-0.log", "r+b") as f:
        f.seek(9)
        f.write(b"!")
    with pytest.raises(miniray.exceptions.RaySystemError, match="log is damaged"):
        keeping()
