"""What is in the stores of the open session, for tests."""

import gc

import miniray
from miniray import _session


def stats():
    """The table of counts, when the node has been told all that this process dropped."""
    miniray._core.flush()
    return _session.state("stats")


def nothing_stored():
    """What is being written or read when it is given up goes a little later: to be asked until it holds."""
    gc.collect()
    now = stats()
    return now["store_used"] == 0 and now["object_bytes"] == 0 and now["disk_bytes"] == 0
