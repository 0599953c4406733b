"""Made-up rows as a data source, in batches and as a stream."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from pyspark.sql.datasource import DataSource, DataSourceReader, DataSourceStreamReader, InputPartition
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema
from pyspark.sql.streaming.datasource import ReadAllAvailable, ReadLimit, ReadMaxRows, SupportsTriggerAvailableNow
from pyspark.sql.types import StructType

from riacho.connectors.faker.description import Description, read
from riacho.connectors.faker.generator import RowGenerator
from riacho.connectors.faker.options import IN_DESCRIPTION, OPTIONS
from riacho.connectors.faker.words import stamp_us
from riacho.errors import AnalysisError, IllegalArgumentError
from riacho.options import Options
from riacho.yaml_files import document, parsed

START: Final = "2026-01-01T00:00:00Z"
ROWS_PER_TASK: Final = 500_000
_TEXTS: Final = frozenset({"locale", "start", "output", "rowsPerSecond"})
"""Options that are texts as they are; the others are YAML."""


@dataclass
class FakeSettings:
    """What the options say, with what the description says."""

    description: Description
    count: int | None
    start: str | None
    partitions: int | None
    per_batch: int | None
    most: int

    def generator(self, start_us: int) -> RowGenerator:
        return RowGenerator(self.description, start_us)


def settings_of(given: Mapping[str, str], *, sample: bool = False) -> FakeSettings:
    """Raises IllegalArgumentError that names what is wrong. `sample`: only the columns matter."""
    own = {name: value for name, value in given.items() if not name.startswith("__")}
    options = Options.check("faker source", OPTIONS, own)
    file = options.maybe("config")
    whole: dict[str, Any] = {}
    if file is not None:
        found = document(Path(file.removeprefix("file://")))
        if not isinstance(found, dict):
            raise IllegalArgumentError(f"{file} must be a mapping, with fields")
        whole = dict(found)
    for name, key in IN_DESCRIPTION.items():
        if options.is_given(name):
            text = options.text(name)
            whole[key] = text if name in _TEXTS else parsed(text, f"the option {name}")
    where = "the faker source" if file is None else file
    description = read(whole, where, sample=sample, only=options.maybe("table"))
    count = description.settings.get("count")
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 0):
        raise IllegalArgumentError(f"{where}: count is {count!r}: it must be a whole number, 0 or more")
    most = options.positive("maxRowsPerBatch")
    assert most is not None
    return FakeSettings(
        description=description,
        count=description.main.rows if count is None else count,
        start=description.start,
        partitions=options.positive("numPartitions"),
        per_batch=options.positive("rowsPerBatch"),
        most=most,
    )


def rows(first: int, last: int, **given: Any) -> Iterator[pa.RecordBatch]:
    """The rows from number `first` to before `last`, without Spark: for generators and tests.

    Takes the options of the source: `rows(0, 1000, config="accesses.yml", seed=3)`. Raises IllegalArgumentError.
    """
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in given.items()}
    settings = settings_of(texts)
    return settings.generator(stamp_us(settings.start or START, "start")).batches(first, last)


class FakerDataSource(DataSource):
    """`format("faker")`."""

    @classmethod
    def name(cls) -> str:
        return "faker"

    def schema(self) -> StructType:
        settings = settings_of(self.options, sample=True)
        return from_arrow_schema(settings.generator(0).schema(), prefer_timestamp_ntz=True)

    def reader(self, schema: StructType) -> FakerReader:
        return FakerReader(settings_of(self.options), schema)

    def streamReader(self, schema: StructType) -> FakerStreamReader:  # noqa: N802 - Spark's name
        return FakerStreamReader(settings_of(self.options), schema)


class _Columns:
    """Batches with the columns that a reader's schema has. Raises AnalysisError for one that is not made."""

    def __init__(self, schema: StructType, generator: RowGenerator) -> None:
        self._arrow = to_arrow_schema(schema, timezone="UTC")
        made = generator.schema().names
        missing = [name for name in self._arrow.names if name not in made]
        if missing:
            raise AnalysisError(f"The faker source makes no column {missing[0]!r}; it makes {', '.join(made)}")

    def of(self, generator: RowGenerator, first: int, last: int) -> Iterator[pa.RecordBatch]:
        for batch in generator.batches(first, last, self._arrow.names):
            arrays = [
                batch.column(field.name).cast(field.type, safe=False)
                if batch.column(field.name).type != field.type
                else batch.column(field.name)
                for field in self._arrow
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=self._arrow)


class FakerReader(DataSourceReader):
    """`count` rows, cut into tasks."""

    def __init__(self, settings: FakeSettings, schema: StructType) -> None:
        if settings.count is None:
            raise IllegalArgumentError("The faker source needs count, how many rows a batch has")
        self._count = settings.count
        self._partitions = settings.partitions or max(-(-self._count // ROWS_PER_TASK), 1)
        self._generator = settings.generator(stamp_us(settings.start or START, "start"))
        self._columns = _Columns(schema, self._generator)
        self._schema = schema

    def pruneColumns(self, names: Sequence[str]) -> None:  # noqa: N802 - riacho's call
        """Make only these columns."""
        fields = {field.name: field for field in self._schema}
        self._columns = _Columns(StructType([fields[name] for name in names]), self._generator)

    def pushLimit(self, rows: int) -> None:  # noqa: N802 - riacho's call
        """Make no more rows than these."""
        self._count = min(self._count, rows)

    def partitions(self) -> Sequence[InputPartition]:
        count = min(self._partitions, max(self._count, 1))
        bounds = [self._count * part // count for part in range(count + 1)]
        return [InputPartition((bounds[part], bounds[part + 1])) for part in range(count)]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        yield from self._columns.of(self._generator, *partition.value)


class FakerStreamReader(DataSourceStreamReader, SupportsTriggerAvailableNow):
    """Rows as they happen. An offset is `{"row": how many there were, "start": when the first happened, in µs}`."""

    def __init__(self, settings: FakeSettings, schema: StructType) -> None:
        self._settings = settings
        start = settings.start
        if start is None and settings.per_batch is not None:
            start = START  # the clock has no say
        self._start_us = time.time_ns() // 1_000_000_000 * 1_000_000 if start is None else stamp_us(start, "start")
        self._generator = settings.generator(self._start_us)
        self._columns = _Columns(schema, self._generator)
        self._frozen_us: int | None = None

    def initialOffset(self) -> dict[str, int]:  # noqa: N802 - Spark's names, here and below
        return {"row": 0, "start": self._start_us}

    def getDefaultReadLimit(self) -> ReadLimit:  # noqa: N802
        return ReadMaxRows(self._settings.per_batch or self._settings.most)

    def prepareForTriggerAvailableNow(self) -> None:  # noqa: N802
        """What happened until now. With `rowsPerBatch` there is no now, so it needs `count` to end."""
        if self._settings.per_batch is not None and self._settings.count is None:
            raise IllegalArgumentError("With rowsPerBatch and availableNow the faker source needs count: it has no end")
        self._frozen_us = time.time_ns() // 1_000

    def latestOffset(self, start: dict[str, int], limit: ReadLimit) -> dict[str, int]:  # noqa: N802
        settings = self._settings
        generator = self._of(start["start"])
        if settings.per_batch is not None:
            last = start["row"] + settings.per_batch
        else:
            now_us = time.time_ns() // 1_000 if self._frozen_us is None else self._frozen_us
            last = generator.rates.rows_before(now_us // 1_000_000 * 1_000_000)
            if not isinstance(limit, ReadAllAvailable):
                last = min(last, start["row"] + settings.most)
        if settings.count is not None:
            last = min(last, settings.count)
        return start if last <= start["row"] else {"row": last, "start": start["start"]}

    def partitions(self, start: dict[str, int], end: dict[str, int]) -> Sequence[InputPartition]:
        first, last = start["row"], end["row"]
        count = min(self._settings.partitions or max(-(-(last - first) // ROWS_PER_TASK), 1), max(last - first, 1))
        bounds = [first + (last - first) * part // count for part in range(count + 1)]
        return [
            InputPartition((end["start"], bounds[part], bounds[part + 1]))
            for part in range(count)
            if bounds[part] < bounds[part + 1]
        ]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        start_us, first, last = partition.value
        yield from self._columns.of(self._of(start_us), first, last)

    def _of(self, start_us: int) -> RowGenerator:
        """The rows of a query that began then: a restart goes on with what its checkpoint says."""
        if start_us != self._generator.rates.start_us:
            self._generator = self._settings.generator(start_us)
        return self._generator
