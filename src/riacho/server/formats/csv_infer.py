"""The schema of CSV records, as Spark infers it.

Column names come from the header, or are `_c0`, `_c1`, …; repeated names get their position. Types start as narrow as
possible and widen with each value that does not fit. Sources: `CSVUtils.makeSafeHeader`, `CSVInferSchema`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import pyarrow as pa

from riacho.options import Options
from riacho.server.formats.csv_values import java_float
from riacho.server.formats.datetimes import Datetimes
from riacho.server.formats.decimals import parse_number
from riacho.types import TIMESTAMP

_LENIENT_DATES = {"yyyy-MM-dd", "yyyy-M-d", "yyyy-M-dd", "yyyy-MM-d", "yyyy-MM", "yyyy-M", "yyyy"}
"""Date patterns whose text is also a timestamp when no timestamp pattern is given."""


def infer_schema(
    header: Sequence[str | None], rows: Sequence[Sequence[str | None]], options: Options, datetimes: Datetimes
) -> pa.Schema:
    """The columns of `rows`; `header` is the first record, whether it is a header or not."""
    names = column_names(header, options)
    if not options.flag("inferSchema"):
        return pa.schema([pa.field(name, pa.string()) for name in names])
    inference = _Inference(options, datetimes)
    types: list[pa.DataType] = [pa.null()] * len(names)
    for row in rows:
        for i, text in enumerate(row[: len(names)]):
            types[i] = inference.widen(types[i], text)
    return pa.schema(
        [pa.field(name, pa.string() if pa.types.is_null(t) else t) for name, t in zip(names, types, strict=True)]
    )


def column_names(header: Sequence[str | None], options: Options) -> list[str]:
    """Names that are there, and told apart."""
    if not options.flag("header"):
        return [f"_c{i}" for i in range(len(header))]
    repeated = Counter(name.lower() for name in header if name)
    unnamed = ("", options.text("nullValue"))
    return [
        f"_c{i}" if name is None or name in unnamed else f"{name}{i}" if repeated[name.lower()] > 1 else name
        for i, name in enumerate(header)
    ]


class _Inference:
    def __init__(self, options: Options, datetimes: Datetimes) -> None:
        self._null = options.text("nullValue")
        self._named = {options.text("nanValue"), options.text("positiveInf"), options.text("negativeInf")}
        self._prefers_date = options.flag("preferDate")
        self._datetimes = datetimes
        pattern = datetimes.date_pattern
        self._date_pattern = "yyyy-MM-dd" if pattern is None else pattern.text
        self._strict_date = re.compile(r"-?\d{4}-\d{2}-\d{2}", re.ASCII)

    def widen(self, known: pa.DataType, text: str | None) -> pa.DataType:
        """The type that takes all values so far and `text`."""
        if not text or text == self._null or pa.types.is_string(known):
            return known
        return self._common(known, self._type(known, text))

    def _type(self, known: pa.DataType, text: str) -> pa.DataType:
        """The narrowest type of `text` that is not narrower than `known`."""
        if (pa.types.is_null(known) or known == pa.int32()) and self._fits(text, 31):
            return pa.int32()
        if (pa.types.is_null(known) or pa.types.is_integer(known)) and self._fits(text, 63):
            return pa.int64()
        is_number = pa.types.is_null(known) or pa.types.is_integer(known) or pa.types.is_decimal(known)
        if is_number and (decimal := self._decimal(text)) is not None:
            return decimal
        if is_number or pa.types.is_floating(known):
            if text in self._named or java_float(text, pa.float64()) is not None:
                return pa.float64()
            return self._date_or_later(text, dates=self._prefers_date)
        if pa.types.is_date32(known):
            return self._date_or_later(text, dates=True)
        if pa.types.is_timestamp(known):
            return self._date_or_later(text, dates=False)
        return _boolean_or_text(text)

    def _date_or_later(self, text: str, *, dates: bool) -> pa.DataType:
        if dates and self._is_date(text):
            return pa.date32()
        if self._datetimes.timestamp(text) is not None:
            return TIMESTAMP
        return _boolean_or_text(text)

    def _is_date(self, text: str) -> bool:
        if self._datetimes.date_pattern is None:
            return self._strict_date.fullmatch(text) is not None and self._datetimes.date(text) is not None
        return self._datetimes.date_pattern.days(text) is not None

    def _fits(self, text: str, bits: int) -> bool:
        return re.fullmatch(r"[+-]?\d+", text) is not None and -(1 << bits) <= int(text) < 1 << bits

    def _decimal(self, text: str) -> pa.DataType | None:
        """Only whole numbers become DECIMAL."""
        value = parse_number(text)
        if value is None:
            return None
        _, digits, exponent = value.as_tuple()
        assert isinstance(exponent, int)
        # Spark cannot make a DECIMAL with the negative scale of 1e5, so that is no decimal either.
        return pa.decimal128(len(digits), 0) if exponent == 0 and len(digits) <= 38 else None

    def _common(self, left: pa.DataType, right: pa.DataType) -> pa.DataType:
        if left == right or pa.types.is_null(left):
            return right
        if {left, right} == {pa.date32(), TIMESTAMP}:
            lenient = self._datetimes.timestamp_pattern is None and self._date_pattern in _LENIENT_DATES
            return TIMESTAMP if lenient else pa.string()
        if not all(map(_is_number, (left, right))):
            return pa.string()
        if pa.float64() in {left, right}:
            return pa.float64()
        if pa.types.is_integer(left) and pa.types.is_integer(right):
            return pa.int64()
        precision = max(map(_precision, (left, right)))
        return pa.decimal128(precision, 0) if precision <= 38 else pa.float64()


def _boolean_or_text(text: str) -> pa.DataType:
    return pa.bool_() if text.lower() in {"true", "false"} else pa.string()


def _is_number(arrow: pa.DataType) -> bool:
    return bool(pa.types.is_integer(arrow) or pa.types.is_floating(arrow) or pa.types.is_decimal(arrow))


def _precision(arrow: pa.DataType) -> int:
    if pa.types.is_decimal(arrow):
        precision: int = arrow.precision
        return precision
    return 10 if arrow == pa.int32() else 20
