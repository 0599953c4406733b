"""What a description says: fields and how they are made, other tables, rates, bursts and bad rows.

Such as this, in YAML or JSON:

    seed: 7
    locale: pt_BR
    rate: 5                                   # rows a second
    fields:
      id: uuid
      customer: {type: foreign, table: customers, field: id, distribution: zipf}
      at: timestamp
      amount: {type: lognormal, mean: 3, deviation: 1, round: 2}
    tables:
      customers: {rows: 1000, fields: {id: sequence, name: name}}
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from riacho.connectors.faker.kinds import FakeTable, TableReading
from riacho.connectors.faker.makers import Maker
from riacho.connectors.faker.rates import Burst
from riacho.connectors.faker.words import listed, micros, rate_of, share, stamp, whole
from riacho.errors import IllegalArgumentError
from riacho.yaml_files import mapping

TOP: Final = frozenset(
    {"seed", "locale", "start", "rate", "profile", "bursts", "bad", "fields", "tables", "count", "output"}
)
_BURST: Final = frozenset({"at", "for", "rate", "every", "fields"})
_BAD: Final = frozenset({"share", "kinds"})
BAD_KINDS: Final = ("missing", "duplicate", "future", "type", "malformed")
IN_TEXT: Final = frozenset({"type", "malformed"})
"""What only rows that are JSON can have."""


@dataclass(frozen=True)
class BadRows:
    """How many rows are bad, and in which ways, with weights."""

    share: float = 0.0
    kinds: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()


@dataclass
class Description:
    """All that rows are made from; it is pickled for the processes that make them."""

    seed: int
    main: FakeTable
    tables: dict[str, FakeTable]
    rate: float
    profile: tuple[float, ...]
    bursts: tuple[Burst, ...]
    burst_fields: tuple[dict[str, Maker], ...]
    bad: BadRows
    output: str
    start: str | None
    settings: dict[str, Any] = field(default_factory=dict)


def read(given: Any, where: str, *, sample: bool = False, only: str | None = None) -> Description:
    """What a description says. Raises IllegalArgumentError that names the place and what may stand there.

    `sample`: enough of it to know the types; nothing is made from that. `only`: another table in the place of the main
    one.
    """
    top = mapping(given, where, TOP)
    seed = whole(top.get("seed", 0), f"{where}: seed")
    reading = TableReading(seed, str(top.get("locale") or "en_US"), sample, top.get("tables") or {}, where)
    if only is not None:
        if only not in reading.given:
            raise IllegalArgumentError(f"{where}: there is no table {only!r}; there are {listed(reading.given)}")
        main = reading.table(only)
    else:
        main = reading.of_fields(top.get("fields"), "", f"{where}: fields")
    profile = _profile(top.get("profile"), f"{where}: profile")
    bursts = [_burst(b, reading, main, f"{where}: bursts[{n}]") for n, b in enumerate(top.get("bursts") or ())]
    rate = rate_of(top.get("rate", 1), f"{where}: rate")
    if rate * (max(profile) if profile else 1) <= 0:
        raise IllegalArgumentError(f"{where}: rate is {top.get('rate')!r}: it must be more than 0 in some hour")
    output = str(top.get("output", "columns"))
    if output not in ("columns", "json"):
        raise IllegalArgumentError(f"{where}: output is {output!r}: it must be columns or json")
    return Description(
        seed=seed,
        main=main,
        tables=reading.made,
        rate=rate,
        profile=profile,
        bursts=tuple(burst for burst, _ in bursts),
        burst_fields=tuple(fields for _, fields in bursts),
        bad=_bad(top.get("bad"), output, f"{where}: bad"),
        output=output,
        start=None if top.get("start") is None else stamp(top["start"], f"{where}: start").isoformat(),
        settings={name: top[name] for name in ("count",) if name in top},
    )


def _profile(given: Any, where: str) -> tuple[float, ...]:
    """24 factors: a list, or a mapping of hours such as `8` or `18-22` to them; the other hours have 1."""
    if given is None:
        return ()
    if isinstance(given, list):
        if len(given) != 24 or any(not isinstance(f, int | float) or f < 0 for f in given):
            raise IllegalArgumentError(f"{where} must have 24 numbers, one for each hour of the day")
        return tuple(map(float, given))
    if not isinstance(given, dict):
        raise IllegalArgumentError(f"{where} must be a list of 24 numbers, or a mapping such as {{0-6: 0.2, 19: 3}}")
    factors = [1.0] * 24
    for hours, factor in given.items():
        first, _, last = str(hours).partition("-")
        fine = first.strip().isdigit() and (last or first).strip().isdigit()
        if not fine or not isinstance(factor, int | float) or factor < 0 or int(last or first) > 23:
            raise IllegalArgumentError(f"{where}: {hours}: {factor!r} must be hours from 0 to 23, and a number")
        for hour in range(int(first), int(last or first) + 1):
            factors[hour] = float(factor)
    return tuple(factors)


def _burst(given: Any, reading: TableReading, main: FakeTable, where: str) -> tuple[Burst, dict[str, Maker]]:
    parts = mapping(given, where, _BURST)
    for name in ("at", "for", "rate"):
        if name not in parts:
            raise IllegalArgumentError(f"{where} needs {name}: when it begins, how long it takes, how many rows come")
    fields = parts.get("fields") or {}
    unknown = [name for name in fields if name not in main.fields]
    if unknown:
        raise IllegalArgumentError(f"{where}: there is no field {unknown[0]!r}; there are {listed(main.fields)}")
    burst = Burst(
        micros(parts["at"], f"{where}: at"),
        micros(parts["for"], f"{where}: for"),
        rate_of(parts["rate"], f"{where}: rate"),
        micros(parts["every"], f"{where}: every") if "every" in parts else 0,
    )
    if burst.every_us and burst.every_us < burst.length_us:
        raise IllegalArgumentError(f"{where}: every is shorter than for")
    made = {str(n): reading.field(spec, f"burst.{n}", f"{where}: fields: {n}") for n, spec in fields.items()}
    return burst, made


def _bad(given: Any, output: str, where: str) -> BadRows:
    if given is None:
        return BadRows()
    parts = {"share": given} if isinstance(given, int | float) else mapping(given, where, _BAD)
    allowed = [kind for kind in BAD_KINDS if output == "json" or kind not in IN_TEXT]
    kinds: Any = parts.get("kinds") or allowed
    weighted: dict[str, Any] = kinds if isinstance(kinds, dict) else dict.fromkeys(kinds, 1)
    for kind, weight in weighted.items():
        if kind in IN_TEXT and output != "json":
            raise IllegalArgumentError(f"{where}: {kind} needs output: json, for a column has values of its type")
        if kind not in BAD_KINDS or not isinstance(weight, int | float) or weight < 0:
            raise IllegalArgumentError(f"{where}: kinds has {kind!r}: {weight!r}; it may have {listed(allowed)}")
    return BadRows(
        share(parts.get("share", 0.01), f"{where}: share"), tuple(weighted), tuple(map(float, weighted.values()))
    )
