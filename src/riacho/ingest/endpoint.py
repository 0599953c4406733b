"""One endpoint while it is served: its log, its limits, and what becomes of a body."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from riacho import types
from riacho.clock import Clock
from riacho.connectors import bad_records
from riacho.connectors.ingest import rows
from riacho.connectors.ingest.retention import expire
from riacho.connectors.ingest.writer import Appended, EventGroup, LogWriter
from riacho.ingest.bodies import CSV, BodyError, events_of, unpacked
from riacho.ingest.config import EndpointConfig
from riacho.ingest.limits import RateBucket

_log = logging.getLogger(__name__)

LOOK_MS: Final = 1000
"""How often the size of the log is looked at, while requests come."""
SHOWN: Final = 10
"""How many bad events an answer tells of."""
BACKLOG_WAIT_S: Final = 10


class ServedEndpoint:
    """To be closed. Raises IllegalStateError if another process writes its log."""

    def __init__(self, config: EndpointConfig, folder: Path, clock: Clock, hook: Callable[[str], None]) -> None:
        self.config = config
        self.writer = LogWriter(folder / config.name, hook=hook)
        self._clock = clock
        self._events = None if config.rate is None else RateBucket(config.rate, config.burst, clock)
        self._requests = None if config.requests is None else RateBucket(config.requests, config.burst, clock)
        self._looked_ms = -float(LOOK_MS)
        self._full = False

    def wait_s(self) -> tuple[float, str]:
        """How long a request has to wait before it is taken, and why; 0: it is taken, and counted."""
        wait = max((bucket.wait_s() for bucket in (self._events, self._requests) if bucket), default=0.0)
        if wait:
            return wait, "more comes than its rate allows"
        if self._is_full():
            return BACKLOG_WAIT_S, "its log is full: too little of it is read, or nobody reads it"
        if self._requests:
            self._requests.take(1)
        return 0.0, ""

    def _is_full(self) -> bool:
        now = self._clock.monotonic_ms()
        if now - self._looked_ms >= LOOK_MS:
            self._looked_ms = now
            self._full = self.writer.log.size() >= self.config.retention.backlog_bytes
        return self._full

    def take(self, body: bytes, headers: Mapping[str, str]) -> tuple[Future[Appended], int]:
        """The events of a body on their way to disk, and how many were set aside.

        Raises BodyError, LogFullError, OtherRequestError, SparkRuntimeError if a table of dead letters cannot be
        written.
        """
        plain = unpacked(body, headers.get("content-encoding", ""), self.config.max_body)
        groups = events_of(plain, headers)
        aside = 0
        if self.config.schema is not None:
            groups, aside = self._checked(groups, plain)
        if self._events:
            self._events.take(sum(len(group.values) for group in groups))
        key = headers.get("idempotency-key")
        return self.writer.append(groups, request=_request_key(key), body=plain), aside

    def _checked(self, groups: Sequence[EventGroup], body: bytes) -> tuple[list[EventGroup], int]:
        """Those that fit the schema. Raises BodyError if others are not to be set aside."""
        assert self.config.schema is not None
        wrong: dict[tuple[int, int], str] = {}
        texts = [any(k == "content-type" and v.startswith(CSV.encode()) for k, v in group.headers) for group in groups]
        places = [(i, j) for i, group in enumerate(groups) for j in range(len(group.values))]
        values = pa.array([value for group in groups for value in group.values], pa.binary())
        loose = pa.array([texts[i] for i, _ in places]) if any(texts) else None

        def fail(place: int, why: str) -> None:
            wrong[places[place]] = why

        rows.parse(values, self.config.schema, fail, texts=loose)
        if not wrong:
            return list(groups), 0
        if self.config.bad_data == "reject":
            numbers = {place: number for number, place in enumerate(places)}
            told = [f"event {numbers[place]}: {why}" for place, why in sorted(wrong.items())[:SHOWN]]
            count = f"{len(wrong)} of {len(places)} events do not fit the schema"
            raise BodyError(f"{count}; none was taken. {'; '.join(told)}")
        self._set_aside(groups, wrong, body)
        left = [
            replace(
                group,
                values=[value for j, value in enumerate(group.values) if (i, j) not in wrong],
                keys=None if group.keys is None else [key for j, key in enumerate(group.keys) if (i, j) not in wrong],
            )
            for i, group in enumerate(groups)
        ]
        return left, len(wrong)

    def _set_aside(self, groups: Sequence[EventGroup], wrong: Mapping[tuple[int, int], str], body: bytes) -> None:
        """Keep bad events as dead letters, which a request that is sent again finds there."""
        assert self.config.bad_data_path is not None
        digest = hashlib.sha256(body).hexdigest()[:32]
        options = {"endpoint": self.config.name, "schema_json": types.to_json(self.config.schema)}
        records = bad_records.BadRecords(
            "dead_letter",
            bad_records.located(self.config.bad_data_path),
            f"ingest/{self.config.name}",
            "ingest",
            options,
        )
        with records.collecting() as letters:
            for (i, j), why in wrong.items():
                letters.add(groups[i].values[j], f"request {digest}: {i}.{j}", why)

    def clean_up(self) -> None:
        """Remove what need not be kept."""
        expire(self.writer.log, self.config.retention, time.time_ns() // 1_000_000)

    def status(self) -> dict[str, Any]:
        """What its owner may know."""
        log = self.writer.log
        return {
            "endpoint": self.config.name,
            "begin": log.begin(),
            "end": log.end(),
            "bytes": log.size(),
            "readers": {reader.name: reader.offset for reader in log.readers()},
        }

    def close(self) -> None:
        """Write what waits. Idempotent."""
        self.writer.close()


def _request_key(given: str | None) -> str | None:
    if given is None:
        return None
    key = given.strip()
    if not key or len(key) > 255:
        raise BodyError("Idempotency-Key must have 1 to 255 characters")
    return key
