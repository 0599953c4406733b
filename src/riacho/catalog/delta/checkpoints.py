"""Checkpoints of tables' logs, written beside the work: whoever opens the table then need not read each commit."""

from __future__ import annotations

import logging
import queue
import threading
from pathlib import Path

from riacho.catalog.delta.rust import open_table, translated
from riacho.errors import SparkError

INTERVAL = 100
"""A checkpoint is due every so many versions. Reading that many commits takes a few milliseconds."""

_log = logging.getLogger(__name__)


class CheckpointWriter:
    """One background thread that writes checkpoints of all tables, one at a time; it starts with the first one due.

    A checkpoint is a shortcut and never needed, so a failure is logged and left at that.
    """

    def __init__(self, interval: int = INTERVAL) -> None:
        self._interval = interval
        self._due: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        self._waiting: set[Path] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def after_commit(self, table: Path, version: int) -> None:
        """Called after each commit. Returns at once; a checkpoint may follow."""
        if version == 0 or version % self._interval:
            return
        with self._lock:
            if table in self._waiting:
                return
            self._waiting.add(table)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="riacho-checkpoints", daemon=True)
                self._thread.start()
        self._due.put(table)

    def stop(self, timeout_s: float = 10.0) -> None:
        """Finish what is due, for at most that long, and end the thread."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._due.put(None)
            thread.join(timeout_s)

    def _work(self) -> None:
        while (table := self._due.get()) is not None:
            with self._lock:
                self._waiting.discard(table)
            try:
                opened = open_table(table)
                with translated(table):
                    opened.create_checkpoint()
            except SparkError as failure:
                _log.warning("No checkpoint of the Delta table at %s: %s", table, failure)
