"""Options of remote functions and actors: all names of Ray are known; types and ranges are checked where they are given.

An option that miniray does not honour is refused here, with what it does honour.
"""

from __future__ import annotations

import difflib
import math
import re
from typing import Any, Callable, Dict, List, Optional, Tuple

from . import _core, _env

UNIT = 10000
SYSTEM_GROUP = "_ray_system"  # its methods answer while all others are blocked
Need = Tuple[str, int]


def nearest(name: str, names) -> str:
    """', did you mean X?' or ''."""
    near = difflib.get_close_matches(name, list(names), 1, 0.6)
    return f", did you mean {near[0]!r}?" if near else ""


def _typed(name: str, value: Any, types: tuple, words: str) -> None:
    if isinstance(value, bool) and bool not in types or not isinstance(value, types):
        raise TypeError(f"The type of keyword '{name}' must be {words}, but received type {type(value)}")


def _amount(name: str, value: Any) -> None:
    """A quantity >= 0 in steps of 0.0001."""
    _typed(name, value, (int, float), "a number")
    if value < 0 or math.isnan(value) or math.isinf(value):
        raise ValueError(f"The quantity of resource {name} cannot be negative, infinite or NaN: {value}")
    if abs(value * UNIT - round(value * UNIT)) > 1e-6:
        raise ValueError(f"The precision of the fractional quantity of resource {name} cannot go beyond 0.0001: {value}")


def _gpus(name: str, value: Any) -> None:
    _amount(name, value)
    if value > 1 and value != int(value):
        raise ValueError(f"num_gpus above 1 must be a whole number, not {value}")


def _resources(name: str, value: Any) -> None:
    _typed(name, value, (dict,), "a dict")
    for key, amount in value.items():
        _typed("a key of resources", key, (str,), "a str")
        if key in ("CPU", "GPU", "memory", "object_store_memory"):
            option = {"CPU": "num_cpus", "GPU": "num_gpus"}.get(key, key)
            raise ValueError(f"Use the '{option}' keyword instead of '{key}' in 'resources' keyword")
        if not key:
            raise ValueError("a resource needs a name")
        _amount(key, amount)


def _whole(words: str, least: int) -> Callable[[str, Any], None]:
    def check(name: str, value: Any) -> None:
        _typed(name, value, (int,), "an int")
        if value < least:
            raise ValueError(f"The keyword '{name}' only accepts None, {words}, not {value}")
        if value > 2**31 - 1:
            raise ValueError(f"The keyword '{name}' is at most {2**31 - 1}, not {value}")
    return check


def _window(name: str, value: Any) -> None:
    _whole("-1 or a positive integer", -1)(name, value)
    if value == 0:
        raise ValueError(f"{name}=0 is not allowed: nothing could ever be yielded; use -1 for any number, or a positive integer")


def _num_returns(name: str, value: Any) -> None:
    words = "a non-negative integer, \"streaming\" (for generators), or \"dynamic\""
    if isinstance(value, str):
        if value not in ("streaming", "dynamic"):
            raise ValueError(f"The keyword 'num_returns' only accepts None, {words}, not {value!r}")
        return
    _typed(name, value, (int,), words)
    if not 0 <= value <= 65535:
        raise ValueError(f"The keyword 'num_returns' only accepts None, {words}, not {value}")


def _memory(name: str, value: Any) -> None:
    _typed(name, value, (int, float), "a number of bytes")
    if value < 0 or value != int(value):
        raise ValueError(f"The keyword 'memory' is a whole number of bytes >= 0, not {value}")


def _text(name: str, value: Any) -> None:
    _typed(name, value, (str,), "a str")


def _accelerator(name: str, value: Any) -> None:
    _text(name, value)
    if not 0 < len(value.encode()) < 15:
        raise ValueError(f"The keyword '{name}' names an accelerator in 1 to 14 bytes, not {value!r}")


def _actor_name(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise TypeError(f"actor name should be None or a string, not {type(value)}")
    if not value:
        raise ValueError("Actor name cannot be an empty string.")
    if len(value.encode()) > 119:
        raise ValueError("an actor's name has at most 119 bytes")


def _namespace(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise TypeError(f"namespace must be None or a string, not {type(value)}")
    if not value:
        raise ValueError('`""` is not a valid namespace. Pass None to not specify a namespace.')


def _lifetime(name: str, value: Any) -> None:
    if value not in ("detached", "non_detached"):
        raise ValueError("actor `lifetime` argument must be one of 'detached', 'non_detached' and 'None'.")


def _bool(name: str, value: Any) -> None:
    _typed(name, value, (bool,), "a bool")


def _retry(name: str, value: Any) -> None:
    if isinstance(value, bool):
        return
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"The keyword 'retry_exceptions' must be a bool or a list of exception classes, not {type(value)}")
    for kind in value:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise ValueError(f"retry_exceptions must be either a boolean or a list of exceptions, not {kind!r}")


def _groups(name: str, value: Any) -> None:
    _typed(name, value, (dict,), "a dict of names and how many calls of each run at a time")
    if len(value) > 15:
        raise ValueError(f"The keyword '{name}' has at most 15 groups, not {len(value)}")
    for group, most in value.items():
        _typed("a key of concurrency_groups", group, (str,), "a str")
        if group == SYSTEM_GROUP:
            raise ValueError(f"The concurrency group {SYSTEM_GROUP!r} is there in every actor that has a method of it")
        _whole("positive integers", 1)(f"{name}[{group!r}]", most)
        if most > 65535:
            raise ValueError(f"The keyword '{name}' has groups of at most 65535 calls, not {most}")


def _seconds(name: str, value: Any) -> None:
    _typed(name, value, (int, float), "a number of seconds")
    if not value >= 0 or value > 9e8:
        raise ValueError(f"The keyword '{name}' is a number of seconds >= 0, not {value}")


def _labels(name: str, value: Any) -> None:
    _typed(name, value, (dict,), "a dict")
    for key, text in value.items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise TypeError(f"The keyword '{name}' maps str to str, not {key!r} to {text!r}")


def _priority(name: str, value: Any) -> None:
    _typed(name, value, (int,), "an int")
    if abs(value) > 1000000:
        raise ValueError(f"priority lies within -1000000 .. 1000000, not {value}")


def _strategy(name: str, value: Any) -> None:
    if isinstance(value, str) and value not in ("DEFAULT", "SPREAD"):
        raise ValueError(f'scheduling_strategy is "DEFAULT", "SPREAD" or a strategy of util.scheduling_strategies, not {value!r}')
    if not isinstance(value, str) and not hasattr(value, "_define"):
        raise TypeError('scheduling_strategy is "DEFAULT", "SPREAD" or a strategy of util.scheduling_strategies; '
                        f"{type(value).__name__} is not supported")


def _group(name: str, value: Any) -> None:
    if value != "default" and not hasattr(value, "bundle_specs"):
        raise TypeError(f"placement_group is what util.placement_group() returned, not {type(value)}")


def _selector(name: str, value: Any) -> None:
    _labels(name, value)
    _conditions(value)


def _conditions(selector: Dict[str, str]) -> List[tuple]:
    """Of {"region": "eu", "tier": "!spot", "zone": "in(a,b)", "gpu": "!in(x,y)"}: (key, value, operator, soft)."""
    out = []
    for key, text in selector.items():
        match = re.fullmatch(r"(!?)(?:in\(([^()]*)\)|([^()!,]+))", text.strip())
        values = [v.strip() for v in (match.group(3) if match.group(2) is None else match.group(2)).split(",")] if match and match.group(0) else []
        if not match or not all(values):
            raise ValueError(f"label_selector[{key!r}] is \"value\", \"!value\", \"in(a,b)\" or \"!in(a,b)\", not {text!r}")
        out += [(key, value, 1 if match.group(1) else 0, False) for value in values]
    return out


def _requires(name: str, value: Any) -> None:
    if isinstance(value, str) or not all(isinstance(key, str) and key for key in value):
        raise TypeError(f"requires is a set of labels that the node must have, {{'ssd'}}, not {value!r}")


def _runtime_env(name: str, value: Any) -> None:
    _env.checked(value)


def _nothing(why: str) -> Callable[[str, Any], None]:
    def check(name: str, value: Any) -> None:
        raise ValueError(f"the option '{name}' is not supported: {why}")
    return check


def _default_only(allowed: tuple, why: str) -> Callable[[str, Any], None]:
    def check(name: str, value: Any) -> None:
        if value not in allowed:
            raise ValueError(f"the option '{name}' is not supported: {why}")
    return check


_COMMON: "Dict[str, Callable[[str, Any], None]]" = {
    "num_cpus": _amount, "num_gpus": _gpus, "memory": _memory, "resources": _resources, "runtime_env": _runtime_env,
    "scheduling_strategy": _strategy,
    "accelerator_type": _accelerator,
    "object_store_memory": _nothing("results are never refused for it; set [store] capacity"),
    "placement_group": _group, "placement_group_bundle_index": _whole("-1 or a bundle's number", -1),
    "placement_group_capture_child_tasks": _bool,
    "enable_task_events": _bool,
    "label_selector": _selector, "requires": _requires, "max_running": _whole("0 or a positive integer", 0),
    "fallback_strategy": _nothing("use scheduling_strategy or custom resources"),
    "_metadata": lambda name, value: None, "_labels": _labels,
    "priority": _priority, "estimate_s": _seconds, "deadline_s": _seconds, "limit_s": _seconds, "user": _text,
    "labels": _labels, "name": _text,
}
_TASK: "Dict[str, Callable[[str, Any], None]]" = {
    **_COMMON, "max_calls": _whole("0 or a positive integer", 0), "num_returns": _num_returns,
    "max_retries": _whole("0, -1 or a positive integer", -1), "retry_exceptions": _retry,
    "_generator_backpressure_num_objects": _window,
}
_ACTOR: "Dict[str, Callable[[str, Any], None]]" = {
    **_COMMON, "name": _actor_name, "namespace": _namespace, "lifetime": _lifetime, "get_if_exists": _bool,
    "max_restarts": _whole("-1, 0 or a positive integer", -1),
    "max_task_retries": _whole("-1, 0 or a positive integer", -1),
    "max_concurrency": _whole("a positive integer", 1),
    "max_pending_calls": _whole("-1 or a positive integer", -1),
    "concurrency_groups": _groups,
    "allow_out_of_order_execution": _default_only((False,), "async and threaded actors (max_concurrency) have no order already"),
    "enable_tensor_transport": _nothing("arrays travel through the object store without a copy"),
}
_METHOD: "Dict[str, Callable[[str, Any], None]]" = {
    "num_returns": _num_returns, "name": _text, "max_task_retries": _whole("-1, 0 or a positive integer", -1),
    "retry_exceptions": _retry, "_generator_backpressure_num_objects": _window,
    "concurrency_group": _text, "enable_task_events": _bool,
    "tensor_transport": _nothing("arrays travel through the object store without a copy"),
}
_TABLES = {"remote functions": _TASK, "actors": _ACTOR, "actor methods": _METHOD}


def check(options: Dict[str, Any], what: str) -> Dict[str, Any]:
    """The options without those that are None.  ValueError / TypeError as in Ray; `what` is a key of _TABLES."""
    table = _TABLES[what]
    for name, value in options.items():
        rule = table.get(name)
        if rule is None:
            other = next((w for w, t in _TABLES.items() if name in t and w != what), None)
            if name in _TASK or name in _ACTOR:
                raise ValueError(f"Invalid option keyword {name!r} for {what}: it is one of {other}. "
                                 f"Valid ones are {sorted(table)}.")
            raise ValueError(f"Invalid option keyword {name!r} for {what}{nearest(name, table)} "
                             f"Valid ones are {sorted(table)}.")
        if value is not None:
            rule(name, value)
    out = {name: value for name, value in options.items() if value is not None}
    if "runtime_env" in out:
        out["runtime_env"] = _env.checked(out["runtime_env"])
    return out


def _steps(value: float) -> int:
    return int(round(value * UNIT))


def needs(options: Dict[str, Any], actor: bool) -> Tuple[Optional[List[Need]], Optional[List[Need]]]:
    """What is needed to start, and (actors) while living; None: the default."""
    others: List[Need] = []
    if options.get("num_gpus"):
        others.append(("GPU", _steps(options["num_gpus"])))
    if options.get("memory"):
        others.append(("memory", int(options["memory"])))
    others += [(name, _steps(amount)) for name, amount in options.get("resources", {}).items() if amount]
    if "accelerator_type" in options:  # a trace of what a node has that was given this as a resource
        others.append((f"accelerator_type:{options['accelerator_type']}", _steps(0.001)))
    if "num_cpus" in options:
        cpus = [("CPU", _steps(options["num_cpus"]))] if options["num_cpus"] else []
        return cpus + others, (cpus + others if actor else None)
    if not others:
        return None, None
    return [("CPU", UNIT)] + others, (others if actor else None)


def held(options: Dict[str, Any], actor: bool) -> Dict[str, float]:
    """What a task, or an actor while it lives, has been given: {"CPU": 1.0, ...}; memory in bytes."""
    start, living = needs(options, actor)
    amounts = living if actor else [("CPU", UNIT)] if start is None else start
    return {name: float(amount if name == "memory" else amount / UNIT) for name, amount in amounts or []}


def _ns(options: Dict[str, Any], name: str) -> int:
    return int(options[name] * 1e9) if name in options else -1


def _place(options: Dict[str, Any], out: Dict[str, Any]) -> None:
    """Where it may run."""
    strategy = options.get("scheduling_strategy")
    group = options.get("placement_group", "default")
    if group != "default":
        if strategy is not None:
            raise ValueError("Placement groups should be specified via the scheduling_strategy option. The placement_group "
                             "option is deprecated; give one of the two.")
    elif options.get("placement_group_bundle_index", -1) != -1:
        raise ValueError("If placement group is not set, the value of bundle index must be -1.")
    out["flags"] = 0 if strategy is None and group == "default" else _core.DEF_OWN_PLACE
    out["conditions"] = _conditions(options.get("label_selector", {})) + [
        (key, "", 2, False) for key in sorted(options.get("requires", ()))]
    if group != "default":
        group._define(out, options.get("placement_group_bundle_index", -1), options.get("placement_group_capture_child_tasks"))
    elif strategy == "SPREAD":
        out["schedule"] = _core.SCHEDULE_SPREAD
    elif strategy is not None and not isinstance(strategy, str):
        strategy._define(out)


def definition(options: Dict[str, Any], actor: bool) -> Dict[str, Any]:
    """The part of _core.define's dict that comes from options."""
    want, living = needs(options, actor)
    out: Dict[str, Any] = {
        "needs": want, "living": living, "priority": options.get("priority"), "user": options.get("user"),
        "estimate": _ns(options, "estimate_s"), "deadline": _ns(options, "deadline_s"), "limit": _ns(options, "limit_s"),
        "labels": list(options.get("labels", {}).items()) or None,
    }
    out["max_running"] = options.get("max_running")
    _place(options, out)
    out["env"] = _env.number(_env.merged(_env.current, options.get("runtime_env", {})))
    return out
