"""`riacho events` and `riacho status`, end to end; and the same facts on riacho and on Spark."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from riacho import event_log
from riacho.cli.child import serving
from riacho.event_log import EventFilter, UpdateFacts, last_update, latest, table_of, wanted
from tests.systems.test_cli import SPEC
from tests.systems.test_quarantine import Shop

RULES = """
CREATE STREAMING TABLE sound (
  id BIGINT, price BIGINT, name STRING,
  CONSTRAINT positive EXPECT (price > 0) ON VIOLATION DROP ROW,
  CONSTRAINT named EXPECT (name IS NOT NULL) ON VIOLATION QUARANTINE ROW
) AS SELECT * FROM STREAM raw WHERE id > 0;
CREATE MATERIALIZED VIEW total AS SELECT count(*) AS n, max({column}) AS price FROM sound;
"""
ROWS = "VALUES (0L, 1L, 'z'), (1L, 5L, 'a'), (2L, -5L, 'b'), (3L, 50L, NULL)"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A project that has run once without a fault."""
    folder = tmp_path_factory.mktemp("shop")
    project = folder / "shop"
    (project / "transformations").mkdir(parents=True)
    storage = (folder / "storage").as_uri()
    (project / "spark-pipeline.yml").write_text(SPEC.replace("file:///tmp/not-used-with-a-warehouse", storage))
    (project / "setup.sql").write_text(
        "CREATE TABLE IF NOT EXISTS raw (id BIGINT, price BIGINT, name STRING);"
        f"INSERT INTO raw SELECT * FROM ({ROWS}) WHERE NOT EXISTS (SELECT 1 FROM raw);"
    )
    with serving(folder / "warehouse") as child:
        made = Shop(folder, child.url())
        made.edit(RULES.format(column="price"))
        assert "the pipeline has not run" not in made.do("status", code=1).stderr
        made.do("run")
        yield made


def test_before_the_first_run_there_is_nothing(shop: Shop) -> None:
    told = shop.do("events", "--storage", str(shop.folder / "nowhere"), code=1).stderr
    assert "there is no event log in file://" in told


def test_events_are_chosen(shop: Shop) -> None:
    lines = shop.do("events").stdout.splitlines()
    assert lines[-1].endswith("Run is COMPLETED.")
    assert not any("METRICS" in line for line in lines)
    figures = shop.do("events", "--level", "metrics", "--flow", "sound").stdout.splitlines()
    (at,) = (number for number, line in enumerate(figures) if "has committed batch" in line)
    assert figures[at + 1].strip().split(" · ") == ["4 in", "1 out", "1 quarantined", "1 dropped", "1 filtered"]

    found = [json.loads(line) for line in shop.do("events", "--json", "--type", "update_progress").stdout.splitlines()]
    assert [each["details"]["update_progress"]["state"] for each in found] == ["RUNNING", "COMPLETED"]
    one = shop.do("events", "--json", "--limit", "1").stdout
    assert json.loads(one)["message"] == "Run is COMPLETED."
    assert shop.do("events", "--since", "2030-01-01", "--json").stdout == ""
    assert shop.do("events", "--since", "1h", "--json", "--limit", "2").stdout.count("\n") == 2
    followed = shop.do("events", "--follow", "--timeout", "1s", "--limit", "3", "--json").stdout
    assert followed.count("\n") == 3
    assert "none of METRICS" in shop.do("events", "--level", "bad", code=2).stderr
    assert "no time" in shop.do("events", "--since", "bad", code=2).stderr


def test_a_status_says_where_the_rows_went(shop: Shop) -> None:
    lines = shop.do("status").stdout.splitlines()
    assert lines[0].startswith("✓")
    (flow,) = (line.split() for line in lines if line.split()[:2] == ["✓", "default.sound"])
    assert flow[2:8] == ["0", "4", "1", "1", "1", "1"]
    rules = [line.split()[-5:] for line in lines if line.rstrip().endswith("%")]
    assert rules == [["named", "2", "1", "66.67", "%"], ["positive", "2", "1", "66.67", "%"]]
    assert any(line.startswith("1 row quarantined") for line in lines)
    facts = json.loads(shop.do("status", "--json").stdout)
    assert (facts["state"], facts["is_well"]) == ("COMPLETED", True)


def facts(update: UpdateFacts | None) -> object:
    assert update is not None
    return update


def test_both_servers_read_the_same(shop: Shop, sessions: dict[str, SparkSession]) -> None:
    table = table_of((shop.folder / "storage").as_uri())
    (one, other) = (last_update(spark, table) for spark in sessions.values())
    assert facts(one) == facts(other)
    chosen = EventFilter("METRICS", flow="sound")
    (one_rows, other_rows) = (latest(wanted(event_log.read(s, table), chosen), 20) for s in sessions.values())
    assert one_rows == other_rows
    assert [row.id for row in one_rows]


def test_what_is_wrong_is_told_and_is_the_exit_code(shop: Shop) -> None:
    shop.edit(RULES.format(column="raise_error(CAST(price AS STRING))"))
    shop.do("run", "--conf", "spark.sql.pipelines.maxFlowRetryAttempts=0", code=1)
    told = shop.do("status", code=1)
    assert "✗ default.total" in told.stdout
    assert json.loads(shop.do("status", "--json", code=1).stdout)["is_well"] is False
    assert "FAILED" in shop.do("events", "--level", "ERROR").stdout
