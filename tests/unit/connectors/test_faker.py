"""Rows of a description: independent of how they are cut; rates that add up; examples of the documentation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from riacho.connectors.faker import draws, rows
from riacho.connectors.faker.description import BAD_KINDS, read
from riacho.connectors.faker.expressions import Expression
from riacho.connectors.faker.generator import RowGenerator
from riacho.connectors.faker.kinds import KINDS
from riacho.connectors.faker.rates import DAY_US, Burst, Rates
from riacho.errors import IllegalArgumentError

DOCS = Path(__file__).parents[3] / "docs"
START_US = 1_767_225_600_000_000
ACCESSES = (DOCS / "faker.md").read_text().partition("```yaml\n")[2].partition("```")[0]


@pytest.fixture(scope="module")
def accesses() -> RowGenerator:
    return RowGenerator(read(yaml.safe_load(ACCESSES), "accesses.yml"), START_US)


def test_the_example_of_the_page(accesses: RowGenerator) -> None:
    batch = accesses.batch(0, 5000)
    assert batch.schema.names == ["_id", "id", "access_timestamp", "device", "content_type", "location"]
    assert set(batch["device"].drop_null().to_pylist()) == {"TV", "smartphone", "desktop", "tablet", "console"}
    bot = batch.filter(pa.array([user in ("1", "2", "3") for user in batch["id"].to_pylist()]))
    minutes = [stamp.hour * 60 + stamp.minute for stamp in bot["access_timestamp"].drop_null().to_pylist()]
    assert sum(70 <= minute < 75 for minute in minutes) > 700


def test_the_page_has_every_kind() -> None:
    page = (DOCS / "faker.md").read_text()
    assert [kind for kind in (*KINDS, *BAD_KINDS) if f"`{kind}`" not in page] == []


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=5), st.integers(0, 200_000))
def test_rows_do_not_depend_on_how_they_are_cut(cuts: list[int], first: int) -> None:
    fields = {
        "n": "sequence", "u": "uuid", "x": {"type": "normal", "nulls": 0.1}, "t": {"type": "timestamp"},
        "l": {"type": "array", "of": "boolean", "max": 2}, "s": {"fields": {"z": {"type": "zipf", "values": 9}}},
    }  # fmt: skip
    burst = {"at": "1m", "for": "2m", "rate": 9, "fields": {"n": {"type": "constant", "value": -1}}}
    given_ = {"fields": fields, "bad": 0.2, "bursts": [burst], "profile": {"0": 3}, "rate": 7}
    generator = RowGenerator(read(given_, "x"), START_US)
    bounds = sorted({first, *(first + cut for cut in cuts), first + 3000})
    pieces = [batch for begin, end in zip(bounds, bounds[1:], strict=False) for batch in generator.batches(begin, end)]  # noqa: RUF007
    whole = RowGenerator(read(given_, "x"), START_US).batch(first, first + 3000)
    assert pa.Table.from_batches(pieces).combine_chunks().equals(pa.Table.from_batches([whole]))


@given(
    st.floats(0.01, 1000),
    st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=24, max_size=24).filter(any),
    st.lists(st.tuples(st.integers(0, 3 * 3600), st.integers(1, 7200), st.floats(0.1, 50), st.booleans()), max_size=2),
    st.integers(0, 2 * 86_400),
)
def test_times_and_counts_agree(
    rate: float, profile: list[float], bursts: list[tuple[int, int, float, bool]], second: int
) -> None:
    made = tuple(
        Burst(at * 1_000_000, length * 1_000_000, more, DAY_US if again else 0) for at, length, more, again in bursts
    )
    rates = Rates(START_US, rate, tuple(profile), made)
    time_us = START_US + second * 1_000_000
    count = rates.rows_before(time_us)
    around = np.arange(max(count - 3, 0), count + 3)
    times = rates.times(around)
    assert (np.diff(times) >= 0).all()
    assert all(
        (time < time_us) == (row < count) for row, time in zip(around, times, strict=True) if abs(time - time_us) > 2
    )


def test_draws_have_the_distribution_they_should() -> None:
    many = np.arange(200_000)
    assert abs(draws.unit(draws.key_of("a"), many).mean() - 0.5) < 0.005
    assert abs(draws.normal(draws.key_of("b"), many).std() - 1) < 0.01
    counts = np.bincount(draws.below(draws.key_of("c"), many, 7))
    assert counts.min() > 27_500
    correlation = np.corrcoef(draws.unit(1, many), draws.unit(2, many))[0, 1]
    assert abs(correlation) < 0.01
    assert draws.bits(draws.key_of("seed", "field"), np.arange(2)).tolist() == [
        4352745627132636403,
        13284089104097460017,
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a + 1", [2, 3]), ("a / 2", [0.5, 1.0]), ("a % 2", [1, 0]), ("-a", [-1, -2]), ("a * 2 - 1", [1, 3]),
        ("'x' if a > 1 else 'y'", ["y", "x"]), ("f'{a}-{s}'", ["1-é b", "2-C"]), ("ascii(lower(s))", ["e.b", "c"]),
        ("s + '!'", ["é b!", "C!"]), ("len(s)", [3, 1]), ("not a == 1 and True", [False, True]), ("s[0:1]", ["é", "C"]),
        ("round(a / 3, 1)", [0.3, 0.7]), ("max(a, 2)", [2, 2]), ("replace(upper(s), 'B', 'x')", ["É x", "C"]),
        ("-7 * a // 2", [-4, -7]), ("7 * a // -2", [-4, -7]), ("-7 * a % 4", [1, 2]), ("7.5 * a // 2", [3.0, 7.0]),
        ("7 * a % -4", [-1, -2]), ("int(-2.5 * a)", [-2, -5]), ("s[-1:]", ["b", "C"]),
    ],
)  # fmt: skip
def test_expressions(text: str, value: list[object]) -> None:
    columns = {"a": pa.array([1, 2]), "s": pa.array(["é b", "C"])}
    assert Expression(text, "x").evaluate(columns.__getitem__, 2).to_pylist() == value


WRONG = (
    "a * 9223372036854775807", "9223372036854775807 + a", "10 ** 10 ** 10", "10 ** 30 + a", "int(a * 1e30)", "a // 0",
    "f'{a:.2f}'", "f'{s!r}'", "s[::2]", "s[0:a]", "round(a, a)", "upper()", "hour(s)",
)  # fmt: skip
"""Whole numbers that are too large, and what Python has and this has not: nothing of it is passed over."""


@pytest.mark.parametrize("text", ["a ** 's'", "lambda: 1", "[a]", "a if a else", "x.y.z()", "s - 1", *WRONG])
def test_expressions_that_cannot_be_computed(text: str) -> None:
    columns = {"a": pa.array([1, 2]), "s": pa.array(["é b", "C"])}
    with pytest.raises(IllegalArgumentError, match="the expression"):
        Expression(text, "x").evaluate(columns.__getitem__, 2)


def test_rows_without_spark() -> None:
    (batch,) = rows(10, 13, fields={"n": "sequence", "t": "timestamp"}, rate="2", start="2026-02-01")
    assert batch["n"].to_pylist() == [10, 11, 12]
    assert str(batch["t"].to_pylist()[0]) == "2026-02-01 00:00:05+00:00"
