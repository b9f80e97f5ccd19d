"""Counts words of text files in parallel: word_count.py [FILE...]  (without files: those of the standard library's json)."""

import collections
import json
import pathlib
import re
import sys

import miniray as ray


@ray.remote
def count(path):
    text = pathlib.Path(path).read_text(encoding="utf-8", errors="replace")
    return dict(collections.Counter(re.findall(r"[A-Za-z_]+", text)))


@ray.remote
def merge(*counts):
    total = collections.Counter()
    for one in counts:
        total.update(one)
    return dict(total)


def main() -> None:
    files = sys.argv[1:] or sorted(str(p) for p in pathlib.Path(json.__file__).parent.glob("*.py"))
    ray.init(num_workers=2)
    counts = [count.remote(path) for path in files]
    partial = [merge.remote(*counts[i:i + 8]) for i in range(0, len(counts), 8)]
    total = ray.get(merge.remote(*partial))
    print(f"{len(files)} files, {sum(total.values())} words, {len(total)} different")
    for word, n in sorted(total.items(), key=lambda item: (-item[1], item[0]))[:5]:
        print(f"{n:7} {word}")
    ray.shutdown()


if __name__ == "__main__":
    main()
