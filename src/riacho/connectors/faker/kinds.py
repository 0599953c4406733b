"""What a field may be, and how each kind is read from a description."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from riacho.connectors.faker import draws, makers
from riacho.connectors.faker.expressions import Expression
from riacho.connectors.faker.makers import FinishedField, Maker
from riacho.connectors.faker.pools import SIZE, pool
from riacho.connectors.faker.words import listed, micros, share, stamp_us, whole
from riacho.errors import IllegalArgumentError
from riacho.yaml_files import mapping

_TABLE: Final = frozenset({"rows", "fields"})
_COMMON: Final = frozenset({"type", "as", "nulls", "hidden"})
_TYPES: Final[Mapping[str, pa.DataType]] = {
    "boolean": pa.bool_(), "tinyint": pa.int8(), "smallint": pa.int16(), "int": pa.int32(), "integer": pa.int32(),
    "bigint": pa.int64(), "long": pa.int64(), "float": pa.float32(), "double": pa.float64(), "string": pa.string(),
    "date": pa.date32(), "timestamp": makers.MICROS, "timestamp_ntz": pa.timestamp("us"), "binary": pa.binary(),
}  # fmt: skip


@dataclass
class FakeTable:
    """One table: how its fields are made, and for how many rows (None for no end)."""

    fields: dict[str, Maker]
    hidden: frozenset[str] = frozenset()
    rows: int | None = None

    @property
    def shown(self) -> list[str]:
        """The fields that are columns."""
        return [name for name in self.fields if name not in self.hidden]


class TableReading:
    """The tables of a description, read when they are needed."""

    def __init__(self, seed: int, locale: str, sample: bool, given: Any, where: str) -> None:
        self._seed, self._locale, self._sample, self._where = seed, locale, sample, where
        self.given = mapping(given, f"{where}: tables", frozenset(given if isinstance(given, dict) else ()))
        self.made: dict[str, FakeTable] = {}
        self._open: list[str] = []

    def table(self, name: str) -> FakeTable:
        where = f"{self._where}: tables: {name}"
        if name in self._open:
            raise IllegalArgumentError(f"{where} refers to itself: {' → '.join([*self._open, name])}")
        if name not in self.made:
            if name not in self.given:
                raise IllegalArgumentError(f"{where} is not there; there are {listed(self.given)}")
            parts = mapping(self.given[name], where, _TABLE)
            rows = whole(parts.get("rows", 1000), f"{where}: rows", 1)
            self._open.append(name)
            self.made[name] = self.of_fields(parts.get("fields"), name, f"{where}: fields", rows)
            self._open.pop()
        return self.made[name]

    def of_fields(self, given: Any, table: str, where: str, rows: int | None = None) -> FakeTable:
        """A table of these fields. Raises IllegalArgumentError if there are none."""
        if not isinstance(given, dict) or not given:
            raise IllegalArgumentError(f"{where}: say what each column is made of, a mapping of names to fields")
        hidden = frozenset(str(n) for n, spec in given.items() if isinstance(spec, dict) and spec.get("hidden") is True)
        if len(hidden) == len(given):
            raise IllegalArgumentError(f"{where}: all are hidden")
        return FakeTable(self._fields(given, table, where), hidden, rows)

    def _fields(self, given: Mapping[str, Any], table: str, where: str) -> dict[str, Maker]:
        made = {str(n): self.field(spec, f"{table}.{n}", f"{where}: {n}") for n, spec in given.items()}
        for name, maker in made.items():
            _check_names(name, maker, made, f"{where}: {name}")
        return made

    def field(self, spec: Any, path: str, where: str) -> Maker:
        """One field. `path`: its place, which its random numbers depend on."""
        parts = {"type": spec} if isinstance(spec, str) else spec
        if not isinstance(parts, dict):
            raise IllegalArgumentError(f"{where} is {spec!r}: it must be the name of a kind, or a mapping with type")
        kind = str(parts.get("type") or next((name for name in ("expression", "fields") if name in parts), ""))
        kind = "struct" if kind == "fields" else kind
        key = draws.key_of(self._seed, path)
        made, known = _KINDS.get(kind, (_faked, _FAKER))
        given = {name: value for name, value in mapping(parts, where, known | _COMMON).items() if value is not None}
        maker = made(_Spec(self, kind, given, key, path, where))
        wanted = given.get("as")
        nulls = share(given.get("nulls", 0), f"{where}: nulls")
        if wanted is None and not nulls:
            return maker
        return FinishedField(key, maker, None if wanted is None else type_of(str(wanted), where), nulls, where)

    def faked(self, spec: _Spec) -> pa.Array:
        arguments = spec.given.get("args", {})
        seed = draws.key_of(self._seed, spec.path)
        size = 1 if self._sample else whole(spec.given.get("pool", SIZE), f"{spec.where}: pool", 1)
        locale = str(spec.given.get("locale") or self._locale)
        unique = bool(spec.given.get("unique", False))
        return pool(spec.kind, arguments, locale=locale, seed=seed, size=size, unique=unique, where=spec.where)


@dataclass
class _Spec:
    """One field as it was given."""

    tables: TableReading
    kind: str
    given: Mapping[str, Any]
    key: int
    path: str
    where: str

    def need(self, name: str) -> Any:
        if name not in self.given:
            raise IllegalArgumentError(f"{self.where}: {self.kind} needs {name}")
        return self.given[name]

    def number(self, name: str, default: float | None = None) -> float:
        value = self.given.get(name, default) if default is not None else self.need(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise IllegalArgumentError(f"{self.where}: {name} is {value!r}: it must be a number")
        return value

    def whole(self, name: str, default: int, least: int | None = None) -> int:
        return whole(self.given.get(name, default), f"{self.where}: {name}", least)

    def digits(self) -> int | None:
        return None if "round" not in self.given else self.whole("round", 0)


_FAKER: Final = frozenset({"args", "locale", "pool", "unique"})


def _faked(spec: _Spec) -> Maker:
    if not spec.kind:
        raise IllegalArgumentError(f"{spec.where} has no type: give one of {listed(_KINDS)}, or a provider of Faker")
    return makers.Drawn(spec.key, spec.tables.faked(spec))


def _uniform(spec: _Spec) -> Maker:
    least, most = spec.number("min", 0), spec.number("max", 1.0)
    if most < least:
        raise IllegalArgumentError(f"{spec.where}: max is {most}, and min is more, {least}")
    return makers.Spread(spec.key, makers.uniform(least, most), spec.digits())


def _normal(spec: _Spec) -> Maker:
    return makers.Spread(spec.key, makers.normal(spec.number("mean", 0), spec.number("deviation", 1)), spec.digits())


def _lognormal(spec: _Spec) -> Maker:
    return makers.Spread(spec.key, makers.lognormal(spec.number("mean", 0), spec.number("deviation", 1)), spec.digits())


def _exponential(spec: _Spec) -> Maker:
    return makers.Spread(spec.key, makers.exponential(spec.number("mean", 1)), spec.digits())


def _zipf(spec: _Spec) -> Maker:
    values = spec.given.get("values", 1000)
    count = len(values) if isinstance(values, list) else whole(values, f"{spec.where}: values", 1)
    array = _values(values, spec) if isinstance(values, list) else pa.array(range(1, count + 1), pa.int64())
    return makers.Drawn(spec.key, array, makers.zipf_shares(count, spec.number("exponent", 1.0)))


def _choice(spec: _Spec) -> Maker:
    values: Any = spec.need("values")
    weights: Any = spec.given.get("weights")
    if isinstance(values, dict):
        values, weights = list(values), list(values.values())
    if not isinstance(values, list) or not values:
        raise IllegalArgumentError(f"{spec.where}: values must be a list, or a mapping of values to weights")
    array = _values(values, spec)
    if weights is None:
        return makers.Drawn(spec.key, array)
    fine = isinstance(weights, list) and len(weights) == len(values)
    if not fine or any(not isinstance(w, int | float) or w < 0 for w in weights) or not sum(weights):
        raise IllegalArgumentError(f"{spec.where}: weights must be numbers, as many as values, and not all 0")
    return makers.Drawn(spec.key, array, draws.cumulated(weights))


def _values(values: Sequence[Any], spec: _Spec) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise IllegalArgumentError(f"{spec.where}: values must all be of one type: {error}") from None


def _sequence(spec: _Spec) -> Maker:
    cycle = spec.whole("cycle", 1, 1) if "cycle" in spec.given else None
    return makers.RowCounter(spec.whole("start", 0), spec.whole("step", 1), cycle)


def _timestamp(spec: _Spec) -> Maker:
    late = mapping(spec.given.get("late"), f"{spec.where}: late", frozenset({"share", "by"}))
    form = str(spec.given.get("format", "timestamp"))
    if form not in ("timestamp", "iso", "epoch", "epoch_ms"):
        raise IllegalArgumentError(f"{spec.where}: format is {form!r}: it must be timestamp, iso, epoch or epoch_ms")
    part = share(late.get("share", 0), f"{spec.where}: late: share")
    return makers.RowTime(spec.key, part, micros(late.get("by", "1m"), f"{spec.where}: late: by"), form)


def _between(spec: _Spec) -> Maker:
    """`datetime` and `date`: any between two."""
    least, most = (stamp_us(spec.need(name), f"{spec.where}: {name}") for name in ("min", "max"))
    if most < least:
        raise IllegalArgumentError(f"{spec.where}: max is before min")
    kind = pa.date32() if spec.kind == "date" else makers.MICROS
    if spec.kind == "date":
        day = 86_400_000_000
        days = makers.Spread(spec.key, makers.uniform(least // day, most // day))
        return FinishedField(spec.key, FinishedField(spec.key, days, pa.int32()), kind)
    return FinishedField(spec.key, makers.Spread(spec.key, makers.moments(least, most)), kind)


def _expression(spec: _Spec) -> Maker:
    return makers.Computed(Expression(str(spec.need("expression")), spec.where))


def _foreign(spec: _Spec) -> Maker:
    name, wanted = str(spec.need("table")), str(spec.need("field"))
    table = spec.tables.table(name)
    assert table.rows is not None
    if wanted not in table.fields:
        raise IllegalArgumentError(f"{spec.where}: {name} has no field {wanted!r}; it has {listed(table.fields)}")
    distribution = str(spec.given.get("distribution", "uniform"))
    if distribution not in ("uniform", "zipf"):
        raise IllegalArgumentError(f"{spec.where}: distribution is {distribution!r}: it must be uniform or zipf")
    shares = makers.zipf_shares(table.rows, spec.number("exponent", 1.0)) if distribution == "zipf" else None
    # Fields of the same draw are of the same row, whichever field asks.
    owner = spec.path.partition(".")[0]
    key = draws.key_of(spec.tables._seed, owner, "→", name, spec.given.get("draw", ""))  # noqa: SLF001 - its own
    return makers.Foreign(key, name, wanted, table.rows, shares)


def _struct(spec: _Spec) -> Maker:
    fields = spec.need("fields")
    if not isinstance(fields, dict) or not fields:
        raise IllegalArgumentError(f"{spec.where}: fields must be a mapping of names to fields")
    return makers.Nested(
        {str(n): spec.tables.field(f, f"{spec.path}.{n}", f"{spec.where}: {n}") for n, f in fields.items()}
    )


def _array(spec: _Spec) -> Maker:
    of = spec.tables.field(spec.need("of"), f"{spec.path}[]", f"{spec.where}: of")
    least, most = spec.whole("min", 0, 0), spec.whole("max", 3, 0)
    if most < least:
        raise IllegalArgumentError(f"{spec.where}: max is {most}, and min is more, {least}")
    return makers.Many(spec.key, of, least, most)


def _case(spec: _Spec) -> Maker:
    cases = spec.need("cases")
    if not isinstance(cases, dict) or not cases:
        raise IllegalArgumentError(f"{spec.where}: cases must be a mapping of values to fields")
    made = [
        (pa.scalar(value), spec.tables.field(given, f"{spec.path}?{value}", f"{spec.where}: cases: {value}"))
        for value, given in cases.items()
    ]
    other = spec.given.get("else")
    otherwise = None if other is None else spec.tables.field(other, f"{spec.path}?", f"{spec.where}: else")
    return makers.Case(str(spec.need("of")), made, otherwise)


def _boolean(spec: _Spec) -> Maker:
    part = share(spec.given.get("share", 0.5), f"{spec.where}: share")
    return makers.Spread(spec.key, lambda key, rows: draws.happens(key, rows, part))


_SPREAD: Final = frozenset({"round"})
_KINDS: Final[Mapping[str, tuple[Callable[[_Spec], Maker], frozenset[str]]]] = {
    "uniform": (_uniform, _SPREAD | {"min", "max"}),
    "normal": (_normal, _SPREAD | {"mean", "deviation"}),
    "lognormal": (_lognormal, _SPREAD | {"mean", "deviation"}),
    "exponential": (_exponential, _SPREAD | {"mean"}),
    "zipf": (_zipf, frozenset({"values", "exponent"})),
    "choice": (_choice, frozenset({"values", "weights"})),
    "boolean": (_boolean, frozenset({"share"})),
    "sequence": (_sequence, frozenset({"start", "step", "cycle"})),
    "uuid": (lambda spec: makers.Uuid(spec.key), frozenset()),
    "pattern": (lambda spec: makers.PatternText(spec.key, str(spec.need("pattern"))), frozenset({"pattern"})),
    "constant": (lambda spec: makers.Constant(pa.scalar(spec.need("value"))), frozenset({"value"})),
    "timestamp": (_timestamp, frozenset({"late", "format"})),
    "datetime": (_between, frozenset({"min", "max"})),
    "date": (_between, frozenset({"min", "max"})),
    "expression": (_expression, frozenset({"expression"})),
    "foreign": (_foreign, frozenset({"table", "field", "distribution", "exponent", "draw"})),
    "struct": (_struct, frozenset({"fields"})),
    "array": (_array, frozenset({"of", "min", "max"})),
    "case": (_case, frozenset({"of", "cases", "else"})),
}
"""How each kind is read, and what it may have beside `type`, `as` and `nulls`. Anything else is a provider of Faker."""
KINDS: Final = tuple(_KINDS)


def type_of(text: str, where: str) -> pa.DataType:
    """A type as Spark writes it. Raises IllegalArgumentError."""
    lower = text.strip().lower()
    if lower.startswith("decimal(") and lower.endswith(")"):
        precision, _, scale = lower[8:-1].partition(",")
        if precision.strip().isdigit() and (scale.strip() or "0").isdigit():
            return pa.decimal128(int(precision), int(scale or 0))
    if lower not in _TYPES:
        raise IllegalArgumentError(f"{where}: as is {text!r}: it must be one of {listed(_TYPES)}, decimal(p, s)")
    return _TYPES[lower]


def _check_names(name: str, maker: Maker, known: Mapping[str, Maker], where: str) -> None:
    """Refuse what refers to a field that is not there, or to itself."""
    seen: set[str] = set()
    waiting = [(name, maker)]
    while waiting:
        _, here = waiting.pop()
        for other in _names_in(here):
            if other not in known:
                raise IllegalArgumentError(f"{where}: there is no field {other!r}; there are {listed(known)}")
            if other == name:
                raise IllegalArgumentError(f"{where} refers to itself")
            if other not in seen:
                seen.add(other)
                waiting.append((other, known[other]))


def _names_in(maker: Maker) -> set[str]:
    if isinstance(maker, makers.Computed):
        return maker.expression.names
    if isinstance(maker, FinishedField):
        return _names_in(maker.maker)
    if isinstance(maker, makers.Nested):
        return {name for inner in maker.fields.values() for name in _names_in(inner)}
    if isinstance(maker, makers.Many):
        return _names_in(maker.of)
    if isinstance(maker, makers.Case):
        others = [inner for _, inner in maker.cases] + ([maker.otherwise] if maker.otherwise else [])
        return {maker.of, *(name for inner in others for name in _names_in(inner))}
    return set()
