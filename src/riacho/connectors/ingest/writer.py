"""Writing a log: requests that wait at the same time share one write and one fsync, and are answered after it.

One thread writes. `append` may be called from any thread; its future has the offsets once the events are on disk. A
crash at any point loses nothing that was answered: what was cut off is removed at the next start.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa

from riacho.connectors.ingest import frames
from riacho.connectors.ingest.log import LogFolder
from riacho.errors import IllegalStateError

_log = logging.getLogger(__name__)

SEGMENT_BYTES: Final = 64 << 20
GROUP_BYTES: Final = 32 << 20
"""How much is committed at once at most."""
REMEMBERED: Final = 1_000_000
"""How many idempotency keys are kept in memory."""
Headers = Sequence[tuple[str, bytes]]
Hook = Callable[[str], None]
"""Told of each step of a commit, for tests that kill at each of them."""


@dataclass(frozen=True)
class EventGroup:
    """Events of one request that have their headers in common. `keys`: one for each value, or none at all."""

    values: Sequence[bytes]
    headers: Headers = ()
    keys: Sequence[bytes | None] | None = None


@dataclass(frozen=True)
class Appended:
    """Where the events of a request are: [first, first + count). `repeated`: they were there already."""

    first: int
    count: int
    repeated: bool = False


class OtherRequestError(Exception):
    """An idempotency key that was used for other events before."""


class LogFullError(Exception):
    """More waits to be written than may; try again later."""


@dataclass(eq=False)
class _Append:
    groups: Sequence[EventGroup]
    request: str | None
    digest: bytes
    count: int
    size: int
    time_us: int
    done: Future[Appended] = field(default_factory=Future)


class LogWriter:
    """The one writer of a log. To be closed.

    `waiting_bytes`: how much may wait to be written. Raises IllegalStateError if another process writes this log,
    OSError for a folder that cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        waiting_bytes: int = 2 * GROUP_BYTES,
        hook: Hook = lambda _: None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log = LogFolder(folder)
        self._segment_bytes = segment_bytes
        self._most = waiting_bytes
        self._hook = hook
        self._lock = _locked(folder)
        self._requests: OrderedDict[str, tuple[bytes, Appended]] = OrderedDict()
        self._pending: dict[str, _Append] = {}
        self._changed = threading.Condition()
        self._queue: list[_Append] = []
        self._bytes = 0
        self._closed = False
        self._file = -1
        self._size = 0
        self._durable: int | None = None
        self._failed: OSError | None = None
        self.next = self._recovered()
        self._thread = threading.Thread(target=self._work, name="riacho-ingest-writer", daemon=True)
        self._thread.start()

    def append(
        self, groups: Sequence[EventGroup], *, request: str | None = None, body: bytes = b""
    ) -> Future[Appended]:
        """Have events written; the future has their offsets when they are on disk.

        `request`: an idempotency key: events that came under it before are not written again; `body` tells whether they
        are the same. Raises LogFullError, OtherRequestError, and the future OSError.
        """
        count = sum(len(group.values) for group in groups)
        size = sum(map(len, (value for group in groups for value in group.values))) + 100 * len(groups)
        digest = hashlib.blake2b(body, digest_size=16).digest() if request is not None else b""
        waiting = _Append(groups, request, digest, count, size, time.time_ns() // 1000)
        with self._changed:
            if self._closed:
                raise IllegalStateError(f"The log {self.log.folder} is closed")
            if request is not None and (known := self._known(request, digest)) is not None:
                return known
            if not count:
                waiting.done.set_result(Appended(self.next, 0))
                return waiting.done
            if self._bytes and self._bytes + size > self._most:
                raise LogFullError(f"{self._bytes >> 20} MB wait to be written")
            if request is not None:
                self._pending[request] = waiting
            self._queue.append(waiting)
            self._bytes += size
            self._changed.notify_all()
        return waiting.done

    @property
    def failed(self) -> bool:
        """Whether the disk failed, so that nothing is written until the next start."""
        return self._failed is not None

    def close(self) -> None:
        """Write what waits, and end. Idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        for file in (self._file, self._durable, self._lock):
            if file is not None and file >= 0:
                with suppress(OSError):
                    os.close(file)
        self._file, self._durable, self._lock = -1, None, -1

    def _known(self, request: str, digest: bytes) -> Future[Appended] | None:
        done: Future[Appended] = Future()
        if (waiting := self._pending.get(request)) is not None:
            if waiting.digest != digest:
                raise OtherRequestError(request)
            waiting.done.add_done_callback(lambda first: _repeat(first, done))
            return done
        if (found := self._requests.get(request)) is not None:
            if found[0] != digest:
                raise OtherRequestError(request)
            done.set_result(Appended(found[1].first, found[1].count, repeated=True))
            return done
        return None

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._queue and not self._closed:
                    self._changed.wait()
                if not self._queue:
                    return
                taken: list[_Append] = []
                size = 0
                while self._queue and (not taken or size + self._queue[0].size <= GROUP_BYTES):
                    taken.append(self._queue.pop(0))
                    size += taken[-1].size
            try:
                self._commit(taken)
            except Exception as error:  # noqa: BLE001 - told to each who waits; the thread goes on
                self._settle(taken, error=error)

    def _commit(self, taken: list[_Append]) -> None:
        if self._failed is not None:
            raise self._failed
        first = self.next
        events, groups = _batches(taken)
        frame = frames.encoded(first, events, groups)
        if self._size and self._size + len(frame) > self._segment_bytes:
            self._roll(first)
        self._hook("taken")
        try:
            _write(self._file, frame)
            self._hook("written")
        except OSError as error:
            self._take_back(error)
            raise
        try:
            _sync(self._file)
        except OSError as error:
            # What is on disk is not known any more, and a second fsync would not tell: only a new start looks.
            self._failed = error
            raise
        self._size += len(frame)
        self._hook("synced")
        self.next = first + events.num_rows
        try:
            self._durable = self.log.say_durable(self.next, self._durable)
        except OSError as error:
            # The events are there and nobody is told so: the next start finds them, and the keys of their requests.
            self._failed = error
            raise
        self._hook("told")
        self._settle(taken, first)

    def _take_back(self, why: OSError) -> None:
        """Remove what was written of a commit: nothing of it may stay, for what comes next is written behind it."""
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            self._failed = why

    def _settle(self, taken: list[_Append], first: int = 0, error: Exception | None = None) -> None:
        results = []
        with self._changed:
            for waiting in taken:
                appended = Appended(first, waiting.count)
                results.append(appended)
                first += waiting.count
                self._bytes -= waiting.size
                if waiting.request is not None:
                    self._pending.pop(waiting.request, None)
                    if error is None:
                        self._remember(waiting.request, waiting.digest, appended)
        for waiting, appended in zip(taken, results, strict=True):
            if error is None:
                waiting.done.set_result(appended)
            else:
                waiting.done.set_exception(error)

    def _remember(self, request: str, digest: bytes, appended: Appended) -> None:
        self._requests[request] = digest, appended
        while len(self._requests) > REMEMBERED:
            self._requests.popitem(last=False)

    def _roll(self, first: int) -> None:
        """Begin a segment. The old one stays open until the new one is there, for writing goes on if there is none."""
        old = self._file
        self._open(self.log.folder / frames.segment_name(first))
        os.close(old)

    def _open(self, segment: Path) -> None:
        file = os.open(segment, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            size = os.fstat(file).st_size
            _sync_folder(segment.parent)
        except OSError:
            os.close(file)
            raise
        self._file, self._size = file, size

    def _recovered(self) -> int:
        """Cut off what was not written to its end, and remember the keys; the next offset."""
        told = self.log.end() if (self.log.folder / "durable").exists() else 0
        every = frames.segments(self.log.folder)
        end = every[-1][0] if every else 0
        whole = 0
        for frame in frames.walk(every[-1][1]) if every else ():
            if not frames.is_whole(frame):
                break
            whole, end = frame.position + frame.size, frame.end
        if told > end:
            # Nothing is cut off: behind what is damaged there may be events that were acknowledged.
            _log.error(
                "%s ends at offset %d, and %d were acknowledged: the disk has lost events", self.log.folder, end, told
            )
            end = told
            every = []
        if every:
            last = every[-1][1]
            size = last.stat().st_size
            if size > whole:
                _log.warning("%s: %d bytes of a commit that was cut off are removed", last, size - whole)
                with last.open("rb+") as file:
                    file.truncate(whole)
                    os.fsync(file.fileno())
        self._open(every[-1][1] if every else self.log.folder / frames.segment_name(end))
        os.fsync(self._file)
        self._durable = self.log.say_durable(end)
        self._remember_all()
        return end

    def _remember_all(self) -> None:
        for _, segment in frames.segments(self.log.folder):
            every = list(frames.walk(segment))
            for frame, _, groups in frames.read(every, _damaged) if every else ():
                if groups["request"].null_count == groups.num_rows:
                    continue
                at = frame.first
                for group in groups.select(["count", "request", "digest", "request_count"]).to_pylist():
                    if group["request"] is not None:
                        self._remember(group["request"], group["digest"], Appended(at, group["request_count"]))
                    at += group["count"]


def _damaged(what: frames.DamagedLogError) -> None:
    """A frame whose keys are lost; who reads its events is told then."""
    _log.error("%s", what)


def _repeat(first: Future[Appended], second: Future[Appended]) -> None:
    """Answer a request like the one that came before it."""
    error = first.exception()
    if error is not None:
        second.set_exception(error)
    else:
        appended = first.result()
        second.set_result(Appended(appended.first, appended.count, repeated=True))


def _batches(taken: Sequence[_Append]) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    groups = [(waiting, place, group) for waiting in taken for place, group in enumerate(waiting.groups)]
    values = [value for _, _, group in groups for value in group.values]
    if any(group.keys for _, _, group in groups):
        keys = [key for _, _, group in groups for key in group.keys or [None] * len(group.values)]
        key_array = pa.array(keys, pa.binary())
    else:
        key_array = pa.nulls(len(values), pa.binary())
    events = pa.record_batch([key_array, pa.array(values, pa.binary())], schema=frames.EVENTS)
    about = pa.RecordBatch.from_pylist(
        [
            {
                "count": len(group.values),
                "headers": [{"key": key, "value": value} for key, value in group.headers],
                "time": waiting.time_us,
                "request": waiting.request if not place else None,
                "digest": waiting.digest if not place and waiting.request is not None else None,
                "request_count": waiting.count if not place else None,
            }
            for waiting, place, group in groups
        ],
        schema=frames.GROUPS,
    )
    return events, about


def _write(file: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]


def _sync(file: int) -> None:
    """Wait until what was written is on disk."""
    if hasattr(os, "fdatasync"):
        os.fdatasync(file)
    else:
        os.fsync(file)


def _sync_folder(folder: Path) -> None:
    """A new file is there after a crash only if its folder is on disk too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _locked(folder: Path) -> int:
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise IllegalStateError(
            f"Another process writes to {folder}: one server at a time can have an endpoint. Stop the other, or give "
            "this one another folder."
        ) from None
    return handle
