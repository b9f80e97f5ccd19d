"""runtime_env: variables, folders and modules of tasks and actors; inherited, merged, and never left behind in a process."""

from __future__ import annotations

import os

import pytest

import miniray
from miniray.runtime_env import RuntimeEnv


@pytest.fixture
def folder(tmp_path):
    """A project with a module, a data file and a package beside another that must not be seen."""
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "helper_of_work.py").write_text("VALUE = 42\n")
    (tmp_path / "work" / "data.txt").write_text("hello")
    for name in ("wanted_package", "other_package"):
        (tmp_path / "lib" / name).mkdir(parents=True)
        (tmp_path / "lib" / name / "__init__.py").write_text(f"NAME = '{name}'\n")
    return tmp_path


def variables(*names):
    return {name: os.environ.get(name) for name in names}


def test_variables_are_inherited_and_merged(ray):
    read = ray.remote(variables)

    @ray.remote
    class Child:
        def read(self, *names):
            return variables(*names)

    @ray.remote(runtime_env={"env_vars": {"MR_A": "parent", "MR_B": "parent"}})
    def parent():
        own = read.options(runtime_env={"env_vars": {"MR_B": "child"}})
        return miniray.get([read.remote("MR_A", "MR_B"), own.remote("MR_A", "MR_B"), Child.remote().read.remote("MR_A")])

    assert ray.get(parent.remote()) == [
        {"MR_A": "parent", "MR_B": "parent"}, {"MR_A": "parent", "MR_B": "child"}, {"MR_A": "parent"}]
    assert ray.get(read.remote("MR_A", "MR_B")) == {"MR_A": None, "MR_B": None}  # never a tainted process
    actor = Child.options(runtime_env=RuntimeEnv(env_vars={"MR_A": "actor"})).remote()
    assert ray.get(actor.read.remote("MR_A")) == {"MR_A": "actor"}


def test_equal_environments_share_processes(ray):
    env = {"env_vars": {"MR_A": "1", "PATH": "/first:${PATH}:${MR_NOT_THERE}"}}

    @ray.remote(runtime_env=env)
    def one():
        return os.getpid(), os.environ["PATH"]

    @ray.remote(runtime_env={"env_vars": dict(reversed(env["env_vars"].items()))})
    def other():
        return os.getpid(), os.environ["PATH"]

    assert ray.get(one.remote()) == ray.get(other.remote())
    assert ray.get(one.remote())[1] == f"/first:{os.environ['PATH']}:"


def test_job_environment(folder):
    env = {"env_vars": {"MR_JOB": "job"}, "working_dir": str(folder / "work"), "py_modules": [str(folder / "lib" / "wanted_package")]}
    with miniray.init(num_cpus=2, runtime_env=env):
        @miniray.remote
        def look():
            import helper_of_work
            import wanted_package

            with pytest.raises(ImportError):
                import other_package  # noqa: F401
            with open("data.txt") as file:
                return os.environ["MR_JOB"], helper_of_work.VALUE, wanted_package.NAME, file.read(), os.getcwd()

        @miniray.remote(runtime_env={"env_vars": {"MR_TASK": "task"}})
        def nested():
            return miniray.get(look.remote()), variables("MR_JOB", "MR_TASK"), miniray.get_runtime_context().runtime_env

        seen = ("job", 42, "wanted_package", "hello", str(folder / "work"))
        assert miniray.get(look.remote()) == seen
        assert miniray.get(nested.remote()) == (
            seen, {"MR_JOB": "job", "MR_TASK": "task"}, {**env, "env_vars": {"MR_JOB": "job", "MR_TASK": "task"}})
        assert miniray.get_runtime_context().runtime_env == env
        assert variables("MR_JOB") == {"MR_JOB": None}  # the driver's own is left alone


def test_a_class_from_a_module_of_the_environment(ray, folder, monkeypatch):
    """What is pickled by name is found in the worker through its own environment."""
    monkeypatch.syspath_prepend(str(folder / "work"))
    (folder / "work" / "class_of_work.py").write_text("class Thing:\n    def value(self):\n        return 7\n")
    import class_of_work

    thing = ray.remote(runtime_env={"working_dir": str(folder / "work")})(class_of_work.Thing).remote()
    assert ray.get(thing.value.remote()) == 7


def test_a_folder_that_went_is_the_error_of_each_call(ray, folder):
    f = ray.remote(runtime_env={"working_dir": str(folder / "work")}, max_retries=0)(lambda: 1)
    for path in (folder / "work").iterdir():
        path.unlink()
    (folder / "work").rmdir()
    for _ in range(2):
        with pytest.raises(miniray.exceptions.RuntimeEnvSetupError, match="could not be set up.*FileNotFoundError"):
            ray.get(f.remote())


@pytest.mark.parametrize("env, kind, message", [
    *[({key: ["x"]}, ValueError, f"'{key}' is not supported; 'env_vars', 'working_dir' and 'py_modules' are")
      for key in ("pip", "conda", "uv", "container", "image_uri", "excludes", "worker_process_setup_hook", "nonsense")],
    ({"env_vars": {"A": 1}}, TypeError, r"Dict\[str, str\]"),
    ({"env_vars": {"A=B": "1"}}, ValueError, "cannot be the name"),
    ({"env_vars": []}, TypeError, r"Dict\[str, str\]"),
    ({"working_dir": "/not/there"}, ValueError, "/not/there is not a directory"),
    ({"working_dir": "s3://bucket/x.zip"}, ValueError, "only local directories"),
    ({"working_dir": 3}, TypeError, "path of a directory"),
    ({"py_modules": "x"}, TypeError, "a list"),
    ("x", TypeError, "must be a dict"),
])
def test_what_is_refused(env, kind, message):
    with pytest.raises(kind, match=message):
        miniray.remote(runtime_env=env)(variables)
    with pytest.raises(kind, match=message):
        miniray.init(runtime_env=env)
    assert not miniray.is_initialized()
