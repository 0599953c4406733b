"""Sources that make their own rows: `rate` (by the clock) and `rate-micro-batch` (by the batch), for tests and demos.

Sources: `org.apache.spark.sql.execution.streaming.sources.RateStreamProvider`, `RatePerMicroBatchProvider`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from riacho.clock import Clock
from riacho.errors import IllegalArgumentError, IllegalStateError
from riacho.ids import Offset
from riacho.intervals import interval_us
from riacho.options import Option, Options
from riacho.server.streaming.checkpoint import write_new
from riacho.server.streaming.sources.base import ReadLimit, SourceContext, SourceData
from riacho.storage import Place
from riacho.types import TIMESTAMP
from riacho.units import time_ms

SCHEMA = pa.schema([("timestamp", TIMESTAMP), ("value", pa.int64())])
MAX_BATCH_ROWS = 1 << 20
RATE_OPTIONS: Final = (
    Option("rowsPerSecond", "1", "how many rows are made each second"),
    Option("rampUpTime", "0s", "how long it takes to reach that rate, which rises evenly meanwhile"),
    Option("numPartitions", "1", "accepted: changes nothing but the description"),
)
RATE_PER_BATCH_OPTIONS: Final = (
    Option("rowsPerBatch", "0", "how many rows each batch has; required"),
    Option("numPartitions", "1", "accepted: changes nothing"),
    Option("startTimestamp", "0", "the timestamp of the first batch, in milliseconds since 1970"),
    Option("advanceMillisPerBatch", "1000", "by how many milliseconds the timestamp advances with each batch"),
)


def rows(first: int, last: int, stamp_us: np.ndarray | int) -> Iterator[pa.RecordBatch]:
    """Rows with values first…last-1; their timestamps in µs are given per row, or one for all."""
    for start in range(first, last, MAX_BATCH_ROWS):
        end = min(start + MAX_BATCH_ROWS, last)
        values = np.arange(start, end, dtype=np.int64)
        stamps = np.full(end - start, stamp_us) if isinstance(stamp_us, int) else stamp_us[start - first : end - first]
        yield pa.record_batch([pa.array(stamps, pa.int64()).cast(TIMESTAMP), pa.array(values)], schema=SCHEMA)


@dataclass(frozen=True)
class RateSource:
    """`rowsPerSecond` rows a second, reached linearly within `rampUpTime`; offsets are whole seconds since creation."""

    rows_per_second: int = 1
    ramp_up_s: int = 0
    partitions: int = 1
    name: str = "rate"
    schema: pa.Schema = SCHEMA
    has_metadata: bool = False

    @classmethod
    def from_options(cls, given: Mapping[str, str]) -> RateSource:
        """Raises IllegalArgumentError for values out of range."""
        options = Options.check("rate source", RATE_OPTIONS, given)
        rate = _positive(options, "rowsPerSecond")
        return cls(rate, _ramp_s(options.text("rampUpTime")), _positive(options, "numPartitions"))

    def value_at(self, second: int) -> int:
        """The first value of that second since creation."""
        if self.ramp_up_s == 0:
            return second * self.rows_per_second
        delta = self.rows_per_second // (self.ramp_up_s + 1)
        if second <= self.ramp_up_s:
            return delta * second * (second + 1) // 2
        ramped = delta * self.ramp_up_s * (self.ramp_up_s + 1) // 2
        return ramped + (second - self.ramp_up_s) * self.rows_per_second

    def open(self, context: SourceContext) -> RateReader:
        return RateReader(self, context.log_dir, context.clock)


class RateReader:
    """See `sources.base.SourceReader`. The time of creation is kept in the source's log, so a restart goes on."""

    def __init__(self, source: RateSource, log_dir: Place, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._creation_ms = _creation_ms(log_dir / "0", clock)
        self._frozen: int | None = None
        self._last_second = 0
        self.description = (
            f"RateStreamV2[rowsPerSecond={source.rows_per_second}, rampUpTimeSeconds={source.ramp_up_s}, "
            f"numPartitions={source.partitions}"
        )

    def prepare_available_now(self) -> None:
        self._frozen = self._second()

    def latest_offset(self, start: Offset | None, limit: ReadLimit) -> Offset:  # noqa: ARG002 - it has no limits
        second = self._second() if self._frozen is None else self._frozen
        return Offset(str(max(second, int(start or 0))))

    def read(self, start: Offset | None, end: Offset) -> SourceData:
        return SourceData(SCHEMA, self._rows(int(start or 0), int(end)))

    def commit(self, end: Offset) -> None:
        """Nothing is kept."""

    def latest(self) -> Offset | None:
        return None

    def stop(self) -> None:
        """Nothing is open."""

    def _second(self) -> int:
        # A clock that was set back gives no earlier second than was seen.
        self._last_second = max(self._last_second, (self._clock.now_ms() - self._creation_ms) // 1000)
        return self._last_second

    def _rows(self, start_s: int, end_s: int) -> Iterator[pa.RecordBatch]:
        for second in range(start_s, end_s):
            first, last = self._source.value_at(second), self._source.value_at(second + 1)
            if last > first:
                # Evenly within the second.
                steps = np.arange(last - first, dtype=np.int64) * 1_000_000 // (last - first)
                yield from rows(first, last, (self._creation_ms + second * 1000) * 1000 + steps)


def _creation_ms(path: Place, clock: Clock) -> int:
    try:
        version, stamp = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        now_ms = clock.now_ms()
        write_new(path, f"v1\n{now_ms}")
        return now_ms
    except ValueError:
        raise IllegalStateError(f"The rate source's log {path} is damaged: two lines were expected.") from None
    if version != "v1":
        raise IllegalStateError(f"The rate source's log {path} is of version {version!r}; riacho reads v1.")
    return int(stamp)


@dataclass(frozen=True)
class RatePerBatchSource:
    """Exactly `rowsPerBatch` rows in each batch, all with one timestamp, which advances by a fixed step."""

    rows_per_batch: int
    start_ms: int = 0
    advance_ms: int = 1000
    name: str = "rate-micro-batch"
    schema: pa.Schema = SCHEMA
    has_metadata: bool = False

    @classmethod
    def from_options(cls, given: Mapping[str, str]) -> RatePerBatchSource:
        """Raises IllegalArgumentError for missing values and ones out of range."""
        options = Options.check("rate-micro-batch source", RATE_PER_BATCH_OPTIONS, given)
        rows_per_batch = _positive(options, "rowsPerBatch")
        start_ms = options.number("startTimestamp")
        advance_ms = options.number("advanceMillisPerBatch")
        for key, value in (("startTimestamp", start_ms), ("advanceMillisPerBatch", advance_ms)):
            if value < 0:
                raise IllegalArgumentError(f"Invalid value '{value}'. The option '{key}' must be non-negative")
        return cls(rows_per_batch, start_ms, advance_ms)

    def open(self, context: SourceContext) -> RatePerBatchReader:  # noqa: ARG002 - it needs nothing
        return RatePerBatchReader(self)


class RatePerBatchReader:
    """See `sources.base.SourceReader`. An offset is `{"offset":<rows so far>,"timestamp":<ms of the next batch>}`."""

    def __init__(self, source: RatePerBatchSource) -> None:
        self._source = source
        self._available_now = False
        self._given: Offset | None = None
        self.description = (
            f"RatePerMicroBatchStream[rowsPerBatch={source.rows_per_batch}, numPartitions=1, "
            f"startTimestamp={source.start_ms}, advanceMsPerBatch={source.advance_ms}]"
        )

    def prepare_available_now(self) -> None:
        self._available_now = True

    def latest_offset(self, start: Offset | None, limit: ReadLimit) -> Offset:  # noqa: ARG002 - it has no limits
        if self._available_now and self._given is not None:
            return self._given
        count, stamp_ms = self._parse(start)
        self._given = Offset(
            json.dumps(
                {"offset": count + self._source.rows_per_batch, "timestamp": stamp_ms + self._source.advance_ms},
                separators=(",", ":"),
            )
        )
        return self._given

    def read(self, start: Offset | None, end: Offset) -> SourceData:
        first, stamp_ms = self._parse(start)
        last, _ = self._parse(end)
        return SourceData(SCHEMA, rows(first, last, stamp_ms * 1000))

    def commit(self, end: Offset) -> None:
        """Nothing is kept."""

    def latest(self) -> Offset | None:
        return self._given

    def stop(self) -> None:
        """Nothing is open."""

    def _parse(self, offset: Offset | None) -> tuple[int, int]:
        if offset is None:
            return 0, self._source.start_ms
        position = json.loads(offset)
        return position["offset"], position["timestamp"]


def _positive(options: Options, name: str) -> int:
    value = options.number(name)
    if value <= 0:
        raise IllegalArgumentError(f"Invalid value '{value}'. The option '{name}' must be positive")
    return value


def _ramp_s(text: str) -> int:
    """Seconds of `5s`, `5` or, as riacho takes it too, an interval. Raises IllegalArgumentError, ParseError."""
    milliseconds = time_ms(text, default_unit="s")
    if milliseconds is not None:
        return milliseconds // 1000
    months, micros = interval_us(text)
    if months or micros < 0:
        raise IllegalArgumentError(f"Invalid value '{text}'. The option 'rampUpTime' must be >= 0")
    return micros // 1_000_000
