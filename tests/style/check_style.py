#!/usr/bin/env python3
"""The rules of the house that a program can check.  Prints one line per breach, PATH:LINE: what; exits 1 if there is any.

    check_style.py [--source DIR] [--build DIR] [--cc CC] [--skip RULE]... [--only RULE]...

Without --build, the rules that read object files (exports, control, names) are left out and said to be.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

FILE_LINES = 600
FUNCTION_LINES = 80
FORMAT_VERSION = 14
SMALL = {
    "plugins/sched-fifo/sched_fifo.c": 40,
    "plugins/sched-locality/sched_locality.c": 99,
    "plugins/sched-priority/sched_priority.c": 60,
}
CODE_FOLDERS = ("core", "plugins", "bindings", "tests", "examples", "bench", "labs", "scripts", "cmake", "config")
C_FOLDERS = ("core", "plugins", "bindings", "tests", "examples", "bench")
LENGTH_SUFFIXES = {".c", ".h", ".py", ".lua", ".sh", ".cmake"}

# room -> what it may include with "", by the first part of the path.  <miniray/...> is open to all.
ROOMS = {
    "core/include": set(),
    "core/base": {"base"},
    "core/plugin": {"plugin", "base"},
    "core/control": {"control", "plugin", "base"},
    "core/client": {"client", "control", "plugin", "base"},
    "core/engine": {"engine", "client", "control", "plugin", "base"},
    "core/worker": {"worker", "client", "engine", "control", "plugin", "base"},
    "core/api": {"api", "client", "engine", "control", "plugin", "base"},
    "plugins": set(),
    "bindings": set(),
    "examples": set(),
}
# An engine is not to know another one.
APART = [("core/engine/sim", "engine/process"), ("core/engine/process", "engine/sim")]

# What core/control may import: memory, strings, formatting, arithmetic.  No system call, thread or clock.
CONTROL_MAY = re.compile(
    r"""(?x)^(
    malloc|calloc|realloc|free|reallocarray|aligned_alloc
    |mem(cpy|move|set|cmp|chr)|str(len|cmp|ncmp|chr|rchr|nlen|cpy|ncpy|dup|ndup|cspn|spn|str|toul|toull|toll|tod)
    |(v?s?n?printf_chk|v?snprintf|__(v?snprintf|memcpy|memmove|memset|strcpy|strncpy)_chk)
    |qsort|bsearch|abort|fmod|floor|ceil|fabs|log|log2|exp|pow|sqrt|l?round|ldexp|frexp|isfinite|isnan
    |__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|__assert_fail|__isoc99_sscanf
    |mr_control\w*|mr_(table|slab|intern|rand|list|status|err|handshake)_\w+|mr_bug|mr_nearest
    |XXH\w+|XXH3\w+)$"""
)


def words_of(text):
    return re.compile(r"\b(" + "|".join(text) + r")\b")


UNFINISHED = words_of(["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"])
PRETENDED = re.compile(r"\b(st" + r"ub|st" + r"ubbed|not impl" + r"emented( yet)?)\b", re.IGNORECASE)
MACHINE = re.compile(r"(?<![\w.])/(work/(main|shared)|root/)")


class Checker:
    def __init__(self, source, build, cc):
        self.source, self.build, self.cc = source, build, cc
        self.breaches = []
        self.left_out = []

    def breach(self, path, line, what):
        try:
            path = Path(path).relative_to(self.source)
        except ValueError:
            pass
        self.breaches.append(f"{path}:{line}: {what}")

    def files(self, folders, suffixes):
        for folder in folders:
            for top, below, names in os.walk(self.source / folder):
                below[:] = sorted(d for d in below if d not in ("__pycache__", "build", ".hypothesis", ".pytest_cache"))
                for name in sorted(names):
                    if Path(name).suffix in suffixes:
                        yield Path(top) / name

    def relative(self, path):
        return path.relative_to(self.source).as_posix()

    # -- rules on the text ---------------------------------------------------------------------------------------

    def rule_length(self):
        for path in self.files(CODE_FOLDERS, LENGTH_SUFFIXES):
            lines = path.read_text(errors="replace").count("\n")
            most = SMALL.get(self.relative(path), FILE_LINES)
            if lines > most:
                self.breach(path, lines, f"{lines} lines, the most is {most}")

    def rule_functions(self):
        """clang-format puts a function's braces in the first column, so its length can be seen without parsing."""
        for path in self.files(C_FOLDERS, {".c"}):
            begin = None
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                if line == "{":
                    begin = number
                elif line == "}" and begin:
                    if number - begin > FUNCTION_LINES:
                        self.breach(path, begin, f"a function of {number - begin} lines, the most is {FUNCTION_LINES}")
                    begin = None

    def rule_includes(self):
        for path in self.files(("core", "plugins", "bindings", "examples"), {".c", ".h"}):
            name = self.relative(path)
            room = next((r for r in ROOMS if name.startswith(r + "/")), None)
            if room is None:
                self.breach(path, 1, "is in no known room")
                continue
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                found = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
                if not found:
                    continue
                target = found.group(2)
                if found.group(1) == "<":
                    continue
                inside = (path.parent / target).exists() or "/" not in target
                if inside and not target.startswith(".."):
                    continue
                if target.split("/")[0] not in ROOMS[room]:
                    self.breach(path, number, f'{room} must not include "{target}"')
                for here, there in APART:
                    if name.startswith(here) and target.startswith(there):
                        self.breach(path, number, f'{here} must not include "{target}"')

    def rule_words(self):
        for path in self.files(CODE_FOLDERS + ("docs",), LENGTH_SUFFIXES | {".md", ".ini", ".txt"}):
            if path.name in (Path(__file__).name, "CMakeLists.txt"):
                continue
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                for rule in (UNFINISHED, PRETENDED, MACHINE):
                    found = rule.search(line)
                    if found:
                        self.breach(path, number, f'says "{found.group(0)}"')

    def rule_heads(self):
        for path in self.files(("core", "plugins", "bindings", "tests", "examples"), {".c", ".h"}):
            if not path.read_text(errors="replace").lstrip().startswith("/*"):
                self.breach(path, 1, "does not begin with a comment that says what the file owns")

    def rule_plugins(self):
        for folder in sorted((self.source / "plugins").glob("*/")):
            for name in ("CMakeLists.txt", "README.md"):
                if not (folder / name).exists():
                    self.breach(folder / name, 1, "is missing: every plugin folder has one")

    def rule_format(self):
        tool = shutil.which("clang-format")
        version = tool and subprocess.run([tool, "--version"], capture_output=True, text=True).stdout
        if not tool or f"version {FORMAT_VERSION}." not in version:
            self.left_out.append(f"format (no clang-format {FORMAT_VERSION}: others lay out differently)")
            return
        # Templates have placeholders that are not C yet.
        files = [str(p) for p in self.files(C_FOLDERS, {".c", ".h"}) if "templates" not in p.parts]
        done = subprocess.run([tool, "--dry-run", "--ferror-limit=1", *files], capture_output=True, text=True)
        for line in done.stderr.splitlines():
            found = re.match(r"(.+?):(\d+):\d+: (?:warning|error): code should be clang-formatted", line)
            if found:
                self.breach(found.group(1), found.group(2), "is not clang-formatted (scripts/lint.sh --fix)")

    def rule_headers(self):
        python = Path(sysconfig.get_paths()["include"])
        headers = [p for p in self.files(("core", "plugins", "bindings"), {".h"})]
        if not (python / "Python.h").exists():
            headers = [p for p in headers if not self.relative(p).startswith("bindings/")]
            self.left_out.append("headers of bindings (no Python.h)")

        def alone(path):
            command = [self.cc, "-std=gnu11", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-x", "c", "-I",
                       str(self.source / "core/include"), "-I", str(self.source / "core"), "-I", str(path.parent),
                       "-isystem", str(python), "-isystem", "/usr/include/lua5.4", "-isystem", "/usr/include/cjson", "-"]
            text = f'#include "{path}"\n#include "{path}"\n'
            return path, subprocess.run(command, input=text, capture_output=True, text=True)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for path, done in pool.map(alone, headers):
                if done.returncode:
                    why = [line for line in done.stderr.splitlines() if "error" in line][:1] or ["?"]
                    self.breach(path, 1, f"does not compile alone: {why[0]}")

    # -- rules on what was built ---------------------------------------------------------------------------------

    def symbols(self, path, *flags):
        done = subprocess.run(["nm", "-P", *flags, str(path)], capture_output=True, text=True)
        for line in done.stdout.splitlines():
            parts = line.split()
            if len(parts) >= 2 and not line.endswith(":"):
                yield parts[0].split("@")[0], parts[1]

    def rule_exports(self):
        plugins = sorted((self.build / "plugins").glob("*.so"))
        if not plugins:
            self.breach(self.build / "plugins", 1, "holds no built plugin")
        for path in plugins:
            names = sorted(n for n, kind in self.symbols(path, "-D", "--defined-only") if kind not in "wvA")
            if names != ["mr_plugin_entry"]:
                self.breach(path, 1, f"exports {', '.join(names) or 'nothing'}; a plugin exports mr_plugin_entry only")

    def objects(self, room):
        found = sorted((self.build / "CMakeFiles/miniray_objects.dir" / room).rglob("*.o"))
        # An object whose source is gone may lie around in an old build folder.
        return [p for p in found if (self.source / room / p.relative_to(self.build / "CMakeFiles/miniray_objects.dir" / room)
                                     .with_suffix("")).exists()]

    def rule_control(self):
        objects = self.objects("core/control")
        if not objects:
            self.breach(self.build, 1, "holds no object of core/control")
        own = {n for path in objects for n, _ in self.symbols(path, "--defined-only")}
        for path in objects:
            for name, _ in self.symbols(path, "-u"):
                if name not in own and not CONTROL_MAY.match(name):
                    self.breach(path.name, 1, f"core/control imports {name}: no system call, thread, clock or log in there")

    def rule_names(self):
        for path in self.objects("core"):
            for name, kind in self.symbols(path, "-g", "--defined-only"):
                if kind in "TDBRC" and not name.startswith("mr_"):
                    self.breach(path.name, 1, f"shares the name {name}: shared names begin with mr_, others are static")


RULES = ["length", "functions", "includes", "words", "heads", "plugins", "format", "headers", "exports", "control", "names"]
NEED_BUILD = {"exports", "control", "names"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, default=Path(__file__).parents[2])
    parser.add_argument("--build", type=Path)
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--skip", action="append", default=[], choices=RULES)
    parser.add_argument("--only", action="append", default=[], choices=RULES)
    args = parser.parse_args()
    checker = Checker(args.source.resolve(), args.build and args.build.resolve(), args.cc)
    for rule in args.only or RULES:
        if rule in args.skip:
            continue
        if rule in NEED_BUILD and not args.build:
            checker.left_out.append(f"{rule} (no --build)")
            continue
        getattr(checker, "rule_" + rule)()
    for line in checker.breaches:
        print(line)
    for what in checker.left_out:
        print("left out:", what)
    print(f"{len(checker.breaches)} breaches of style" if checker.breaches else "style: clean")
    return 1 if checker.breaches else 0


if __name__ == "__main__":
    sys.exit(main())
