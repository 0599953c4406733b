"""Materialized views are what their queries give, whatever was done to the tables they read since the last run.

Riacho keeps them up to date from the changes where it can; its commits tell which way it took.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from tests.spec.pipelines.support import Project
from tests.spec.support import rows, write_text

QUERIES = {
    "kept": "SELECT id + 1 AS next, name, price FROM sales WHERE amount > 1",
    "named": "SELECT s.id, s.name, i.place FROM sales s LEFT JOIN items i ON s.name = i.name",
    "inner_named": "SELECT s.id, i.place FROM sales s JOIN items i ON s.name = i.name",
    "unnamed": "SELECT s.id FROM sales s LEFT ANTI JOIN items i ON s.name = i.name",
    "pairs": "SELECT a.id, b.id AS other FROM sales a JOIN sales b ON a.name = b.name AND a.id < b.id",
    "both": "WITH n AS (SELECT name FROM items UNION ALL SELECT name FROM sales) SELECT upper(name) AS name FROM n",
    "chained": "SELECT next * 2 AS twice FROM kept",
    "counted": "SELECT name, count(*) AS n, sum(amount) AS amount, max(id) AS last FROM sales GROUP BY name",
    "often": "SELECT name, avg(amount) AS mean, sum(price) AS paid FROM sales GROUP BY name HAVING count(*) > 1",
    "mean_price": "SELECT name, avg(price) AS price FROM sales GROUP BY name",
    "total": "SELECT name, sum(CAST(amount AS DECIMAL(38, 0))) AS total FROM sales GROUP BY name",
    "as_json": "SELECT to_json(struct(*)) AS row FROM (SELECT id, name, price FROM sales)",
    "in_all": "SELECT count(*) AS n, min(amount) AS least, count_if(amount > 2) AS many FROM sales",
    "by_place": (
        "SELECT i.place, sum(s.amount) AS amount, sum(s.price) AS price "
        "FROM sales s JOIN items i ON s.name = i.name WHERE s.amount IS NOT NULL GROUP BY i.place"
    ),
    "share": (
        "WITH c AS (SELECT name, count(*) AS n, max(id) AS last FROM sales GROUP BY name) "
        "SELECT c.name, c.n * 100 / (d.n + 1) AS share FROM c JOIN c AS d ON c.last = d.last"
    ),
    "by_day": "SELECT date(at) AS day, bool_or(amount > 2) AS big, min(name) AS first FROM sales GROUP BY date(at)",
    "floats": "SELECT name, sum(weight) AS weight, max(weight) AS heaviest FROM sales GROUP BY name",
    "distinct_names": "SELECT DISTINCT name, amount FROM sales",
    "newest": (
        "SELECT id, name FROM (SELECT *, row_number() OVER (PARTITION BY name ORDER BY id DESC) AS r FROM sales) "
        "WHERE r = 1"
    ),
}
VIEWS = [f"CREATE MATERIALIZED VIEW {name} AS {query}" for name, query in QUERIES.items()]
SALES = "id BIGINT, name STRING, amount INT, price DECIMAL(9, 2), weight DOUBLE, at TIMESTAMP"


@pytest.fixture
def shop(project: Project, spark: SparkSession) -> Project:
    spark.sql(f"CREATE TABLE {project.database}.sales ({SALES}) USING delta")
    spark.sql(f"CREATE TABLE {project.database}.items (name STRING, place STRING) USING delta")
    spark.sql(f"INSERT INTO {project.database}.items VALUES ('a', 'top'), ('b', 'top'), ('c', 'low')")
    sell(project, (1, "a", 1), (2, "b", 2), (3, "a", 3))
    return project


def sell(project: Project, *sales: tuple[int, str | None, int | None]) -> None:
    values = ", ".join(
        f"({id_}, {_sql(name)}, {_sql(amount)}, {_sql(amount)} * 1.25, {_sql(amount)} / 3.0D, "
        f"TIMESTAMP'2024-01-0{1 + id_ % 3} 10:00:00')"
        for id_, name, amount in sales
    )
    project.spark.sql(f"INSERT INTO {project.database}.sales VALUES {values}")


def _sql(value: object) -> str:
    return "NULL" if value is None else repr(value)


def require_right(project: Project, names: Sequence[str] = tuple(QUERIES)) -> None:
    """Each view has the rows and the types that its query has now."""
    project.spark.sql(f"USE {project.database}")
    for name in names:
        want, have = project.spark.sql(QUERIES[name]), project.spark.table(name)
        assert have.dtypes == want.dtypes, name
        if name == "floats":
            assert [row[0] for row in rows(have)] == [row[0] for row in rows(want)]
        else:
            assert Counter(rows(have)) == Counter(rows(want)), name


def test_views_follow_what_they_read(shop: Project) -> None:
    assert shop.run(*VIEWS).completed
    require_right(shop)
    sell(shop, (4, "a", 4), (5, "c", 5), (6, None, None), (7, "new", 1))
    assert shop.run(*VIEWS).completed
    require_right(shop)
    shop.spark.sql(f"UPDATE {shop.database}.sales SET amount = 9 WHERE id = 4")
    shop.spark.sql(f"DELETE FROM {shop.database}.sales WHERE id = 1")
    assert shop.run(*VIEWS).completed
    require_right(shop)
    sell(shop, (8, "c", 2))
    shop.spark.sql(f"INSERT INTO {shop.database}.items VALUES ('new', 'far'), ('c', 'high')")
    assert shop.run(*VIEWS).completed
    require_right(shop)


def test_a_view_whose_query_changes_has_the_rows_of_the_new_one(shop: Project) -> None:
    assert shop.run("CREATE MATERIALIZED VIEW v AS SELECT id FROM sales WHERE id < 3").completed
    sell(shop, (4, "a", 1))
    assert shop.run("CREATE MATERIALIZED VIEW v AS SELECT id FROM sales WHERE id > 2").completed
    assert shop.table("v") == [(3,), (4,)]
    assert shop.run("CREATE MATERIALIZED VIEW v AS SELECT id, name FROM sales WHERE id > 2").completed
    assert shop.table("v") == [(3, "a"), (4, "a")]


def test_a_table_that_was_made_anew_is_another_table(shop: Project) -> None:
    view = "CREATE MATERIALIZED VIEW v AS SELECT id FROM sales"
    assert shop.run(view).completed
    shop.spark.sql(f"DROP TABLE {shop.database}.sales")
    shop.spark.sql(f"CREATE TABLE {shop.database}.sales ({SALES}) USING delta")
    sell(shop, (7, "a", 1))
    sell(shop, (8, "a", 1))
    assert shop.run(view).completed
    assert shop.table("v") == [(7,), (8,)]


def test_rows_that_others_write_into_a_view_are_gone_after_a_run(shop: Project) -> None:
    view = "CREATE MATERIALIZED VIEW v AS SELECT id FROM sales"
    assert shop.run(view).completed
    shop.spark.sql(f"INSERT INTO {shop.database}.v VALUES (77)")
    sell(shop, (4, "a", 1))
    assert shop.run(view).completed
    assert shop.table("v") == [(1,), (2,), (3,), (4,)]


def writes(project: Project, view: str) -> list[str]:
    """The modes in which a view was written, the oldest first."""
    history = project.spark.sql(f"DESCRIBE HISTORY {project.database}.{view}").collect()
    return [row.operationParameters["mode"] for row in reversed(history) if row.operation == "WRITE"]


def ways(project: Project) -> dict[str, set[str]]:
    """How each view was refreshed last, as the event log says: the views by the way."""
    events = project.spark.read.format("delta").load(f"{project.storage}/system/events")
    planned = events.where("event_type = 'planning_information'").orderBy("sequence.data_plane_id.seq_no")
    last: dict[str, str] = {}
    for row in planned.collect():
        for found in json.loads(row.details)["planning_information"].get("technique_information", []):
            last[row.origin.flow_name.rpartition(".")[2]] = found["maintenance_type"]
    by_way: dict[str, set[str]] = {}
    for view, way in last.items():
        by_way.setdefault(way.removeprefix("MAINTENANCE_TYPE_"), set()).add(view)
    return by_way


ROWS = {"kept", "named", "inner_named", "unnamed", "pairs", "both", "chained", "as_json"}
GROUPS = {"counted", "often", "in_all", "by_place", "share", "by_day", "distinct_names", "total"}


@pytest.mark.riacho_only
def test_only_what_is_new_is_computed_and_written(shop: Project) -> None:
    assert shop.run(*VIEWS).completed
    assert shop.run(*VIEWS).completed
    assert ways(shop) == {"NO_OP": set(QUERIES)}
    assert all(writes(shop, view) == ["Overwrite"] for view in QUERIES)
    sell(shop, (4, "a", 4))
    assert shop.run(*VIEWS).completed
    assert ways(shop) == {"APPEND_ONLY": ROWS, "COMPLETE_RECOMPUTE": set(QUERIES) - ROWS}
    assert {view for view in QUERIES if writes(shop, view) == ["Overwrite", "Append"]} == ROWS - {"unnamed"}
    sell(shop, (5, "c", 5), (6, "x", 6))
    assert shop.run(*VIEWS).completed
    assert ways(shop) == {
        "APPEND_ONLY": ROWS,
        "GROUP_AGGREGATE": GROUPS,
        "COMPLETE_RECOMPUTE": set(QUERIES) - ROWS - GROUPS,
    }
    require_right(shop)
    shop.spark.sql(f"INSERT INTO {shop.database}.items VALUES ('x', 'far')")
    assert shop.run(*VIEWS).completed
    assert ways(shop)["NO_OP"] >= {"kept", "counted"}
    assert ways(shop)["APPEND_ONLY"] == {"inner_named", "both", "pairs"}, "pairs: of the sales that made no pair before"
    assert ways(shop)["GROUP_AGGREGATE"] == {"by_place"}
    assert ways(shop)["COMPLETE_RECOMPUTE"] == {"named", "unnamed"}
    require_right(shop)
    assert shop.run(*VIEWS, full_refresh=["kept"]).completed
    assert "kept" in ways(shop)["COMPLETE_RECOMPUTE"]
    off = {"riacho.pipelines.incrementalViews.enabled": "false"}
    assert shop.run(*VIEWS, conf=off).completed
    assert ways(shop) == {"COMPLETE_RECOMPUTE": set(QUERIES)}
    assert shop.run(*VIEWS).completed
    assert ways(shop) == {"COMPLETE_RECOMPUTE": set(QUERIES) - {"unnamed"}, "NO_OP": {"unnamed"}}, "that one is empty"
    shop.spark.conf.set("riacho.pipelines.incrementalViews.enabled", "false")
    assert shop.run(*VIEWS[:1]).completed
    assert ways(shop)["COMPLETE_RECOMPUTE"] >= {"kept"}


@pytest.mark.riacho_only
def test_the_change_feed_of_a_view_has_what_became_of_its_rows(shop: Project) -> None:
    """A grouping writes the rows that differ: they leave and come; the others are not in the feed."""
    feed = "TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')"
    view = f"CREATE MATERIALIZED VIEW v {feed} AS SELECT name, sum(amount) AS amount FROM sales GROUP BY name"
    for id_ in (4, 5):
        assert shop.run(view).completed
        sell(shop, (id_, "b", 1))
    assert shop.run(view).completed
    latest = shop.spark.sql(f"DESCRIBE HISTORY {shop.database}.v LIMIT 1").collect()[0].version
    changes = shop.spark.read.option("readChangeFeed", "true").option("startingVersion", latest)
    frame = changes.table(f"{shop.database}.v").select("_change_type", "name", "amount")
    assert rows(frame) == [("delete", "b", 3), ("insert", "b", 4)]


@pytest.mark.riacho_only
def test_a_sorted_view_is_written_in_its_order(shop: Project) -> None:
    view = "CREATE MATERIALIZED VIEW v AS SELECT name, count(*) AS n FROM sales GROUP BY name ORDER BY name DESC"
    for id_, name in ((4, "z"), (5, "m"), (6, "b")):
        assert shop.run(view).completed
        sell(shop, (id_, name, 1))
    assert shop.run(view).completed
    assert [row.name for row in shop.spark.table(f"{shop.database}.v").collect()] == ["z", "m", "b", "a"]


@pytest.mark.riacho_only
def test_what_is_not_the_same_each_time_is_computed_anew(shop: Project) -> None:
    shop.spark.udf.register("twice", lambda n: n * 2, "bigint")
    views = [
        "CREATE MATERIALIZED VIEW timed AS SELECT id, current_timestamp() AS at FROM sales",
        "CREATE MATERIALIZED VIEW drawn AS SELECT id, rand() AS r FROM sales",
        "CREATE MATERIALIZED VIEW user_made AS SELECT twice(id) AS id FROM sales",
    ]
    for _ in range(2):
        assert shop.run(*views).completed
    assert ways(shop) == {"COMPLETE_RECOMPUTE": {"timed", "drawn", "user_made"}}
    assert writes(shop, "timed") == writes(shop, "drawn") == ["Overwrite"] * 2
    assert writes(shop, "user_made") == ["Overwrite"], "it has the same rows"


@pytest.mark.riacho_only
def test_a_view_that_is_computed_anew_tells_its_readers_only_what_differs(shop: Project, tmp_path: Path) -> None:
    write_text(tmp_path / "places.csv", "a,top\nb,low\n")
    views = [
        f"CREATE MATERIALIZED VIEW places AS SELECT _c0 AS name, _c1 AS place FROM csv.`{tmp_path}/places.csv`",
        "CREATE MATERIALIZED VIEW placed AS SELECT s.id, p.place FROM sales s JOIN places p ON s.name = p.name",
    ]
    assert shop.run(*views).completed
    sell(shop, (4, "b", 1))
    assert shop.run(*views).completed
    assert ways(shop) == {"COMPLETE_RECOMPUTE": {"places"}, "APPEND_ONLY": {"placed"}}
    assert writes(shop, "places") == ["Overwrite"]
    write_text(tmp_path / "places.csv", "a,top\nb,low\nc,new\n")
    sell(shop, (5, "c", 1))
    assert shop.run(*views).completed
    assert ways(shop) == {"COMPLETE_RECOMPUTE": {"places"}, "APPEND_ONLY": {"placed"}}, "a place was added"
    assert shop.table("placed") == [(1, "top"), (2, "low"), (3, "top"), (4, "low"), (5, "new")]


CHANGES = st.sampled_from(
    [
        "INSERT INTO items VALUES ('a', 'side')",
        "DELETE FROM sales WHERE id % 3 = 0",
        "UPDATE sales SET amount = amount + 1 WHERE name = 'a'",
        "OPTIMIZE sales",
        "DELETE FROM items WHERE place = 'low'",
        "ALTER TABLE sales ADD COLUMNS (more STRING)",
        "DELETE FROM kept WHERE next < 3",
        "DELETE FROM counted WHERE n > 1",
        "OPTIMIZE counted",
        "SET spark.sql.session.timeZone = America/Sao_Paulo",
        "TRUNCATE TABLE items",
    ]
)
NEW_SALES = st.lists(
    st.tuples(
        st.integers(0, 20), st.sampled_from(["a", "b", "c", "d", None]), st.one_of(st.none(), st.integers(-5, 5))
    ),
    min_size=1,
    max_size=5,
)
STEPS = st.lists(st.one_of(NEW_SALES, NEW_SALES, CHANGES), min_size=1, max_size=3)


@pytest.mark.riacho_only
@settings(
    max_examples=5,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(STEPS, min_size=2, max_size=4))
def test_any_history(project: Project, spark: SparkSession, history: list[list[object]]) -> None:
    database = project.database
    for table in ("sales", "items", *QUERIES):
        spark.sql(f"DROP TABLE IF EXISTS {database}.{table}")
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    spark.sql(f"CREATE TABLE {database}.sales ({SALES}) USING delta")
    spark.sql(f"CREATE TABLE {database}.items (name STRING, place STRING) USING delta")
    outcome = project.run(*VIEWS)
    assert outcome.completed, (outcome.error, [e for e in outcome.events if "FAILED" in e])
    wide = False
    for steps in history:
        for step in steps:
            if isinstance(step, list) and wide:
                project.spark.sql(f"INSERT INTO {database}.sales (id, name) VALUES ({step[0][0]}, 'w')")
            elif isinstance(step, list):
                sell(project, *step)
            elif not (str(step).startswith("ALTER") and wide):
                wide = wide or str(step).startswith("ALTER")
                spark.sql(f"USE {database}")
                spark.sql(str(step))
        outcome = project.run(*VIEWS)
        assert outcome.completed, (outcome.error, [e for e in outcome.events if "FAILED" in e])
        require_right(project)
