#!/usr/bin/env python3
"""Makes the instances of the labs that are taken from public data sets: what their SOURCE.md says, from the sets as
`miniray lab data fetch` gets them.  Run it with the Python that has miniray; a test compares."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from miniray.lab import data

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = ("jobID", "submission_time", "requested_number_of_processors", "requested_time", "execution_time")
SHOPS = ("ft06", "ft10", "ft20", "abz5", "abz6", *(f"la{i:02}" for i in (*range(1, 6), *range(16, 21))), *(f"orb{i:02}" for i in range(1, 11)))


def batch_jobs(path: Path) -> str:
    """The columns that a scheduler needs of the 800 jobs; what came of them in Batsim's run is left out."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = [[f"{float(row[c]):.12g}" for c in COLUMNS] for row in csv.DictReader(file)]
    return "".join(",".join(row) + "\n" for row in (list(COLUMNS), *rows))


def shops(path: Path) -> str:
    """The instances of at most 100 operations, one a line."""
    found = json.loads(path.read_text(encoding="utf-8"))
    kept = {name: {**{k: found[name][k] for k in ("duration_matrix", "machines_matrix")},
                   "metadata": {k: found[name]["metadata"][k] for k in ("lower_bound", "reference")}} for name in SHOPS}
    return "{\n" + ",\n".join(f"{json.dumps(n)}: {json.dumps(v, separators=(',', ':'))}" for n, v in kept.items()) + "\n}\n"


MADE = {"06-backfilling/public/jobs.csv": ("evalys-jobs", batch_jobs), "11-job-shop/public/shops.json": ("jobshop", shops)}


def main() -> None:
    for place, (name, make) in MADE.items():
        path = ROOT / "labs" / place
        path.parent.mkdir(exist_ok=True)
        path.write_text(make(data.fetch(name)[0]), encoding="utf-8")


if __name__ == "__main__":
    main()
