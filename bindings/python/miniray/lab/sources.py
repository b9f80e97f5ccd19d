"""What a user may name as a workload, and how it becomes one.

    gen:KIND,KEY=VALUE,...       made here from a seed (`miniray.lab.workload.GENERATORS`)
    data:NAME,KEY=VALUE,...      a public data set, fetched once (`miniray lab data list`)
    FORMAT:FILE,KEY=VALUE,...    a file in a form of `miniray.lab.readers` (swf:jobs.swf,processors=128)
    FILE.swf                     the same, known by its ending
    FILE                         JSONL or WfFormat: read by the simulator itself
"""

from __future__ import annotations

import os
from typing import Any

from . import data, readers, workload

ENDINGS = {".swf": "swf"}


def options_of(spec: str, pairs: list[str]) -> dict[str, Any]:
    """KEY=VALUE pairs; a value that looks like a number, true or false is one, any other is a text."""
    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise ValueError(f"{spec}: expected KEY=VALUE, got {pair!r}")
        if text in ("true", "false"):
            options[key] = text == "true"
            continue
        try:
            number = float(text)
            options[key] = int(number) if number == int(number) else number
        except (ValueError, OverflowError):
            options[key] = text
    return options


def resolve(spec: str, seed: int = 0) -> str | list[workload.Line]:
    """The lines of a workload, or the path of a file that the simulator reads.  Raises ValueError (a ReadError among them),
    OSError, DataError."""
    if workload.parse(spec):
        return workload.make(spec, seed)
    scheme, colon, rest = spec.partition(":")
    name, *pairs = rest.split(",")
    if colon and scheme == "data":
        return data.load(name, **options_of(spec, pairs))
    if colon and scheme in readers.READERS:
        try:
            return readers.READERS[scheme](name, **options_of(spec, pairs))
        except TypeError as error:
            raise ValueError(f"{spec}: {error}") from None
    ending = os.path.splitext(spec)[1]
    return readers.READERS[ENDINGS[ending]](spec) if ending in ENDINGS else spec
