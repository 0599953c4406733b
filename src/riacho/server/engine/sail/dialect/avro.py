"""`from_avro`, `to_avro`, `schema_of_avro`: the engine has none of them.

The first two become functions of riacho's own (`own_functions`), the last one its result. In Spark they are
`org.apache.spark.sql.catalyst.expressions.FromAvro`, `ToAvro` and `SchemaOfAvro`.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from riacho import types
from riacho.errors import AnalysisError
from riacho.protos import pb
from riacho.server.engine.sail import udfs
from riacho.server.engine.sail.dialect.constants import is_null, options_of
from riacho.server.engine.sail.own_functions import own_function
from riacho.server.formats.avro.decode import decoder
from riacho.server.formats.avro.options import AvroOptions
from riacho.server.formats.avro.schema import parse
from riacho.server.formats.avro.sql_types import to_spark
from riacho.server.plan import build
from riacho.server.plan.literals import string_of
from riacho.server.plan.text import column_name

Expression = pb.Expression

NAME = "to_avro"
NEEDS_TYPES = frozenset({NAME, "to_json"})
"""What is left as it is in a stream, for `typed` comes later there, and there only."""


def from_avro(arguments: Sequence[Expression]) -> Expression:
    """`from_avro(bytes, schema [, options])`. Raises SparkError."""
    _check_count("from_avro", arguments, 2, 3)
    schema = _constant("from_avro", arguments, 1, to="converting the value from AVRO format") or ""
    options = tuple(sorted(_options("from_avro", arguments, 2).items()))
    kind = decoder(schema, options).type
    return build.call(own_function("from_avro", udfs.from_avro, (schema, options), kind), arguments[0])


def to_avro(arguments: Sequence[Expression], alone: pa.DataType | None = None) -> Expression:
    """`to_avro(value [, schema])`. Raises SparkError.

    `alone`: for a value that is in a struct by itself with other names in it: the type that it really has.
    """
    _check_count("to_avro", arguments, 1, 2)
    schema = _constant("to_avro", arguments, 1, to="converting the value to AVRO format")
    if schema is not None:
        parse(schema)
    kind = None if alone is None else types.to_json(pa.schema([pa.field("x", alone)]))
    name = own_function("to_avro", udfs.to_avro, (schema, kind), pa.binary())
    # Where the schema follows from the type (`typed.avro`), and the type is not known, the function looks at it.
    return build.call(name, arguments[0] if schema is not None else build.call("struct", arguments[0]))


def schema_of_avro(arguments: Sequence[Expression]) -> Expression:
    """`schema_of_avro(schema [, options])`: the type that `from_avro` gives, as DDL. Raises SparkError."""
    _check_count("schema_of_avro", arguments, 1, 2)
    schema = _constant("schema_of_avro", arguments, 0, to="converting the value from AVRO format") or ""
    options = AvroOptions.read("schema_of_avro", _options("schema_of_avro", arguments, 1))
    return build.text(types.type_to_ddl(to_spark(options.reader or parse(schema), options).type, not_null=True))


def _check_count(name: str, arguments: Sequence[Expression], *counts: int) -> None:
    if len(arguments) not in counts:
        expected = "[" + ", ".join(map(str, counts)) + "]"
        raise AnalysisError.of(
            "WRONG_NUM_ARGS.WITHOUT_SUGGESTION",
            f"The `{name}` requires {expected} parameters but the actual number is {len(arguments)}. Please, refer to "
            "'https://spark.apache.org/docs/latest/sql-ref-functions.html' for a fix.",
            sql_state="42605",
            functionName=f"`{name}`",
            expectedNum=expected,
            actualNum=str(len(arguments)),
            docroot="https://spark.apache.org/docs/latest",
        )


def _constant(name: str, arguments: Sequence[Expression], at: int, *, to: str) -> str | None:
    """The schema that a call has; None if it is null or left out."""
    if at >= len(arguments) or is_null(arguments[at]):
        return None
    text = string_of(arguments[at])
    if text is None:
        place = ("first", "second")[at]
        raise _mistyped(
            name,
            arguments,
            f"The {place} argument of the {name.upper()} SQL function must be a constant string containing the JSON "
            f"representation of the schema to use for {to}",
        )
    return text


def _options(name: str, arguments: Sequence[Expression], at: int) -> dict[str, str]:
    if at >= len(arguments) or is_null(arguments[at]):
        return {}
    options = options_of(arguments[at])
    if options is None:
        place = ("first", "second", "third")[at]
        raise _mistyped(
            name,
            arguments,
            f"The {place} argument of the {name.upper()} SQL function must be a constant map of strings to strings "
            "containing the options to use for converting the value from AVRO format",
        )
    return options


def _mistyped(name: str, arguments: Sequence[Expression], hint: str) -> AnalysisError:
    shown = column_name(build.call(name, *arguments))
    return AnalysisError.of(
        "DATATYPE_MISMATCH.TYPE_CHECK_FAILURE_WITH_HINT",
        f'Cannot resolve "{shown}" due to data type mismatch: {hint}.',
        sql_state="42K09",
        sqlExpr=f'"{shown}"',
        msg=hint,
        hint="",
    )
