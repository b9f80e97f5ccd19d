#!/usr/bin/env python3
"""Writes miniray.d.lua, the types that editors show for a policy, from the tables that register the API in sched-lua.

    scripts/lua_types.py > bindings/python/miniray/templates/policy/miniray.d.lua

tests/python/test_policy_cli.py holds the file against what this prints.
"""

import re
from pathlib import Path

PLUGIN = Path(__file__).resolve().parents[1] / "plugins" / "sched-lua"
TYPES = {
    "AS_U64": "integer", "AS_U32": "integer", "AS_U16": "integer", "AS_INT": "integer", "AS_TIME": "integer",
    "AS_TEXT": "string", "AS_ID": "integer", "AS_REMAINING": "integer", "AS_ENTRY": "integer", "AS_RANK": "number", "AS_BYTES": "integer",
    "AS_NEEDS": "table<string, number>", "AS_LABELS": "table<string, string|number|nil>", "AS_PREDS": "Edge[]", "AS_SUCCS": "Edge[]", "AS_IDLE": "boolean",
    "AS_TOTAL": "table<string, number>", "AS_FREE": "table<string, number>",
    "AS_KIND": '"task"|"actor"|"group"', "AS_STATE": '"waiting"|"ready"|"travelling"|"running"|"stopped"|"over"',
}
HANDLES = {"from": "Slot", "on": "Slot|Node", "node": "Node", "task": "Task"}
HOOKS = {
    "rank": "fun(t: Task): number?", "place": "fun(t: Task): Slot|Node|nil", "plan": "fun(t: Task): Slot|Node|nil",
    "pick": "fun(w: Slot): Task|false|nil", "slice": "fun(t: Task, w: Slot): number?", "preempt": "fun(t: Task): Task?",
    "submitted": "fun(t: Task)", "ready": "fun(t: Task)", "started": "fun(t: Task, w: Slot)",
    "stopped": "fun(t: Task, w: Slot, ran: integer)", "done": "fun(t: Task, w: Slot, ran: integer, outcome: string)",
    "dropped": "fun(t: Task, why: string)", "woken": "fun(now: integer)", "save": "fun(): any", "restore": "fun(saved: any)",
}
HELPERS = (
    ("least", "(xs: T[]|fun(): T, f?: fun(x: T): number|false|nil) -> T?, number?", "the one with the smallest f, and that; the first wins"),
    ("most", "(xs: T[]|fun(): T, f?: fun(x: T): number|false|nil) -> T?, number?", "the one with the largest f, and that; the first wins"),
    ("sum", "(xs: T[]|fun(): T, f?: fun(x: T): number|false|nil) -> number", "the sum of f"),
)


def fields(kind: str) -> str:
    """The ---@field lines of one kind of handle."""
    text = (PLUGIN / "views.c").read_text()
    rows = re.search(rf"{kind}_fields\[\] = \{{\n(.*?)\n\}};", text, re.S)[1]
    out = []
    for name, show, why in re.findall(r'\{"(\w+)", (\w+), [^,]*, (NULL|".*?")\}', rows):
        kind_of = HANDLES[name] if show == "AS_REF" else TYPES[show]
        nil = "" if why == "NULL" else "|nil"
        out.append(f"---@field {name} {kind_of}{nil}" + (f" nil: {why[1:-1]}" if nil else ""))
    return "\n".join(out)


def library() -> str:
    """What is there of Lua's own library, as an alias of its names, and why some of the rest is not."""
    text = (PLUGIN / "sandbox.c").read_text()
    lists = re.findall(r"names\[\] = \{(.*?)NULL\}", text, re.S)  # string, table, math, the base library
    prefixes = ("string.", "table.", "math.", "")
    if len(lists) != len(prefixes):
        raise SystemExit("sandbox.c has lists of names that are not known here")
    names = [prefix + name for prefix, some in zip(prefixes, lists) for name in re.findall(r'"(\w+)"', some)]
    names += re.findall(r'\{"(\w+)", box_\w+\}', text)  # what is written anew
    names += re.findall(r"function G\.(table\.sort|pairs)\b", (PLUGIN / "prelude.lua").read_text())
    names += ["table.unpack", "math.random"]
    why = re.findall(r'\{"(\w+)", "(.*?)"\}', re.search(r"hints\[\]\[2\] = \{(.*?)\};", text, re.S)[1])
    return ("-- Of Lua's own library:\n---@alias Library " + "|".join(f'"{name}"' for name in sorted(names)) + "\n"
            + "\n".join(f"-- {name} is not available: {reason}" for name, reason in why))


def function(name: str, signature: str, what: str, generic: bool = False) -> str:
    """One global function: its ---@ lines and an empty body."""
    inside, _, returns = signature.partition(" -> ")
    inside = inside[1:-1]
    lines = [f"---{what}"] + (["---@generic T"] if generic else [])
    names = []
    for part in re.findall(r"(\w+\??): ((?:fun\(.*?\): [\w|]+|[^,])+)", inside):
        names.append(part[0].rstrip("?"))
        lines.append(f"---@param {part[0]} {part[1].strip()}")
    lines += [f"---@return {one}" for one in returns.split(", ") if one]
    return "\n".join([*lines, f"function {name}({', '.join(names)}) end"])


def main() -> None:
    hooks = re.findall(r'= "(\w+)"', re.search(r"mr_lua_hook_names.*?\};", (PLUGIN / "load.c").read_text(), re.S)[0])
    rows = re.findall(r'\{"(\w+)",\s*host_\w+\},\s*/\* (.*?) \| (.*?) \*/', (PLUGIN / "host.c").read_text())
    registered = re.findall(r'\{"(\w+)",\s*host_\w+\}', (PLUGIN / "host.c").read_text())
    if sorted(registered) != sorted(name for name, *_ in rows) or sorted(hooks) != sorted(HOOKS):
        raise SystemExit("a row of host.c has no types, or a hook of load.c is not known here")
    print("---@meta\n-- Types of a miniray policy, for editors with the Lua language server.  Made by scripts/lua_types.py.\n"
          "-- Times are ns since the run began; a field that is not known is nil.\n")
    for kind, name in (("task", "Task"), ("slot", "Slot"), ("node", "Node")):
        print(f"---@class {name}\n{fields(kind)}\n")
    print("---@class Edge\n---@field task Task|nil nil: it is over\n---@field bytes integer\n---@field node Node|nil nil: nothing is sealed yet\n")
    print("---@class Policy\n" + "\n".join(f"---@field {hook}? {HOOKS[hook]}" for hook in hooks) + "\n")
    print("\n\n".join(function(*row) for row in rows) + "\n")
    print("\n\n".join(function(*row, generic=True) for row in HELPERS) + "\n")
    print("---a microsecond, a millisecond, a second, in ns\nus, ms, s = 1000, 1000000, 1000000000\n")
    print("---the other keys of [sched.sched-lua]: numbers, durations in ns, booleans, text\n---@type table<string, any>\nconf = {}\n")
    print(library())


if __name__ == "__main__":
    main()
