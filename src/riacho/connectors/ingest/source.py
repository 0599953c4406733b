"""Ingest endpoints as a data source: their logs, in batches and as streams."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from pyspark.sql.datasource import DataSource, DataSourceReader, DataSourceStreamReader, InputPartition
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.streaming.datasource import ReadAllAvailable, ReadLimit, ReadMaxRows, SupportsTriggerAvailableNow
from pyspark.sql.types import StructType

from riacho.connectors.bad_records import BadRecords, task_properties
from riacho.connectors.ingest import frames, rows
from riacho.connectors.ingest.frames import DamagedLogError, LogFrame
from riacho.connectors.ingest.log import LogFolder
from riacho.connectors.ingest.options import READ
from riacho.connectors.names import INGEST_FOLDER
from riacho.errors import IllegalArgumentError, IllegalStateError, SparkRuntimeError
from riacho.options import Options
from riacho.paths import local_path

PARTITION_BYTES: Final = 8 << 20
"""How much one partition reads at least, if there is more than one."""


class IngestDataSource(DataSource):
    """`format("ingest")`."""

    @classmethod
    def name(cls) -> str:
        return "ingest"

    def schema(self) -> str:
        headers = _checked(self.options).flag("includeHeaders")
        return f"{rows.RAW_SCHEMA}, {rows.HEADERS_SCHEMA}" if headers else rows.RAW_SCHEMA

    def reader(self, schema: StructType) -> IngestReader:
        return IngestReader(ReadEndpoint(self.options, schema))

    def streamReader(self, schema: StructType) -> IngestStreamReader:  # noqa: N802 - Spark's name
        return IngestStreamReader(ReadEndpoint(self.options, schema))

    def parse_again(
        self, schema: StructType, raws: Sequence[bytes], fail: Callable[[int, BaseException | str], None]
    ) -> pa.Table:
        """See `bad_records.Replayable`."""
        arrow = to_arrow_schema(schema, timezone="UTC")
        data = pa.schema([field for field in arrow if field.name not in rows.TOLD])
        arrays, _ = rows.parse(pa.array(raws, pa.binary()), data, fail)
        return pa.table(arrays, schema=data)


class LogPiece(InputPartition):
    """A part of a range of offsets: frames of one segment or of several, by their places."""

    def __init__(self, start: int, end: int, found: Sequence[LogFrame]) -> None:
        super().__init__(None)
        self.start = start
        self.end = end
        self.frames = [(str(frame.segment), frame.position, frame.size, frame.first, frame.count) for frame in found]


class ReadEndpoint:
    """What is read, checked; it is pickled with its readers.

    Raises IllegalArgumentError for a missing endpoint or folder and for illegal values.
    """

    def __init__(self, given: Mapping[str, str], schema: StructType) -> None:
        self.options = _checked(given)
        self.name = self.options.text("endpoint")
        if not self.name:
            raise IllegalArgumentError(
                "The option endpoint is required: the NAME in /ingest/NAME where events are posted"
            )
        self.folder = _folder(self.options, given) / self.name
        self.log = LogFolder(self.folder)
        self.schema = to_arrow_schema(schema, timezone="UTC")
        self.is_raw = rows.is_raw(self.schema)
        if not self.is_raw:
            rows.check_schema(self.schema)
        self.bad_records = BadRecords.of(
            self.options,
            given,
            format="ingest",
            source=f"ingest/{self.name}",
            replay={"endpoint": self.name, "schema": schema.simpleString(), "schema_json": schema.json()},
        )

    def start_of(self, text: str | None) -> int:
        """An offset that an option names."""
        match (text or "earliest").lower():
            case "earliest":
                return self.log.begin()
            case "latest":
                return self.log.end()
            case number if number.isdigit():
                return int(number)
            case other:
                raise self.options.illegal("startingOffsets", other, "must be earliest, latest or an offset")

    def pieces(self, start: int, end: int) -> list[InputPartition]:
        """A range of offsets in parts that can be read side by side, the same ones for the same range.

        Raises IllegalStateError for events that are gone, unless `failOnDataLoss` is false.
        """
        if start >= end:
            return [LogPiece(start, start, [])]
        found = self.log.find(start, end)
        self._check_loss(start, end, found)
        parts: list[InputPartition] = []
        taken: list[LogFrame] = []
        size = 0
        for frame in found:
            taken.append(frame)
            size += frame.size
            if size >= PARTITION_BYTES:
                parts.append(LogPiece(start, end, taken))
                taken, size = [], 0
        return [*parts, LogPiece(start, end, taken)] if taken or not parts else parts

    def check_reset(self, begin: int) -> None:
        """Raises IllegalStateError if the log ends before an offset that was read, unless `failOnDataLoss` is false."""
        if self.options.flag("failOnDataLoss") and self.log.ends_before(begin):
            raise IllegalStateError(
                f"The stream is at offset {begin} of the endpoint {self.name}, and {self.folder} ends at "
                f"{self.log.end()}: it is gone, or another one, or startingOffsets is too large. Events would be "
                "missed until it gets there. Bring the folder back, or start the query with a new checkpoint; to "
                "wait, set failOnDataLoss to false."
            )

    def read(self, piece: LogPiece) -> Iterator[pa.RecordBatch]:
        """The rows of a part. Raises SparkRuntimeError for a damaged segment and for bad records that fail."""
        every = [LogFrame(Path(segment), *rest) for segment, *rest in piece.frames]
        with self.bad_records.collecting() as letters:
            for _, of_segment in groupby(every, key=lambda frame: frame.segment):
                for events in self._events(list(of_segment)):
                    part = events.slice(piece.start, piece.end)
                    if not part.events.num_rows:
                        continue
                    if self.is_raw:
                        yield rows.raw(part, self.schema, self.name)
                        continue

                    def fail(place: int, why: str, part: rows.IngestedEvents = part) -> None:
                        letters.add(part.events["value"][place].as_py() or b"", f"{part.first + place:020}", why)

                    yield rows.parsed(part, self.schema, fail)

    def _events(self, of_segment: Sequence[LogFrame]) -> Iterator[rows.IngestedEvents]:
        try:
            for frame, events, groups in frames.read(of_segment):
                yield rows.IngestedEvents(frame.first, events, groups)
        except FileNotFoundError:
            if self.options.flag("failOnDataLoss"):
                raise self._lost(of_segment[0].first, of_segment[-1].end) from None
        except DamagedLogError as error:
            raise SparkRuntimeError(
                f"{error}: the disk, or somebody, changed what was acknowledged. Restore the file, or start a query "
                "with a new checkpoint and startingOffsets behind it."
            ) from None

    def _check_loss(self, start: int, end: int, found: Sequence[LogFrame]) -> None:
        at = start
        for frame in found:
            if frame.first > at:
                break
            at = frame.end
        if at >= end:
            return
        if self.options.flag("failOnDataLoss"):
            following = next((frame.first for frame in found if frame.first > at), None)
            raise self._lost(at, end if following is None else following)
        logging.getLogger(__name__).warning(
            "Events of the endpoint %s from offset %d are gone; the query goes on without them", self.name, at
        )

    def _lost(self, start: int, end: int) -> IllegalStateError:
        return IllegalStateError(
            f"Events of the endpoint {self.name} are gone that were not read yet: offsets {start} to {end - 1}. "
            f"Retention or somebody removed them from {self.folder}. To go on with what is there, set failOnDataLoss "
            "to false."
        )


class IngestReader(DataSourceReader):
    """What is there now."""

    def __init__(self, endpoint: ReadEndpoint) -> None:
        self._endpoint = endpoint

    def partitions(self) -> list[InputPartition]:
        options, log = self._endpoint.options, self._endpoint.log
        ending = options.text("endingOffsets").lower()
        if ending != "latest" and not ending.isdigit():
            raise options.illegal("endingOffsets", ending, "must be latest or an offset")
        end = log.end() if ending == "latest" else min(int(ending), log.end())
        return self._endpoint.pieces(self._endpoint.start_of(options.maybe("startingOffsets")), end)

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        assert isinstance(partition, LogPiece)
        return self._endpoint.read(partition)


class IngestStreamReader(DataSourceStreamReader, SupportsTriggerAvailableNow):
    """A stream of events. `{"offset": 12000}` is before the event of that offset: one batch ends there, one begins."""

    def __init__(self, endpoint: ReadEndpoint) -> None:
        self._endpoint = endpoint
        self._most = endpoint.options.positive("maxOffsetsPerTrigger")
        self._frozen: int | None = None
        query = task_properties()[0]
        self._reader = endpoint.options.maybe("reader") or query or "default"
        if not endpoint.folder.exists():
            logging.getLogger(__name__).warning(
                "Nothing was posted to the endpoint %s so far: there is no %s", endpoint.name, endpoint.folder
            )

    def initialOffset(self) -> dict[str, int]:  # noqa: N802 - Spark's name
        return {"offset": self._endpoint.start_of(self._endpoint.options.maybe("startingOffsets"))}

    def getDefaultReadLimit(self) -> ReadLimit:  # noqa: N802 - Spark's name
        return ReadMaxRows(self._most) if self._most else ReadAllAvailable()

    def latestOffset(self, start: dict[str, int], limit: ReadLimit) -> dict[str, int]:  # noqa: N802 - Spark's name
        begin = _offset(start)
        end = self._endpoint.log.end() if self._frozen is None else self._frozen
        if end < begin:
            self._endpoint.check_reset(begin)
        if isinstance(limit, ReadMaxRows):
            end = min(end, begin + limit.max_rows)
        # What is committed stays committed.
        return {"offset": max(begin, end)}

    def prepareForTriggerAvailableNow(self) -> None:  # noqa: N802 - Spark's name
        self._frozen = self._endpoint.log.end()

    def reportLatestOffset(self) -> dict[str, int]:  # noqa: N802 - Spark's name
        return {"offset": self._endpoint.log.end()}

    def partitions(self, start: dict[str, int], end: dict[str, int]) -> Sequence[InputPartition]:
        return self._endpoint.pieces(_offset(start), _offset(end))

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        assert isinstance(partition, LogPiece)
        return self._endpoint.read(partition)

    def commit(self, end: dict[str, int]) -> None:
        """Let go of what is committed. A reader that cannot tell keeps the log from getting smaller, no more."""
        try:
            self._endpoint.log.tell(self._reader, _offset(end))
        except OSError as error:
            logging.getLogger(__name__).warning("%s: %s", self._endpoint.folder, error)


def _checked(given: Mapping[str, str]) -> Options:
    return Options.check("ingest source", READ, {k: v for k, v in given.items() if not k.startswith("__")})


def _folder(options: Options, given: Mapping[str, str]) -> Path:
    told = next((value for name, value in given.items() if name.lower() == INGEST_FOLDER), None)
    path = options.maybe("path") or told or os.environ.get("RIACHO_INGEST_FOLDER")
    if not path:
        raise IllegalArgumentError(
            "The option path is required here: the folder with the logs of the endpoints, as `riacho ingest serve` has "
            "it in --folder"
        )
    return local_path(path)


def _offset(given: dict[str, Any]) -> int:
    offset = given.get("offset")
    if not isinstance(offset, int):
        raise IllegalStateError(f"The checkpoint has {given} for an ingest endpoint, which is no offset of one")
    return offset
