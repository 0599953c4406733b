"""What makes the values of a field, a column at a time: a class for each kind, each a pure function of row numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from riacho.connectors.faker import draws, texts
from riacho.connectors.faker.draws import Floats, Numbers
from riacho.connectors.faker.expressions import Expression
from riacho.errors import IllegalArgumentError

MICROS = pa.timestamp("us", tz="UTC")


class RowBlock(Protocol):
    """Some rows of a table that are being made."""

    rows: Numbers

    def column(self, name: str) -> pa.Array:
        """Another field of these rows."""

    def times(self) -> Numbers:
        """When each of them happens, in µs since 1970."""

    def other(self, table: str, rows: Numbers) -> RowBlock:
        """Rows of another table."""


class Maker(Protocol):
    """Makes the values of a field for rows."""

    def make(self, block: RowBlock) -> pa.Array: ...


@dataclass
class Drawn:
    """One of `values` for each row, all alike, or as often as `shares` says."""

    key: int
    values: pa.Array
    shares: Floats | None = None

    def make(self, block: RowBlock) -> pa.Array:
        rows = block.rows
        if self.shares is None:
            places = draws.below(self.key, rows, len(self.values))
        else:
            places = draws.weighted(self.key, rows, self.shares)
        return self.values.take(pa.array(places))


@dataclass
class Spread:
    """A number of a distribution. `of`: how bits become it."""

    key: int
    of: Callable[[int, Numbers], Any]
    digits: int | None = None

    def make(self, block: RowBlock) -> pa.Array:
        values = self.of(self.key, block.rows)
        return pa.array(values if self.digits is None else np.round(values, self.digits))


def uniform(least: float, most: float) -> Callable[[int, Numbers], Any]:
    """Whole numbers, the last one included, if both are; else any number between."""
    if isinstance(least, int) and isinstance(most, int):
        return lambda key, rows: least + draws.below(key, rows, most - least + 1)
    return lambda key, rows: least + draws.unit(key, rows) * (most - least)


def normal(mean: float, deviation: float) -> Callable[[int, Numbers], Any]:
    return lambda key, rows: mean + deviation * draws.normal(key, rows)


def lognormal(mean: float, deviation: float) -> Callable[[int, Numbers], Any]:
    """`mean` and `deviation` of the logarithm."""
    return lambda key, rows: np.exp(mean + deviation * draws.normal(key, rows))


def exponential(mean: float) -> Callable[[int, Numbers], Any]:
    return lambda key, rows: -mean * np.log(1.0 - draws.unit(key, rows))


def moments(least_us: int, most_us: int) -> Callable[[int, Numbers], Any]:
    return lambda key, rows: least_us + draws.below(key, rows, most_us - least_us + 1)


def zipf_shares(count: int, exponent: float) -> Floats:
    """Shares of the first, second, … of `count`, by Zipf's law."""
    return draws.cumulated(np.arange(1, count + 1, dtype=np.float64) ** -exponent)


@dataclass
class RowCounter:
    """Numbers in order; with `cycle` they begin again."""

    start: int
    step: int
    cycle: int | None

    def make(self, block: RowBlock) -> pa.Array:
        rows = block.rows if self.cycle is None else block.rows % self.cycle
        return pa.array(self.start + self.step * rows)


@dataclass
class Uuid:
    key: int

    def make(self, block: RowBlock) -> pa.Array:
        return texts.uuids(self.key, block.rows)


@dataclass
class PatternText:
    key: int
    pattern: str

    def make(self, block: RowBlock) -> pa.Array:
        return texts.patterned(self.key, block.rows, self.pattern)


@dataclass
class Constant:
    value: pa.Scalar

    def make(self, block: RowBlock) -> pa.Array:
        return pa.repeat(self.value, len(block.rows))


@dataclass
class RowTime:
    """When the row happens; a share of rows up to `by_us` earlier, as events that come late. `form`: what it is."""

    key: int
    late_share: float
    by_us: int
    form: str

    def make(self, block: RowBlock) -> pa.Array:
        times = block.times()
        if self.late_share:
            late = draws.happens(self.key, block.rows, self.late_share)
            back = draws.below(draws.key_of(self.key, "by"), block.rows, self.by_us + 1)
            times = np.where(late, times - back, times)
        if self.form.startswith("epoch"):
            return pa.array(times // (1_000 if self.form == "epoch_ms" else 1_000_000))
        stamps = pa.array(times, pa.int64()).cast(MICROS)
        return iso(stamps) if self.form == "iso" else stamps


def iso(stamps: pa.Array) -> pa.Array:
    """Times as ISO 8601 in UTC, with microseconds."""
    return pc.binary_join_element_wise(pc.strftime(stamps, format="%Y-%m-%dT%H:%M:%S"), "Z", "")


@dataclass
class Computed:
    expression: Expression

    def make(self, block: RowBlock) -> pa.Array:
        return self.expression.evaluate(block.column, len(block.rows))


@dataclass
class Foreign:
    """A field of a row of another table; fields of the same `draw` are of the same row."""

    key: int
    table: str
    name: str
    count: int
    shares: Floats | None

    def make(self, block: RowBlock) -> pa.Array:
        if self.shares is None:
            rows = draws.below(self.key, block.rows, self.count)
        else:
            rows = draws.weighted(self.key, block.rows, self.shares)
        return block.other(self.table, rows).column(self.name)


@dataclass
class Nested:
    """A struct."""

    fields: Mapping[str, Maker]

    def make(self, block: RowBlock) -> pa.Array:
        return pa.StructArray.from_arrays([m.make(block) for m in self.fields.values()], names=list(self.fields))


@dataclass
class Many:
    """Lists of `least` to `most` elements; each element has a row number of its own."""

    key: int
    of: Maker
    least: int
    most: int

    def make(self, block: RowBlock) -> pa.Array:
        sizes = self.least + draws.below(self.key, block.rows, self.most - self.least + 1)
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
        within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], sizes)
        rows = np.repeat(block.rows, sizes) * (self.most + 1) + within
        values = self.of.make(_Inside(block, rows, np.repeat(np.arange(len(block.rows)), sizes)))
        return pa.ListArray.from_arrays(pa.array(offsets), values)


@dataclass
class _Inside:
    """The elements of lists, as rows; other fields are those of the rows that they are in."""

    block: RowBlock
    rows: Numbers
    owners: Numbers

    def column(self, name: str) -> pa.Array:
        return self.block.column(name).take(pa.array(self.owners))

    def times(self) -> Numbers:
        times: Numbers = self.block.times()[self.owners]
        return times

    def other(self, table: str, rows: Numbers) -> RowBlock:
        return self.block.other(table, rows)


@dataclass
class Case:
    """What another field's value says."""

    of: str
    cases: Sequence[tuple[pa.Scalar, Maker]]
    otherwise: Maker | None

    def make(self, block: RowBlock) -> pa.Array:
        deciding = block.column(self.of)
        made = [(pc.equal(deciding, pc.cast(value, deciding.type)), maker.make(block)) for value, maker in self.cases]
        kind = made[0][1].type
        whole = pa.nulls(len(block.rows), kind) if self.otherwise is None else self.otherwise.make(block).cast(kind)
        for mask, values in reversed(made):
            whole = pc.if_else(mask.fill_null(False), values.cast(kind), whole)
        return whole


@dataclass
class FinishedField:
    """A field with what all kinds have: `kind` to cast to, and a share of nulls."""

    key: int
    maker: Maker
    kind: pa.DataType | None = None
    nulls: float = 0.0
    where: str = ""

    def make(self, block: RowBlock) -> pa.Array:
        values = self.maker.make(block)
        if self.kind is not None and values.type != self.kind:
            values = self._cast(values, self.kind)
        if self.nulls:
            kept = ~draws.happens(draws.key_of(self.key, "null"), block.rows, self.nulls)
            values = pc.if_else(pa.array(kept), values, pa.scalar(None, values.type))
        return values

    def _cast(self, values: pa.Array, kind: pa.DataType) -> pa.Array:
        """Raises IllegalArgumentError for values that the type cannot have."""
        try:
            if pa.types.is_decimal(kind) and pa.types.is_integer(values.type):
                values = values.cast(pa.decimal128(38, kind.scale))
            if pa.types.is_timestamp(values.type) and pa.types.is_string(kind):
                return iso(values)
            exact = pa.types.is_decimal(kind) or pa.types.is_integer(values.type)
            return values.cast(kind, safe=exact)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise IllegalArgumentError(
                f"{self.where}: its values cannot be {kind}, as `as` says: {str(error).splitlines()[0]}"
            ) from None
