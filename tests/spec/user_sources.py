"""Data sources that tests register: built from functions, and sent to the server whole.

Modules that use these call `by_value(__name__)`: a server has never seen the tests, so it cannot import them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pyspark import cloudpickle
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition
from pyspark.sql.types import StructType


def by_value(module: str) -> None:
    """Have the classes and functions of a module of tests sent as they are, not by name."""
    cloudpickle.register_pickle_by_value(sys.modules[module])  # type: ignore[no-untyped-call]


by_value(__name__)

Read = Callable[[Any, InputPartition], Iterator[Any]]
"""What a reader does for a partition; the reader has its `options` and `schema`."""


def reader(
    name: str,
    read: Read,
    schema: StructType | str | Callable[[Any], Any] = "x int",
    partitions: Callable[[Any], Any] | None = None,
    **members: Any,
) -> type[DataSource]:
    """A data source for batch reads. `members` go into its class, in the place of what is made here."""

    class Reader(DataSourceReader):
        def __init__(self, options: Any, given: StructType) -> None:
            self.options, self.schema = options, given

        def read(self, partition: InputPartition) -> Any:
            return read(self, partition)

    if partitions is not None:
        Reader.partitions = partitions  # type: ignore[method-assign, assignment]
    own = {
        "schema": lambda self: schema(self) if callable(schema) else schema,
        "reader": lambda self, schema: Reader(self.options, schema),
    }
    return source(name, **{**own, **members})


def source(name: str, **members: Any) -> type[DataSource]:
    """A data source with that name and these methods."""
    called = classmethod(lambda _: name)
    return type("Source", (DataSource,), {"name": called, **members})


def log(folder: str, *words: object) -> None:
    """Note that something was called, in a file that the server's processes share with the test."""
    with (Path(folder) / "log").open("a") as file:
        file.write(" ".join(map(str, words)) + "\n")


def logged(folder: Path) -> list[str]:
    """What was noted, in order."""
    file = folder / "log"
    return file.read_text().splitlines() if file.exists() else []
