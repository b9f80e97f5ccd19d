"""joblib on miniray's workers: ``register_miniray()``, then ``with joblib.parallel_config("miniray", n_jobs=-1):``."""

from __future__ import annotations

import abc
from typing import Any, Callable, Optional

from joblib.parallel import (AutoBatchingMixin, FallbackToBackend, ParallelBackendBase, SequentialBackend,
                             register_parallel_backend)

from .. import _api, _session
from .._executor import Executor

__all__ = ["MinirayBackend", "register_miniray", "register_ray"]


class MinirayBackend(AutoBatchingMixin, ParallelBackendBase, metaclass=abc.ABCMeta):
    """Batches of joblib calls as tasks.  options: of remote functions, for all of them (num_gpus, resources, ...).

    n_jobs: so many batches run at a time; -1: the session's CPUs.  A Parallel inside of a call that asks for n_jobs runs on
    miniray too, one level deep; below that, calls run one after the other.
    """

    supports_retrieve_callback = True
    supports_sharedmem = False
    uses_threads = False

    def __init__(self, nesting_level: Optional[int] = None, inner_max_num_threads: Optional[int] = None, **options: Any):
        super().__init__(nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads)
        self._options = options
        self._executor: Optional[Executor] = None
        self._n_jobs = 1

    def effective_n_jobs(self, n_jobs: Optional[int]) -> int:
        """How many calls run at a time for this n_jobs."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        if n_jobs < 0:
            _session.ensure()
            return max(int(_api.cluster_resources().get("CPU", 1)) + 1 + n_jobs, 1)
        return n_jobs

    def configure(self, n_jobs: Optional[int] = 1, parallel: Any = None, prefer: Any = None, require: Any = None,
                  **_others: Any) -> int:
        """Called by joblib before the first call."""
        self._n_jobs = self.effective_n_jobs(n_jobs)
        if self._n_jobs == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        self.parallel = parallel
        self._executor = Executor(self._n_jobs, **self._options)
        return self._n_jobs

    def submit(self, func: Callable[[], Any], callback: Optional[Callable] = None) -> Any:
        """Runs a batch; returns its future."""
        assert self._executor is not None
        future = self._executor.submit(func)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    apply_async = submit  # its name in older versions of joblib

    def retrieve_result_callback(self, out: Any) -> Any:
        """The results of a batch; raises what a call of it raised."""
        return out.result()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """After an error: what runs is killed, the rest forgotten."""
        executor, self._executor = self._executor, None
        if executor is not None:
            for job in executor._workers.stop():
                job.cancel()  # type: ignore[attr-defined]
            executor.shutdown(wait=False)
        if ensure_ready:
            self._executor = Executor(self._n_jobs, **self._options)

    def terminate(self) -> None:
        """After the last call."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=False)
        self.reset_batch_stats()

    def get_nested_backend(self) -> Any:
        """For a Parallel in a call."""
        level = (self.nesting_level or 0) + 1
        if level > 1:
            return SequentialBackend(nesting_level=level), None
        return MinirayBackend(nesting_level=level, **self._options), None


def register_miniray() -> None:
    """Makes "miniray" a name of joblib's parallel backends."""
    register_parallel_backend("miniray", MinirayBackend)


def register_ray() -> None:
    """The same under the name "ray", for programs that say so."""
    register_parallel_backend("ray", MinirayBackend)
