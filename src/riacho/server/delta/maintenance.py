"""What a table that is written all day needs now and then: checkpoints, small files put together, old files removed.

A stream leaves some small files and a log entry per batch. Every so many versions a background thread looks at the
table and does what is due; the query goes on meanwhile, for none of this changes a row. First it is decided what to do
(`due`), then it is done.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

from riacho.clock import Clock, SystemClock
from riacho.errors import SparkError
from riacho.server.delta.actions import AddFile
from riacho.server.delta.changes import require_files
from riacho.server.delta.delta_rs import open_table, translated
from riacho.server.delta.files import STAGING
from riacho.server.delta.log import DeltaLog
from riacho.server.delta.optimize import optimize
from riacho.server.delta.state import load_state
from riacho.storage import Place

_VACUUMED = "vacuumed"
_DAY_MS = 24 * 3600 * 1000

_log = logging.getLogger(__name__)


class MaintenanceStep(Enum):
    """What can be done for a table, in the order in which it is done."""

    COMPACT = "put small files together"
    CHECKPOINT = "write a checkpoint and remove log files past their retention"
    VACUUM = "remove files that no version within the retention needs"


@dataclass(frozen=True)
class MaintenancePolicy:
    """When to do what.

    `interval_versions`: how often a table is looked at. `small_file_bytes`, `compact_after_files`: a partition with so
    many files below that size is compacted into files of `target_file_bytes`. `vacuum_interval_ms`: the least time
    between two vacuums; how long removed files stay is the table's own property, `delta.deletedFileRetentionDuration`.
    """

    interval_versions: int = 100
    small_file_bytes: int = 16 << 20
    compact_after_files: int = 100
    target_file_bytes: int = 128 << 20
    vacuum_interval_ms: int = _DAY_MS


def due(policy: MaintenancePolicy, files: Iterable[AddFile], since_vacuum_ms: int | None) -> list[MaintenanceStep]:
    """What a table with these files needs. `since_vacuum_ms`: None if the table was never vacuumed by riacho."""
    small = Counter(frozenset(file.partition_values.items()) for file in files if file.size < policy.small_file_bytes)
    steps = []
    if max(small.values(), default=0) >= policy.compact_after_files:
        steps.append(MaintenanceStep.COMPACT)
    steps.append(MaintenanceStep.CHECKPOINT)
    if since_vacuum_ms is None or since_vacuum_ms >= policy.vacuum_interval_ms:
        steps.append(MaintenanceStep.VACUUM)
    return steps


def maintain(table: Place, policy: MaintenancePolicy, clock: Clock) -> list[MaintenanceStep]:
    """Do what is due for the table in that folder; what that was. Raises SparkError, OSError."""
    files = require_files(load_state(DeltaLog(table), with_files=True)).values()
    note = table / STAGING / _VACUUMED
    since = clock.now_ms() - int(note.stat().st_mtime * 1000) if note.exists() else None
    steps = due(policy, files, since)
    for step in steps:
        if step is MaintenanceStep.COMPACT:
            optimize(table, clock, target_bytes=policy.target_file_bytes)
            continue
        opened = open_table(table)
        with translated(table):
            match step:
                case MaintenanceStep.CHECKPOINT:
                    opened.create_checkpoint()
                    opened.cleanup_metadata()
                case MaintenanceStep.VACUUM:
                    opened.vacuum(dry_run=False, full=True)
                    note.parent.mkdir(exist_ok=True)
                    note.touch()
    return steps


Watcher = Callable[[Place, Sequence[MaintenanceStep], Exception | None], None]
"""Is told which table was maintained: what was done, or why it could not be."""


class Housekeeper:
    """One background thread that maintains all tables, one at a time; it starts with the first that is due.

    Nothing here is needed for anybody to read or write a table, so a failure is logged and left at that.
    """

    def __init__(self, policy: MaintenancePolicy | None = None, clock: Clock | None = None) -> None:
        self._policy = policy or MaintenancePolicy()
        self._clock = clock or SystemClock()
        self._due: queue.SimpleQueue[Place | None] = queue.SimpleQueue()
        self._waiting: set[Place] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._watchers: list[Watcher] = []

    @contextmanager
    def watched(self, watcher: Watcher) -> Iterator[None]:
        """Have `watcher` told of what is done while the block runs, on the thread that does it."""
        with self._lock:
            self._watchers.append(watcher)
        try:
            yield
        finally:
            with self._lock:
                self._watchers.remove(watcher)

    def after_commit(self, table: Place, version: int) -> None:
        """Called after each commit, and returns at once."""
        if version == 0 or version % self._policy.interval_versions:
            return
        with self._lock:
            if table in self._waiting:
                return
            self._waiting.add(table)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="riacho-housekeeper", daemon=True)
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
                steps = maintain(table, self._policy, self._clock)
                _log.info("Maintained the Delta table at %s: %s", table, ", ".join(step.value for step in steps))
                self._tell(table, steps, None)
            except (SparkError, OSError) as failure:
                _log.warning("Could not maintain the Delta table at %s: %s", table, failure)
                self._tell(table, [], failure)

    def _tell(self, table: Place, steps: Sequence[MaintenanceStep], failure: Exception | None) -> None:
        with self._lock:
            watchers = list(self._watchers)
        for watcher in watchers:
            try:
                watcher(table, steps, failure)
            except Exception:  # noqa: BLE001 - the tables are maintained all the same
                _log.exception("somebody who watches the maintenance of tables has failed")
