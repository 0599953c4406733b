"""What every file format gives the file sources."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import pyarrow as pa

from riacho.errors import SparkGeneralError
from riacho.options import Option, Options

Decoded: TypeAlias = Iterator[pa.RecordBatch]


@dataclass(frozen=True)
class DecoderContext:
    """What a decoder may need beside the options.

    `today`: the current day (days since the epoch, UTC), for a time of day without a date. `rescued_column`: the name
    of the STRING column (in the schema) for what fits nowhere else, if there is one. `new_columns`: called with the
    names of columns that a file has and the schema lacks, before any of its rows are given; it may raise to stop the
    reading. `threads`: of how many parts of a file the decoder may work on at a time. `unused`: columns of the schema
    to leave out of the rows, together with what is wrong with their values; none if there is a rescue column, which
    has to hold that.
    """

    today: Callable[[], int] = lambda: 0
    rescued_column: str | None = None
    new_columns: Callable[[str, Sequence[str]], None] | None = None
    threads: int = 1
    unused: frozenset[str] = frozenset()

    def used(self, schema: pa.Schema) -> pa.Schema:
        """The columns of `schema` that rows are to have."""
        return pa.schema([field for field in schema if field.name not in self.unused]) if self.unused else schema


class DamagedFileError(SparkGeneralError):
    """A file that is not what its format says: cut off, overwritten, or something else altogether."""

    @classmethod
    def of_file(cls, url: str, cause: Exception) -> DamagedFileError:
        return cls.of(
            "FAILED_READ_FILE.NO_HINT",
            f"Encountered error while reading file {url}. {cause}",
            sql_state="KD001",
            path=url,
        )


def bare_rows(count: int) -> pa.Table:
    """So many rows without columns."""
    return pa.table({"": pa.nulls(count)}).select([])


def concatenated(tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of tables that have the same columns, perhaps none."""
    if not tables[0].num_columns:
        return bare_rows(sum(table.num_rows for table in tables))  # Arrow would forget them
    return pa.concat_tables(tables)


class Decoder(Protocol):
    """Reads files of one format into one schema. Used from several threads at once."""

    @property
    def schema(self) -> pa.Schema:
        """The columns of its rows."""

    def decode(self, path: str) -> Decoded:
        """The rows of the file at a path, local or `s3a://…`, in order, as batches of exactly `schema`; possibly none.

        Raises SparkError, also while it is read, for a file or a record that cannot be read as the options want it.
        """


class FileFormat(Protocol):
    """A format that the file sources can read."""

    @property
    def name(self) -> str: ...

    @property
    def table(self) -> tuple[Option, ...]:
        """The options that the format knows."""

    def decoder(self, schema: pa.Schema, options: Options, context: DecoderContext) -> Decoder:
        """A decoder into `schema` but for `context.unused`.

        Raises SparkError for a type or an option that the format cannot do.
        """

    def infer(self, paths: Sequence[str], options: Options) -> pa.Schema:
        """The schema of these files, as Spark's batch reader infers it.

        Raises SparkError for an option that the format cannot do, and for a file that it cannot read.
        """


_ESCAPED = re.compile(r"[^A-Za-z0-9_!.~'()*,;:$&+=@/\x80-\U0010ffff-]")


def file_url(path: str) -> str:
    """`file:///…` or `s3a://…`, percent-encoded as Spark's `SparkPath.urlEncoded` does it: beyond ASCII nothing is."""
    return ("file://" if path.startswith("/") else "") + _ESCAPED.sub(lambda char: f"%{ord(char.group()):02X}", path)
