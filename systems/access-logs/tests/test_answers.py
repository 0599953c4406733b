"""The answers, worked out a second time from what was posted, by DuckDB; and what a reader would look at, as it is."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pyspark.sql import SparkSession

from riacho.testing.systems import Row, ordered, rows

JUDGED = """
CREATE TABLE judged AS
SELECT *, try_cast(access_timestamp AS TIMESTAMP) AS moment
FROM read_json($file, format = 'newline_delimited', columns = {
  _id: 'VARCHAR', id: 'VARCHAR', access_timestamp: 'VARCHAR', device: 'VARCHAR', content_type: 'VARCHAR',
  location: 'STRUCT(country VARCHAR, city VARCHAR)'});

CREATE TABLE access AS
SELECT DISTINCT ON (_id) _id, id, moment, date_trunc('minute', moment) AS minute, device, content_type,
  location.country AS country, location.city AS city
FROM judged
WHERE id IS NOT NULL AND moment IS NOT NULL AND moment < $future
  AND device IN ('TV', 'smartphone', 'desktop', 'tablet', 'console')
  AND content_type IN ('movie', 'series', 'documentary');
"""

ANSWERS = {
    "gold.accesses_per_minute": "SELECT minute, count(*) FROM access GROUP BY ALL",
    "gold.peak_minutes": """
        WITH m AS (SELECT minute, count(*) AS n FROM access GROUP BY ALL),
          d AS (SELECT minute::DATE AS day, median(n) AS middle FROM m GROUP BY ALL)
        SELECT minute, n, middle FROM m JOIN d ON minute::DATE = day WHERE n >= 2 * middle""",
    "gold.audience_per_minute": "SELECT minute, device, content_type, count(*) FROM access GROUP BY ALL",
    "gold.audience_total": "SELECT device, content_type, count(*) FROM access GROUP BY ALL",
    "gold.places_per_minute": "SELECT minute, country, city, count(*) FROM access GROUP BY ALL",
    "gold.places_total": "SELECT country, city, count(*) FROM access GROUP BY ALL",
    "gold.report_peak_hours": """
        SELECT hour(minute)::INT, count(*), count(DISTINCT minute), round(count(*) / count(DISTINCT minute), 2),
          rank() OVER (ORDER BY count(*) / count(DISTINCT minute) DESC)::INT
        FROM access GROUP BY hour(minute)""",
    "gold.report_devices": """
        SELECT device, count(*), round(100 * count(*) / (SELECT count(*) FROM access), 1),
          rank() OVER (ORDER BY count(*) DESC)::INT
        FROM access GROUP BY device""",
    "gold.report_content_by_region": """
        WITH c AS (SELECT country, content_type, count(*) AS n FROM access GROUP BY ALL)
        SELECT country, arg_max(content_type, n), max(n), round(100 * max(n) / sum(n), 1) FROM c GROUP BY country""",
}


@pytest.fixture
def again(tables: SparkSession, posted: Any, tmp_path: Path) -> duckdb.DuckDBPyConnection:
    """The accesses as a few lines of DuckDB make them from all that was posted."""
    file = tmp_path / "events.json"
    file.write_text("\n".join(json.dumps(event) for event in posted.events))
    found = duckdb.connect()
    found.execute("SET TimeZone = 'UTC'")
    # Nothing but the events with times ahead is dated later than this.
    first, second = JUDGED.split(";\n\n")
    found.execute(first, {"file": str(file)})
    found.execute(second, {"future": (posted.start + timedelta(minutes=32)).replace(tzinfo=None)})
    return found


@pytest.mark.parametrize("table", ANSWERS)
def test_every_answer_is_the_one_worked_out_apart(
    tables: SparkSession, again: duckdb.DuckDBPyConnection, table: str
) -> None:
    assert comparable(rows(tables, table)) == comparable(again.execute(ANSWERS[table]).fetchall())


def comparable(found: list[Row]) -> list[Row]:
    """Moments without their zone, which is UTC for both."""
    return ordered([tuple(v.replace(tzinfo=None) if hasattr(v, "tzinfo") else v for v in row) for row in found])


def test_every_event_is_somewhere(tables: SparkSession, posted: Any, again: duckdb.DuckDBPyConnection) -> None:
    arrived, valid, aside, once = (
        tables.table(name).count()
        for name in ("bronze.accesses", "silver.valid_accesses", "silver.valid_accesses_quarantine", "silver.accesses")
    )
    (accesses,) = again.execute("SELECT count(*) FROM access").fetchone() or (None,)

    assert arrived == len(posted.events)
    assert valid + aside == arrived
    assert once == accesses


def test_what_is_set_aside_says_why(tables: SparkSession, posted: Any) -> None:
    expected: Counter[str] = Counter()
    for event in posted.events:
        broken = {
            "known_device": event["device"] == "refrigerator",
            "known_content_type": event["content_type"] == "clip",
            "has_user": event["id"] is None,
            "readable_time": event["access_timestamp"] == "yesterday",
        }
        expected.update(rule for rule, is_broken in broken.items() if is_broken)
    found: Counter[str] = Counter()
    for row in tables.sql("SELECT _quarantine.rules AS rules FROM silver.valid_accesses_quarantine").collect():
        found.update(row.rules)

    ahead = found.pop("not_in_the_future")
    assert ahead > 10
    assert found == expected


def test_the_attack_is_found_with_its_users_and_its_country(tables: SparkSession, posted: Any) -> None:
    """Fifteen minutes in, eight users made 3,000 accesses a minute for two minutes."""
    first = (posted.start + timedelta(minutes=15)).replace(tzinfo=None)
    found = tables.sql("SELECT minute, rule, accesses, score, users, countries FROM gold.anomalies").collect()

    for rule in ("limit", "history"):
        minutes = {row.minute.replace(tzinfo=None) for row in found if row.rule == rule}
        assert {first, first + timedelta(minutes=1)} <= minutes
        assert len(minutes) <= 3, "the minute after it has late accesses of the attack at most"
    attacked = next(row for row in found if row.rule == "history" and row.minute.replace(tzinfo=None) == first)
    assert attacked.accesses > 3_000
    assert attacked.score > 40
    assert attacked.countries[0].country == "United States"
    assert [user.accesses for user in attacked.users] == pytest.approx([375] * 5, abs=25)


def test_the_figures_that_a_reader_looks_at_first(tables: SparkSession) -> None:
    """As they are, so that both ways cannot go wrong together."""
    devices = {row.device: row.share for row in tables.table("gold.report_devices").collect()}
    watched = {row.country: row.content_type for row in tables.table("gold.report_content_by_region").collect()}

    assert (tables.table("bronze.accesses").count(), tables.table("silver.accesses").count()) == (24_406, 23_635)
    assert devices == {"desktop": 40.1, "TV": 20.6, "smartphone": 20.4, "tablet": 11.2, "console": 7.8}
    assert watched == {
        "Argentina": "series", "Brazil": "series", "Mexico": "series", "Portugal": "movie", "United States": "movie",
    }  # fmt: skip


def test_the_questions_can_be_asked(tables: SparkSession) -> None:
    from riacho.cli.answers import questions

    asked = questions(Path(__file__).parents[1])

    assert len(asked) == 7
    for question in asked:
        assert tables.sql(question.sql).collect(), question.title
