"""The options of `from_avro`, as Spark reads them (`AvroOptions`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from riacho.errors import AnalysisError, NumberFormatError, UnsupportedOperationError
from riacho.options import Option, Options, refused
from riacho.server.formats.avro.schema import Schema, parse

DEEPEST: Final = 15
"""The deepest that `recursiveFieldMaxDepth` may go."""

TABLE: Final = (
    Option("mode", "FAILFAST", "FAILFAST: a damaged message is an error; PERMISSIVE: its fields are null"),
    Option("avroSchema", None, "the schema to read with, if it is not the one that wrote; what it adds has defaults"),
    Option("enableStableIdentifiersForUnionType", "false", "name the fields of a union after its types"),
    Option("stableIdentifierPrefixForUnionType", "member_", "what these names begin with"),
    Option("recursiveFieldMaxDepth", "-1", "how deep to read a schema that contains itself, 1 to 15"),
    Option("datetimeRebaseMode", "CORRECTED", "CORRECTED, or EXCEPTION for an error for dates before 1582-10-15"),
    refused("avroSchemaUrl", None, "read the file, and give its text as avroSchema"),
)
"""The options of `from_avro`."""


@dataclass(frozen=True)
class AvroOptions:
    """See `TABLE`. `deepest`: 0 or less for a schema that may not contain itself."""

    permissive: bool = False
    reader: Schema | None = None
    stable_names: bool = False
    stable_prefix: str = "member_"
    deepest: int = -1
    refuse_ancient: bool = False

    @classmethod
    def read(cls, function: str, given: Mapping[str, str]) -> Self:
        """The options as given. Raises SparkError for a value that one cannot have."""
        options = Options.check(f"function {function}", TABLE, given)
        mode = options.text("mode").upper()
        if mode == "DROPMALFORMED":
            raise AnalysisError.of(
                "PARSE_MODE_UNSUPPORTED",
                f"The function `{function}` doesn't support the {mode} mode. Acceptable modes are PERMISSIVE and "
                "FAILFAST.",
                sql_state="42601",
                funcName=f"`{function}`",
                mode=mode,
            )
        rebase = options.text("datetimeRebaseMode").upper()
        if rebase not in ("CORRECTED", "EXCEPTION"):
            raise UnsupportedOperationError(
                f"The option datetimeRebaseMode = '{rebase}' of {function} is not supported: only CORRECTED and "
                "EXCEPTION are. Values in the Julian calendar, from Spark before 3.0 or Hive, must be rewritten there."
            )
        schema = options.maybe("avroSchema")
        return cls(
            permissive=mode != "FAILFAST",  # Spark reads a mode that it does not know as PERMISSIVE
            reader=None if schema is None else parse(schema),
            stable_names=options.text("enableStableIdentifiersForUnionType").lower() == "true",
            stable_prefix=options.text("stableIdentifierPrefixForUnionType"),
            deepest=_depth(options.text("recursiveFieldMaxDepth")),
            refuse_ancient=rebase == "EXCEPTION",
        )


def _depth(text: str) -> int:
    try:
        depth = int(text)
    except ValueError:
        raise NumberFormatError(f'For input string: "{text}"') from None
    if depth > DEEPEST:
        raise AnalysisError.of(
            "STDS_INVALID_OPTION_VALUE.WITH_MESSAGE",
            f"Invalid value for source option 'recursiveFieldMaxDepth': Should not be greater than {DEEPEST}.",
            sql_state="42616",
            optionName="recursiveFieldMaxDepth",
            message=f"Should not be greater than {DEEPEST}.",
        )
    return depth
