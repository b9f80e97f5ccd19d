"""Runs CPython's own tests of executors, those that it has for every kind of executor, against miniray.Executor.

    python cpython_executor.py FOLDER MIXIN      FOLDER contains the package `test` of this interpreter's version; MIXIN: one of SHARED

Only the frame is ours: which class is tested, and that scripts run by the tests import it from miniray, whose output comes
with a prefix.  Run by test_executor.py, in a process of its own.
"""

import importlib
import re
import sys
import unittest

import miniray

SHARED = ["ExecutorTest", "ExecutorShutdownTest", "WaitTests", "AsCompletedTests", "InitializerMixin", "FailingInitializerMixin",
          "ExecutorDeadlockTest"]
OTHERWISE = {
    "test_error_at_task_unpickle": "the call gets the error; the executor stays whole",
    "test_error_during_result_unpickle_in_result_handler": "the call gets the error; the executor stays whole",
    "test_exit_during_result_unpickle_in_result_handler": "the call gets the SystemExit; the executor stays whole",
    "test_exit_during_result_pickle_on_worker": "sys.exit() while a result is pickled ends the worker: the executor is broken",
    "test_shutdown_deadlock_pickle": "looks into ProcessPoolExecutor's own thread",
}
MODULES = ["executor", "test_shutdown", "test_wait", "test_as_completed", "test_init", "test_deadlock", "util"]  # since Python 3.12


def load():
    """{name: object} of the tests, wherever this version of Python keeps them."""
    whole = importlib.import_module("test.test_concurrent_futures")
    if not hasattr(whole, "__path__"):
        return vars(whole)
    found = {}
    for name in MODULES:
        found.update(vars(importlib.import_module(f"test.test_concurrent_futures.{name}")))
    return found


def adapt(assert_python_ok, folder):
    def run(*args, **env):
        code = args[-1].replace("from concurrent.futures import Executor", "from miniray import Executor")
        rc, out, err = assert_python_ok(*args[:-1], code, PYTHONPATH=folder, **env)
        return rc, re.sub(rb"(?m)^\([^)]*pid=\d+\) ", b"", out), err
    return run


class Executor(miniray.Executor):
    def __init__(self, *args, mp_context=None, **kwargs):
        super().__init__(*args, **kwargs)


def main(folder, name):
    sys.path.insert(0, folder)
    theirs = load()

    class Frame(theirs["ExecutorMixin"]):
        executor_type = Executor

        def get_context(self):
            return None

    mixin = theirs[name]
    home = sys.modules[mixin.__module__]
    if hasattr(home, "assert_python_ok"):
        home.assert_python_ok = adapt(home.assert_python_ok, folder)
    case = type(f"Miniray{name}", (mixin, Frame, theirs["BaseTestCase"]), {"__module__": __name__})
    for test, why in OTHERWISE.items():
        if hasattr(case, test):
            setattr(case, test, unittest.skip(why)(getattr(case, test)))
    miniray.init(num_cpus=2)
    miniray.put(0).future().result()  # its thread is there before the tests begin to look for new ones
    result = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.loadTestsFromTestCase(case))
    miniray.shutdown()
    return 0 if result.wasSuccessful() and result.testsRun > len(result.skipped) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
