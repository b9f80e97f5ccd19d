"""The laboratory: one workload or program under several policies and stores, compared and drawn.

>>> from miniray.lab import workload, simulate, write_report            # doctest: +SKIP
>>> w = workload.generate("mapreduce", maps=32, reduces=4, seed=1)      # doctest: +SKIP
>>> runs = [simulate(w, policy=p, nodes=2, cpus=4) for p in ("fifo", "locality")]   # doctest: +SKIP
>>> write_report("report.html", runs)                                   # doctest: +SKIP

Nothing in here is needed to run tasks, and importing it starts nothing.
"""

from . import workload
from .compare import Comparison, compare
from .report import write_report
from .run_sim import SimError, simulate
from .summary import differences, summarise, table
from .trace import Run, read_trace, write_trace

__all__ = [
    "Comparison",
    "Run",
    "SimError",
    "compare",
    "differences",
    "read_trace",
    "simulate",
    "summarise",
    "table",
    "workload",
    "write_report",
    "write_trace",
]
