"""Who commits a version of a table in this process tells those who read it, and hands them the rows it wrote.

Readers need then not look for what is new, and need not open the files that hold it: a data file never changes, so the
rows that went into it stand for it. What is handed over is bounded and may be missing at any time; then the file is
read. Other processes' commits are not heard of, so a reader has still to look now and then.

    writer   files have their names ──► offer(table, path, rows)     commit is in place ──► announce(table, version)
    reader   wake() is called, looks at the log as ever              take(path): the rows, or None: read the file
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa

from riacho.storage import Place

_ENGINE_WRITES_AFTER_LARGE: Final = 8
"""After rows that are too many to be handed over, so many writes are left to the engine, which writes on all cores."""


@dataclass
class _Held:
    """The rows of a file, and who has not taken them yet."""

    rows: pa.Table
    waiting: set[Subscription]


@dataclass
class _TableNews:
    """What is known of one table. `left_out`: writes that are not asked for their rows."""

    subscriptions: set[Subscription] = field(default_factory=set)
    held: OrderedDict[str, _Held] = field(default_factory=OrderedDict)
    held_bytes: int = 0
    left_out: int = 0

    @property
    def limit(self) -> int:
        """How many bytes may be held: as many as the most generous reader wants."""
        return max((each.hold_bytes for each in self.subscriptions), default=0)

    def drop(self, path: str) -> None:
        held = self.held.pop(path, None)
        if held is not None:
            self.held_bytes -= held.rows.nbytes


class Subscription:
    """One reader of a table. `wake` is called by whoever commits, and must be quick and raise nothing."""

    def __init__(self, bus: CommitBus, key: str, wake: Callable[[], None], hold_bytes: int) -> None:
        self.hold_bytes = hold_bytes
        self.wake = wake
        self._bus = bus
        self._key = key

    def take(self, path: str) -> pa.Table | None:
        """The rows of the data file that the log calls `path`; None: read it. They are given to a reader once."""
        return self._bus.take(self._key, path, self)

    def close(self) -> None:
        """No more is wanted. Idempotent."""
        self._bus.unsubscribe(self._key, self)


class CommitBus:
    """See the module. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._tables: dict[str, _TableNews] = {}
        self._lock = threading.Lock()

    def subscribe(self, table: Place, wake: Callable[[], None], hold_bytes: int = 0) -> Subscription:
        """Hear of the commits to `table` from now on. `hold_bytes`: how much may wait for this reader; 0: no rows."""
        key = _key(table)
        subscription = Subscription(self, key, wake, hold_bytes)
        with self._lock:
            self._tables.setdefault(key, _TableNews()).subscriptions.add(subscription)
        return subscription

    def wants_rows(self, table: Place) -> bool:
        """Whether somebody would take the rows of the next write to `table`. To be asked once for each write."""
        if not self._tables:
            return False
        with self._lock:
            news = self._tables.get(_key(table))
            if news is None or news.limit == 0:
                return False
            if news.left_out:
                news.left_out -= 1
                return False
            return True

    def offer(self, table: Place, path: str, rows: pa.Table) -> None:
        """`rows` are those of a new data file, which may be committed soon. Older ones make way for them."""
        if not self._tables:
            return
        with self._lock:
            news = self._tables.get(_key(table))
            if news is None:
                return
            waiting = {each for each in news.subscriptions if each.hold_bytes}
            if rows.nbytes > news.limit:
                news.left_out = _ENGINE_WRITES_AFTER_LARGE
                return
            if not waiting:
                return
            news.held[path] = _Held(rows, waiting)
            news.held_bytes += rows.nbytes
            while news.held_bytes > news.limit:
                news.drop(next(iter(news.held)))

    def withdraw(self, table: Place, path: str) -> None:
        """That file will be in no version."""
        if not self._tables:
            return
        with self._lock:
            news = self._tables.get(_key(table))
            if news is not None:
                news.drop(path)

    def announce(self, table: Place) -> None:
        """A version of `table` is in place."""
        if not self._tables:
            return
        with self._lock:
            news = self._tables.get(_key(table))
            told = list(news.subscriptions) if news is not None else []
        for subscription in told:
            subscription.wake()

    def held_bytes(self, table: Place) -> int:
        """How much waits for readers of `table`."""
        with self._lock:
            news = self._tables.get(_key(table))
            return 0 if news is None else news.held_bytes

    def take(self, key: str, path: str, subscription: Subscription) -> pa.Table | None:
        """See `Subscription.take`."""
        with self._lock:
            news = self._tables.get(key)
            held = None if news is None else news.held.get(path)
            if news is None or held is None or subscription not in held.waiting:
                return None
            held.waiting.discard(subscription)
            if not held.waiting:
                news.drop(path)
            return held.rows

    def unsubscribe(self, key: str, subscription: Subscription) -> None:
        """See `Subscription.close`."""
        with self._lock:
            news = self._tables.get(key)
            if news is None:
                return
            news.subscriptions.discard(subscription)
            if not news.subscriptions:
                del self._tables[key]
                return
            for path, held in list(news.held.items()):
                held.waiting.discard(subscription)
                if not held.waiting:
                    news.drop(path)


COMMITS: Final = CommitBus()
"""The bus of this process: a commit is a fact about a folder, whoever of the process makes it and reads it."""


def _key(table: Place) -> str:
    """One name for a table however its place is spelled."""
    return os.path.realpath(table) if isinstance(table, Path) else str(table)
