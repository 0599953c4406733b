"""The commands of a worker that reads in batches: plan, then read partitions.

Source: `pyspark/sql/worker/plan_data_source_read.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyspark.errors import PySparkAssertionError, PySparkRuntimeError, PySparkValueError
from pyspark.sql import datasource
from pyspark.sql.datasource import DataSourceReader, InputPartition
from pyspark.sql.types import StructType

from riacho.conf import FILTER_PUSHDOWN
from riacho.server.workers.sources.objects import (
    Blobs,
    Reply,
    Stage,
    UserObjects,
    dumps,
    in_task,
    loads,
    mismatch,
    struct,
)


class ReadCommands(UserObjects):
    """See `child.Worker`; all commands are called alike, whether or not they are given objects."""

    def do_plan_read(
        self, schema: str, pushdown: bool, columns: list[str] | None, limit: int | None, blobs: Blobs
    ) -> Reply:
        """Make a reader, and tell it what is wanted; the answer has it and its partitions, pickled.

        `columns`: None for all. `limit`: so many rows will do, if the reader does all filters. `done` in the answer:
        numbers of the filters that it does, and whether it was `pruned`.
        """
        done: list[int] = []
        with Stage("reader"):
            self._schema = struct(schema)
            reader = self._source.reader(schema=self._schema)
            if not isinstance(reader, DataSourceReader):
                raise mismatch("an instance of DataSourceReader", reader)
            if getattr(reader.pushFilters, "__func__", None) is not DataSourceReader.pushFilters:
                if not pushdown:
                    raise PySparkAssertionError(
                        errorClass="DATA_SOURCE_PUSHDOWN_DISABLED",
                        messageParameters={
                            "type": type(reader).__name__,
                            "conf": FILTER_PUSHDOWN.key,
                        },
                    )
                done = _push(reader, loads(blobs[0]))
            take: Any = getattr(reader, "pushLimit", None)
            if limit is not None and take is not None and len(done) == len(loads(blobs[0])):
                take(limit)
            prune: Any = getattr(reader, "pruneColumns", None)
            pruned = columns is not None and prune is not None
            if pruned:
                prune(columns)
                self._schema = StructType([field for field in self._schema if field.name in (columns or ())])
            data = self._pickled_reader(reader)
        with Stage("partitions"):
            partitions = _partitions(reader)
            return {"done": done, "pruned": pruned}, [data, *map(dumps, partitions)]

    def do_load_reader(self, blobs: Blobs) -> Reply:
        """Take on a reader that another worker made."""
        self._reader, self._source, self._schema = loads(blobs[0])
        return {}, []

    def do_read(self, blobs: Blobs, running: dict[str, str]) -> Reply:
        """The rows of a partition, batch by batch before the answer. `running`: the properties of the task."""
        in_task(running)
        partition = loads(blobs[0])
        assert isinstance(partition, InputPartition), (
            f"Expected the partition value to be of type 'InputPartition', but found '{type(partition).__name__}'."
        )
        rows = self._reader.read(partition)
        if not isinstance(rows, Iterator):
            raise PySparkRuntimeError(
                errorClass="DATA_SOURCE_INVALID_RETURN_TYPE",
                messageParameters={
                    "type": type(rows).__name__,
                    "name": self._source.name(),
                    "supported_types": "iterator",
                },
            )
        self._send_rows(rows)
        return {}, []


def _push(reader: Any, given: list[tuple[str, tuple[str, ...], Any, bool]]) -> list[int]:
    """Give a reader filters, if there are any; the numbers of those that it does.

    Raises DATA_SOURCE_EXTRANEOUS_FILTERS. Source: `pyspark/sql/worker/data_source_pushdown_filters.py`.
    """
    if not given:
        return []
    filters = [_filter(*each) for each in given]
    left = {id(each) for each in reader.pushFilters(list(filters))}
    extraneous = left - set(map(id, filters))
    if extraneous:
        raise PySparkValueError(
            errorClass="DATA_SOURCE_EXTRANEOUS_FILTERS",
            messageParameters={
                "type": type(reader).__name__,
                "input": str(filters),
                "extraneous": str(len(extraneous)),
            },
        )
    return [number for number, each in enumerate(filters) if id(each) not in left]


def _filter(name: str, column: tuple[str, ...], value: Any, negated: bool) -> Any:
    cls = getattr(datasource, name)
    arguments = [] if name in ("IsNull", "IsNotNull") else [list(value) if name == "In" else value]
    made = cls(column, *arguments)
    return datasource.Not(made) if negated else made


def _partitions(reader: Any) -> list[Any]:
    try:
        partitions = reader.partitions()
    except NotImplementedError:  # what the method did before Spark 4.0
        partitions = [InputPartition(None)]
    if not isinstance(partitions, list):
        raise PySparkRuntimeError(
            errorClass="DATA_SOURCE_TYPE_MISMATCH",
            messageParameters={
                "expected": "'partitions' to return a list",
                "actual": f"'{type(partitions).__name__}'",
            },
        )
    if not all(isinstance(partition, InputPartition) for partition in partitions):
        raise PySparkRuntimeError(
            errorClass="DATA_SOURCE_TYPE_MISMATCH",
            messageParameters={
                "expected": "elements in 'partitions' to be of type 'InputPartition'",
                "actual": ", ".join(f"'{type(partition).__name__}'" for partition in partitions),
            },
        )
    return partitions or [InputPartition(None)]
