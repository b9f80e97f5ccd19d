"""What is said when a disk fails, by the error that the system gives: the library below makes its calls fail."""

import os
import subprocess
import sys
import textwrap

DISK_C = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
int why_blocks, why_write, why_read;
int posix_fallocate(int fd, off_t at, off_t len)
{
    int (*real)(int, off_t, off_t) = dlsym(RTLD_NEXT, "posix_fallocate");
    return why_blocks ? why_blocks : real(fd, at, len);
}
ssize_t pwrite(int fd, const void *from, size_t len, off_t at)
{
    ssize_t (*real)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite");
    return why_write ? (errno = why_write, -1) : real(fd, from, len, at);
}
ssize_t pread(int fd, void *to, size_t len, off_t at)
{
    ssize_t (*real)(int, void *, size_t, off_t) = dlsym(RTLD_NEXT, "pread");
    return why_read ? (errno = why_read, -1) : real(fd, to, len, at);
}
"""

DISK_ERRORS = """
    import ctypes, errno, os, sys, time
    import numpy as np
    import miniray
    MB = 1 << 20
    folder = sys.argv[1]

    def fails(name, why):
        ctypes.c_int.in_dll(ctypes.CDLL(None), "why_" + name).value = why

    def told(how, text, kind, *words):
        try:
            how()
        except kind as e:
            missing = [w for w in (*words, os.strerror(text) if text else "") if w not in str(e)]
            assert type(e) is kind and not missing, (type(e), missing, str(e))
        else:
            raise AssertionError(f"{text}: nothing was said")

    Full, System, Lost = (getattr(miniray.exceptions, n) for n in ("ObjectStoreFullError", "RaySystemError", "ObjectLostError"))
    miniray.init(num_workers=1, config=folder + "/disk.ini")
    one = np.ones(3 * MB, np.uint8)
    for why in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):  # no room, whoever says it
        fails("blocks", why)
        told(lambda: miniray.put(one), 0, Full, "3145", "capacity", "used")
    fails("blocks", errno.EIO)
    told(lambda: miniray.put(one), errno.EIO, System, "3145", "blocks", folder)
    fails("blocks", 0)
    for why in (errno.EDQUOT, errno.EIO):  # a full disk has a test of its own
        fails("write", why)
        refs = []
        told(lambda: [refs.append(miniray.put(one)) for _ in range(6)], why, Full, "3145", "capacity", "spilling failed", folder)
        assert len(refs) == 2 and all((miniray.get(ref) == 1).all() for ref in refs)
        del refs
        time.sleep(1.01)  # for so long the disk is left alone
    fails("write", 0)
    refs = [miniray.put(one) for _ in range(6)]
    fails("read", errno.EIO)
    told(lambda: [miniray.get(ref) for ref in refs], 0, Lost, "could not be read")
    fails("read", 0)
    miniray.shutdown()
    print("good")
"""


def test_each_error_of_a_disk(tmp_path):
    """Lack of room, whatever it is called, is a full store, with sizes; else the path and the system's word are named."""
    (tmp_path / "disk.c").write_text(DISK_C)
    library = str(tmp_path / "disk.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, str(tmp_path / "disk.c")], check=True)
    (tmp_path / "disk.ini").write_text(f"[store]\nplugin = store-file\ncapacity = 8M\nfull_wait = 100ms\nspill_dir = {tmp_path}\n"
                                       f"[store.store-file]\ndir = {tmp_path}\n")
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(DISK_ERRORS), str(tmp_path)], capture_output=True, text=True,
                          timeout=120, env={**os.environ, "LD_PRELOAD": library})
    assert done.stdout == "good\n", done.stderr
