"""Options: every name of Ray is known; wrong ones are told at once, with what is right.  No session is needed."""

import pytest

import miniray
from miniray import _options


@miniray.remote
def f():
    return 1


@miniray.remote
class A:
    def m(self):
        return 1


TASK_BAD = [
    ({"num_cpu": 1}, ValueError, "did you mean 'num_cpus'"), ({"num_cpus": -1}, ValueError, "cannot be negative"),
    ({"num_cpus": "1"}, TypeError, "num_cpus"), ({"num_cpus": True}, TypeError, "num_cpus"),
    ({"num_cpus": 0.00001}, ValueError, "0.0001"), ({"num_cpus": float("nan")}, ValueError, "NaN"), ({"num_gpus": 1.5}, ValueError, "whole"),
    ({"resources": {"CPU": 1}}, ValueError, "num_cpus"), ({"resources": {"a": -1}}, ValueError, "negative"),
    ({"resources": [1]}, TypeError, "dict"), ({"resources": {1: 1}}, TypeError, "str"), ({"memory": -5}, ValueError, "memory"),
    ({"memory": 1.5}, ValueError, "whole"), ({"num_returns": -1}, ValueError, "num_returns"), ({"num_returns": "many"}, ValueError, "streaming"),
    ({"num_returns": 1.5}, TypeError, "num_returns"), ({"max_retries": -2}, ValueError, "0, -1 or a positive integer"),
    ({"max_retries": 2.0}, TypeError, "max_retries"), ({"max_calls": -1}, ValueError, "0 or a positive integer"),
    ({"retry_exceptions": "ValueError"}, TypeError, "retry_exceptions"), ({"retry_exceptions": [1]}, ValueError, "exceptions"),
    ({"max_restarts": 1}, ValueError, "actors"), ({"lifetime": "detached"}, ValueError, "actors"), ({"name": 5}, TypeError, "name"),
    ({"placement_group": 5}, TypeError, "placement_group"), ({"max_running": -1}, ValueError, "max_running"),
    ({"requires": "ssd"}, TypeError, "set of labels"), ({"label_selector": {"a": "!"}}, ValueError, "label_selector"), ({"accelerator_type": "A" * 20}, ValueError, "1 to 14 bytes"),
    ({"runtime_env": {"pip": ["x"]}}, ValueError, "'pip' is not supported; 'env_vars', 'working_dir'"),
    ({"runtime_env": {"env_vars": {"A": 1}}}, TypeError, "str"), ({"scheduling_strategy": "FAST"}, ValueError, "SPREAD"),
    ({"scheduling_strategy": 3}, TypeError, "SPREAD"), ({"estimate_s": -1}, ValueError, "seconds"), ({"priority": 1.5}, TypeError, "int"),
    ({"labels": {"a": 1}}, TypeError, "str"), ({"object_store_memory": 5}, ValueError, "capacity"),
]
ACTOR_BAD = [
    ({"max_restart": 1}, ValueError, "did you mean 'max_restarts'"), ({"max_restarts": -2}, ValueError, "-1, 0 or a positive"),
    ({"max_concurrency": 0}, ValueError, "positive"), ({"name": ""}, ValueError, "empty string"), ({"name": 5}, TypeError, "None or a string"),
    ({"namespace": ""}, ValueError, "valid namespace"), ({"lifetime": "long"}, ValueError, "detached"),
    ({"concurrency_groups": {"a": 0}}, ValueError, "positive integers"), ({"num_returns": 2}, ValueError, "remote functions"),
    ({"get_if_exists": 1}, TypeError, "bool"), ({"max_task_retries": "x"}, TypeError, "max_task_retries"),
]


@pytest.mark.parametrize("options, kind, message", TASK_BAD, ids=str)
def test_bad_options_of_functions(options, kind, message):
    with pytest.raises(kind, match=message):
        f.options(**options)
    with pytest.raises(kind, match=message):
        miniray.remote(**options)(lambda: 1)


@pytest.mark.parametrize("options, kind, message", ACTOR_BAD, ids=str)
def test_bad_options_of_actors(options, kind, message):
    with pytest.raises(kind, match=message):
        A.options(**options)


RAY_TASK = """accelerator_type enable_task_events label_selector max_calls max_retries memory name num_cpus num_gpus num_returns
object_store_memory placement_group placement_group_bundle_index placement_group_capture_child_tasks resources retry_exceptions
runtime_env scheduling_strategy _generator_backpressure_num_objects _metadata _labels fallback_strategy""".split()
RAY_ACTOR = """accelerator_type concurrency_groups enable_task_events get_if_exists label_selector lifetime max_concurrency
max_pending_calls max_restarts max_task_retries memory name namespace num_cpus num_gpus object_store_memory placement_group
placement_group_bundle_index placement_group_capture_child_tasks resources runtime_env scheduling_strategy _metadata _labels
allow_out_of_order_execution enable_tensor_transport fallback_strategy""".split()


def test_every_option_of_ray_is_known():
    assert set(RAY_TASK) <= set(_options._TASK) and set(RAY_ACTOR) <= set(_options._ACTOR)
    for name in RAY_TASK:
        f.options(**{name: None})
    for name in RAY_ACTOR:
        A.options(**{name: None})


def test_amounts():
    assert _options.needs({}, False) == (None, None)
    assert _options.needs({"num_cpus": 0}, False) == ([], None)
    assert _options.needs({"num_cpus": 0.5}, True) == ([("CPU", 5000)], [("CPU", 5000)])
    assert _options.needs({"resources": {"disk": 2}}, False) == ([("CPU", 10000), ("disk", 20000)], None)
    assert _options.needs({"num_gpus": 1}, True) == ([("CPU", 10000), ("GPU", 10000)], [("GPU", 10000)])
    assert _options.needs({"memory": 5}, False) == ([("CPU", 10000), ("memory", 5)], None)


def test_options_do_not_change_the_original():
    changed = f.options(num_cpus=2)
    assert changed._options == {"num_cpus": 2} and f._options == {}


def test_the_decorator_refuses():
    with pytest.raises(TypeError, match="must be applied"):
        miniray.remote(1)
    with pytest.raises(TypeError, match="must be applied"):
        miniray.remote()
    with pytest.raises(TypeError, match="function or a class"):
        miniray.remote(num_cpus=1)(5)
    with pytest.raises(ValueError, match="async def"):
        @miniray.remote
        async def g():
            pass
    with pytest.raises(TypeError, match="ray.method"):
        miniray.method(print)
    with pytest.raises(ValueError, match="did you mean 'num_returns'"):
        miniray.method(num_return=2)


def test_missing_names_say_what_there_is():
    with pytest.raises(AttributeError, match="placement_group"):
        miniray.util.serialization
    with pytest.raises(AttributeError, match="did you mean 'remote'"):
        miniray.remot
