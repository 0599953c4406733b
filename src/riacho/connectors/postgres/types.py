"""Which Spark type a column of PostgreSQL has: as Spark's JDBC source sees them (`PostgresDialect`).

One thing differs unless it is asked for: `timestamp` and `time` are TIMESTAMP_NTZ (JDBC: `preferTimestampNTZ`), for
what the columns hold are no instants, and a stream that runs for years should not depend on the zone it began in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    ShortType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

_SIMPLE: Final[Mapping[str, DataType]] = {
    "bool": BooleanType(),
    "int2": ShortType(),
    "int4": IntegerType(),
    "int8": LongType(),
    "oid": DecimalType(20, 0),
    "float4": FloatType(),
    "float8": DoubleType(),
    "bytea": BinaryType(),
    "date": DateType(),
    "timestamptz": TimestampType(),
    "timetz": TimestampType(),
}
_NO_ZONE: Final = ("timestamp", "time")
_LARGEST: Final = 38


@dataclass(frozen=True)
class PgType:
    """A type as the catalog has it, domains resolved. `modifier`: `atttypmod`. `element`: of an array."""

    name: str
    modifier: int = -1
    element: PgType | None = None
    dimensions: int = 0

    def spark(self, prefer_ntz: bool) -> DataType:
        """The Spark type; what Spark has nothing for is STRING, as PostgreSQL writes it."""
        if self.element is not None:
            found: DataType = self.element.spark(prefer_ntz)
            for _ in range(max(self.dimensions, 1)):
                found = ArrayType(found)
            return found
        if self.name in _NO_ZONE:
            return TimestampNTZType() if prefer_ntz else TimestampType()
        if self.name == "numeric":
            return self._decimal()
        if self.name == "bit":
            return BooleanType() if self.modifier == 1 else BinaryType()
        return _SIMPLE.get(self.name, StringType())

    def _decimal(self) -> DecimalType:
        """Without precision it is DECIMAL(38,18); digits that do not fit 38 are taken from the scale."""
        if self.modifier < 4:
            return DecimalType(_LARGEST, 18)
        packed = self.modifier - 4
        precision, scale = packed >> 16 & 0xFFFF, ((packed & 0x7FF) ^ 1024) - 1024
        if scale < 0:
            precision, scale = precision - scale, 0
        precision = max(precision, scale)
        over = max(precision - _LARGEST, 0)
        return DecimalType(min(precision, _LARGEST), max(scale - over, 0))
