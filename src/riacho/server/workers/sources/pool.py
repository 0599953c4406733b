"""The workers that one reader or writer works with, by number."""

from __future__ import annotations

from collections.abc import Callable

from riacho.server.engine.stopping import Check
from riacho.server.workers.sources.worker import SourceWorker


class WorkerPool:
    """Workers that are made when they are first asked for, and kept. `prepare`: what a new one is told first."""

    def __init__(self, check_stop: Check, prepare: Callable[[SourceWorker], object] = lambda _: None) -> None:
        self._check_stop = check_stop
        self._prepare = prepare
        self._workers: list[SourceWorker] = []

    def worker(self, index: int) -> SourceWorker:
        """The worker of that number; those before it are there. Raises what `SourceWorker` raises."""
        if index == len(self._workers):
            self._workers.append(SourceWorker(self._check_stop))
            self._prepare(self._workers[index])
        return self._workers[index]

    def close(self) -> None:
        """End the workers. Idempotent."""
        for worker in self._workers:
            worker.stop()
        self._workers.clear()
