"""The names of types in SQL text."""

from __future__ import annotations

import pyarrow as pa

from riacho.server.sql.tokens import tokenize
from riacho.types import TIMESTAMP, TIMESTAMP_NTZ

_NAMES: dict[str, pa.DataType] = {
    "BIGINT": pa.int64(),
    "BINARY": pa.binary(),
    "BOOLEAN": pa.bool_(),
    "BYTE": pa.int8(),
    "DATE": pa.date32(),
    "DOUBLE": pa.float64(),
    "FLOAT": pa.float32(),
    "INT": pa.int32(),
    "INTEGER": pa.int32(),
    "LONG": pa.int64(),
    "REAL": pa.float32(),
    "SHORT": pa.int16(),
    "SMALLINT": pa.int16(),
    "STRING": pa.string(),
    "TIMESTAMP": TIMESTAMP,
    "TIMESTAMP_LTZ": TIMESTAMP,
    "TIMESTAMP_NTZ": TIMESTAMP_NTZ,
    "TINYINT": pa.int8(),
}
_DECIMALS = ("DECIMAL", "DEC", "NUMERIC")
_DEFAULT_DECIMAL = (10, 0)


def type_named(text: str) -> pa.DataType | None:
    """The type that `text` names; None if it is nested or unknown."""
    tokens = tokenize(text)
    if len(tokens) == 1 and tokens[0].word in _NAMES:
        return _NAMES[tokens[0].word]
    if not tokens or tokens[0].word not in _DECIMALS:
        return None
    numbers = [int(token.text) for token in tokens if token.text.isdigit()]
    precision, scale = [*numbers, *_DEFAULT_DECIMAL[len(numbers) :]][:2]
    return pa.decimal128(precision, scale) if 0 <= scale <= precision <= 38 and precision else None
