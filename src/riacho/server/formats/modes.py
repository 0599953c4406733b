"""What a text reader does with a record it cannot read: keep what it can, drop it, or fail."""

from __future__ import annotations

from enum import Enum

import pyarrow as pa

from riacho.errors import AnalysisError, SparkGeneralError
from riacho.options import Options
from riacho.types import type_to_ddl


class ParseMode(Enum):
    """Spark's parse modes; any other text means PERMISSIVE, as in Spark."""

    PERMISSIVE = "PERMISSIVE"
    DROPMALFORMED = "DROPMALFORMED"
    FAILFAST = "FAILFAST"

    @classmethod
    def of(cls, options: Options) -> ParseMode:
        try:
            return cls(options.text("mode").upper())
        except ValueError:
            return cls.PERMISSIVE


class OnlyCorruptRecordError(AnalysisError):
    """A query that uses no column of its records but the one for the malformed ones."""

    @classmethod
    def of_column(cls) -> OnlyCorruptRecordError:
        return cls.of(
            "UNSUPPORTED_FEATURE.QUERY_ONLY_CORRUPT_RECORD_COLUMN",
            "The feature is not supported: Queries from raw JSON/CSV/XML files are disallowed when the\n"
            "referenced columns only include the internal corrupt record column\n"
            "(named `_corrupt_record` by default). For example:\n"
            '`spark.read.schema(schema).json(file).filter($"_corrupt_record".isNotNull).count()`\n'
            'and `spark.read.schema(schema).json(file).select("_corrupt_record").show()`.\n'
            "Instead, you can cache or save the parsed results and then send the same query.\n"
            "For example, `val df = spark.read.schema(schema).json(file).cache()` and then\n"
            '`df.filter($"_corrupt_record".isNotNull).count()`.',
            sql_state="0A000",
        )


class MalformedRecordError(SparkGeneralError):
    """A record that FAILFAST refuses. The file's name is added by `in_file`."""

    @classmethod
    def in_parsing(cls, record: str) -> MalformedRecordError:
        return cls.of(
            "MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION",
            f"Malformed records are detected in record parsing: {record}.\n"
            "Parse Mode: FAILFAST. To process malformed records as null result, "
            "try setting the option 'mode' as 'PERMISSIVE'. ",
            sql_state="22023",
            badRecord=record,
            failFastMode="FAILFAST",
        )


def in_file(error: Exception, url: str) -> SparkGeneralError:
    """The error of a file that could not be read, around what went wrong inside it."""
    failed = SparkGeneralError.of(
        "FAILED_READ_FILE.NO_HINT",
        f"Encountered error while reading file {url}. {error}",
        sql_state="KD001",
        path=url,
    )
    failed.__cause__ = error
    return failed


def corrupt_column(schema: pa.Schema, options: Options) -> str | None:
    """The name of the column for malformed records, if `schema` has it.

    Raises INVALID_CORRUPT_RECORD_TYPE if that column is no nullable STRING, OnlyCorruptRecordError if it is alone.
    """
    name = options.text("columnNameOfCorruptRecord")
    if name not in schema.names:
        return None
    field = schema.field(name)
    if not pa.types.is_string(field.type) or not field.nullable:
        kind = type_to_ddl(field.type) + ("" if field.nullable else " NOT NULL")
        raise AnalysisError.of(
            "INVALID_CORRUPT_RECORD_TYPE",
            f'The column `{name}` for corrupt records must have the nullable STRING type, but got "{kind}".',
            sql_state="42804",
            columnName=f"`{name}`",
            actualType=f'"{kind}"',
        )
    if len(schema) == 1:
        raise OnlyCorruptRecordError.of_column()
    return name
