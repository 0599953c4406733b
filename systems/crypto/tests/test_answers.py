"""The answers, worked out a second time from what was sent, in plain Python and DuckDB."""

from __future__ import annotations

import json
import statistics
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import groupby, pairwise
from pathlib import Path

import duckdb
import pytest
from pyspark.sql import SparkSession

from riacho.testing.systems import Row, columns, ordered, rows
from systems.crypto.tests.conftest import Queue

QUOTES = """
CREATE TABLE quote AS
SELECT DISTINCT coin, symbol, name, currency, price::DECIMAL(28,14) AS price, market_cap, volume_24h,
  try_cast(last_updated AS TIMESTAMP) AS moment
FROM read_json($file, format = 'newline_delimited', columns = {
  coin: 'VARCHAR', symbol: 'VARCHAR', name: 'VARCHAR', currency: 'VARCHAR', price: 'VARCHAR', market_cap: 'DOUBLE',
  volume_24h: 'DOUBLE', last_updated: 'VARCHAR'})
WHERE price::DOUBLE > 0 AND try_cast(last_updated AS TIMESTAMP) IS NOT NULL;
"""

ANSWERS = {
    "gold.market": """
        SELECT coin, arg_max(symbol, moment), arg_max(name, moment), currency, arg_max(price, moment),
          arg_max(market_cap, moment), arg_max(volume_24h, moment), max(moment)
        FROM quote GROUP BY coin, currency""",
    "gold.candles": """
        SELECT coin, currency, minutes, time_bucket(to_minutes(minutes), moment) AS start,
          arg_min(price, moment), max(price), min(price), arg_max(price, moment), arg_max(volume_24h, moment), count(*)
        FROM quote, (VALUES (1), (5), (15)) AS l(minutes) GROUP BY ALL""",
}


@pytest.fixture
def again(tables: SparkSession, queue: Queue, tmp_path: Path) -> duckdb.DuckDBPyConnection:
    """The quotes as a few lines of DuckDB make them from what was sent."""
    file = tmp_path / "quotes.json"
    file.write_text("\n".join(json.dumps(quote) for quote in queue.quotes if isinstance(quote, dict)))
    found = duckdb.connect()
    found.execute("SET TimeZone = 'UTC'")
    found.execute(QUOTES, {"file": str(file)})
    return found


@pytest.mark.parametrize("table", ANSWERS)
def test_every_answer_is_the_one_worked_out_apart(
    tables: SparkSession, again: duckdb.DuckDBPyConnection, table: str
) -> None:
    assert comparable(rows(tables, table)) == comparable(again.execute(ANSWERS[table]).fetchall())


def comparable(found: list[Row]) -> list[Row]:
    """Moments without their zone, which is UTC for both."""
    return ordered([tuple(v.replace(tzinfo=None) if isinstance(v, datetime) else v for v in row) for row in found])


def test_indicators_are_those_of_plain_python(tables: SparkSession, again: duckdb.DuckDBPyConnection) -> None:
    candles = again.execute(
        f"SELECT coin, currency, start, close FROM ({ANSWERS['gold.candles']}) AS c"
        "(coin, currency, minutes, start, open, high, low, close, volume, n) WHERE minutes = 1 ORDER BY 1, 2, 3"
    ).fetchall()
    expected = {}
    for (coin, currency), group in groupby(candles, key=lambda candle: candle[:2]):
        minutes = list(group)
        closes = [candle[3] for candle in minutes]
        changes: list[Decimal | None] = [None]
        changes += [percent(after, before) for before, after in pairwise(closes)]
        for place, (_, _, start, close) in enumerate(minutes):
            known = [float(change) for change in changes[max(0, place - 19) : place + 1] if change is not None]
            expected[coin, currency, start] = (
                close,
                changes[place],
                mean(closes[max(0, place - 4) : place + 1]),
                mean(closes[max(0, place - 19) : place + 1]),
                statistics.stdev(known) if len(known) > 1 else None,
            )

    assert ("volatility_20", "double") in columns(tables, "gold.indicators")
    found = {
        (row[0], row[1], row[2].replace(tzinfo=None)): row[3:] for row in comparable(rows(tables, "gold.indicators"))
    }
    assert found.keys() == expected.keys()
    for key, (close, change, average_5, average_20, volatility) in expected.items():
        assert found[key][:2] == (close, change), key
        assert [float(value) for value in found[key][2:4]] == pytest.approx([float(average_5), float(average_20)])
        assert found[key][4] == (None if volatility is None else pytest.approx(volatility, abs=2e-6)), key


def percent(after: Decimal, before: Decimal) -> Decimal:
    return (100 * (after - before) / before).quantize(Decimal("0.000001"), ROUND_HALF_UP)


def mean(values: list[Decimal]) -> Decimal:
    return sum(values, Decimal()) / len(values)


def test_movers_are_those_of_the_last_hour(tables: SparkSession, again: duckdb.DuckDBPyConnection) -> None:
    moved = again.execute(
        """SELECT coin, arg_max(price, moment), arg_min(price, moment) FROM quote
        WHERE moment > (SELECT max(moment) FROM quote) - INTERVAL 1 HOUR GROUP BY coin"""
    ).fetchall()
    expected = sorted(((abs(percent(now, before)), coin) for coin, now, before in moved), key=lambda m: (-m[0], m[1]))

    found = tables.sql("SELECT coin, change_percent FROM gold.movers ORDER BY position").collect()
    assert [row.coin for row in found] == [coin for _, coin in expected]
    assert [abs(row.change_percent) for row in found] == [change for change, _ in expected]


def test_every_message_is_somewhere_and_says_why(
    tables: SparkSession, queue: Queue, again: duckdb.DuckDBPyConnection
) -> None:
    arrived, valid, aside, once = (
        tables.table(name).count()
        for name in ("bronze.quotes", "silver.valid_quotes", "silver.valid_quotes_quarantine", "silver.quotes")
    )
    assert arrived == valid + aside == len(queue.quotes)
    assert (once,) == again.execute("SELECT count(*) FROM quote").fetchone()

    wrong = tables.sql("SELECT _quarantine.rules AS rules FROM silver.valid_quotes_quarantine").collect()
    rules = [set(row.rules) for row in wrong]
    quotes = [quote for quote in queue.quotes if isinstance(quote, dict)]
    assert rules.count({"has_price"}) == sum(quote["price"] is None for quote in quotes) > 10
    assert rules.count({"readable_time"}) == sum(quote["last_updated"] == "a minute ago" for quote in quotes) > 10
    assert rules.count({"readable", "has_price", "readable_time"}) == 1


def test_the_figures_that_a_reader_looks_at_first(tables: SparkSession, queue: Queue) -> None:
    """As they are, so that both ways cannot go wrong together."""
    candles = tables.sql("SELECT minutes, count(*) AS n, sum(quotes) AS q FROM gold.candles GROUP BY minutes").collect()

    assert (tables.table("bronze.quotes").count(), tables.table("silver.quotes").count()) == (7_252, 7_105)
    assert {row.minutes: (row.n, row.q) for row in candles} == {1: (1_000, 7_105), 5: (200, 7_105), 15: (75, 7_105)}


def test_the_questions_can_be_asked(tables: SparkSession) -> None:
    from riacho.cli.answers import questions

    asked = questions(Path(__file__).parents[1])

    assert len(asked) == 4
    for question in asked:
        assert tables.sql(question.sql).collect(), question.title


def test_the_market_stands_at_its_newest_quotes(tables: SparkSession, queue: Queue) -> None:
    newest = max(
        datetime.fromisoformat(quote["last_updated"])
        for quote in queue.quotes
        if isinstance(quote, dict) and quote["price"] and quote["last_updated"] != "a minute ago"
    )
    (found,) = tables.sql("SELECT max(last_updated) AS moment FROM gold.market").collect()
    assert found.moment.replace(tzinfo=UTC) - newest < timedelta(milliseconds=1)
