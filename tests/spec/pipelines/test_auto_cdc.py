"""AUTO CDC flows: what is said of their arguments, what columns targets get, and SCD type 1.

Spark 4.2 applies changes only to tables whose connector has row-level operations, which Delta's has not; so what a
flow makes of its target is tested on riacho alone. The expected rows follow from Spark's `Scd1BatchProcessor`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import PySparkException, PySparkNotImplementedError
from pyspark.pipelines.graph_element_registry import get_active_graph_element_registry
from pyspark.pipelines.output import TemporaryView
from pyspark.pipelines.source_code_location import get_caller_source_code_location
from pyspark.pipelines.spark_connect_pipeline import create_dataflow_graph
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.connect.functions.builtin import col

from riacho import pipelines as dp
from riacho.protos import pb
from tests.spec.pipelines.support import Project
from tests.spec.support import write_json

SCHEMA = "id BIGINT, name STRING, seq BIGINT, op STRING"
FLOW: dict[str, Any] = {
    "target": "t",
    "source": "feed",
    "keys": ["id"],
    "sequence_by": "seq",
    "apply_as_deletes": "op = 'D'",
}


class Feed:
    """A pipeline over files of events, and one AUTO CDC flow."""

    def __init__(self, project: Project, folder: Path) -> None:
        self.project = project
        self._folder = folder
        self._files = 0
        self._folder.mkdir()

    def put(self, *events: tuple[Any, ...], columns: str = "id name seq op") -> None:
        """One more file of events."""
        rows = [{k: v for k, v in zip(columns.split(), event, strict=True) if v is not None} for event in events]
        write_json(self._folder / f"{self._files:03d}.json", rows)
        self._files += 1

    def define(self, schema: str = SCHEMA, one_by_one: bool = False) -> None:
        limit = {"maxFilesPerTrigger": "1"} if one_by_one else {}
        spark = self.project.spark

        @dp.table
        def feed() -> DataFrame:
            return spark.readStream.schema(schema).options(**limit).json(str(self._folder))

    def flow(self, schema: str = SCHEMA, **arguments: Any) -> Callable[[], None]:
        """The whole pipeline as a definition."""

        def define() -> None:
            self.define(schema)
            dp.create_streaming_table("t", format="delta")
            dp.create_auto_cdc_flow(**{**FLOW, **arguments})

        return define

    def rows(self, columns: str = "id, name") -> list[tuple[Any, ...]]:
        frame = self.project.spark.sql(f"SELECT {columns} FROM {self.project.database}.t ORDER BY id")
        return [tuple(row) for row in frame.collect()]

    def tombstones(self) -> list[tuple[Any, ...]]:
        table = f"{self.project.database}.__spark_autocdc_aux_state_t"
        deleted = self.project.spark.sql(f"SELECT id, __spark_autocdc_metadata.deleteSequence FROM {table} ORDER BY id")
        return [tuple(row) for row in deleted.collect()]


@pytest.fixture
def feed(project: Project, tmp_path: Path) -> Feed:
    project.spark.conf.set("spark.sql.pipelines.maxFlowRetryAttempts", "0")
    return Feed(project, tmp_path / "events")


@pytest.mark.parametrize(
    ("arguments", "condition"),
    [
        ({"keys": []}, "AUTOCDC_EMPTY_KEYS"),
        ({"keys": ["a.b"]}, "AUTOCDC_MULTIPART_COLUMN_IDENTIFIER"),
        ({"keys": [F.col("id") + 1]}, "AUTOCDC_NON_COLUMN_IDENTIFIER"),
        ({"column_list": [F.lit(1)]}, "AUTOCDC_NON_COLUMN_IDENTIFIER"),
        ({"column_list": ["id"], "except_column_list": ["op"]}, "AUTOCDC_BOTH_COLUMN_LIST_AND_EXCEPT_COLUMN_LIST"),
        ({"name": "a.b"}, "MULTIPART_FLOW_NAME_NOT_SUPPORTED"),
        ({"keys": ["nope"]}, "AUTOCDC_KEY_NOT_IN_SELECTED_SCHEMA"),
        ({"column_list": ["name"]}, "AUTOCDC_KEY_NOT_IN_SELECTED_SCHEMA"),
        ({"except_column_list": ["ID"]}, "AUTOCDC_KEY_NOT_IN_SELECTED_SCHEMA"),
        ({"column_list": ["id", "no", "nor"]}, "AUTOCDC_COLUMNS_NOT_FOUND_IN_SCHEMA"),
        ({"except_column_list": ["no"]}, "AUTOCDC_COLUMNS_NOT_FOUND_IN_SCHEMA"),
        ({"sequence_by": "nope"}, "UNRESOLVED_COLUMN"),
    ],
)
def test_arguments_that_are_wrong(feed: Feed, arguments: dict[str, Any], condition: str) -> None:
    outcome = feed.project.dry_run(feed.flow(**arguments))
    assert condition in str(outcome.error), outcome
    assert outcome.events == []


def test_texts_of_errors(feed: Feed) -> None:
    def text(**arguments: Any) -> str:
        return str(feed.project.dry_run(feed.flow(**arguments)).error)

    assert "got the multi-part identifier feed.id (parts: feed, id)." in text(keys=["feed.id"])
    assert (
        "Using case-insensitive column name comparison, the following columns are not present in the changeDataFeed "
        "schema: no, nor. Available columns: id, name, seq, op." in text(column_list=["no", "id", "nor"])
    )
    assert "the AutoCDC key column `a.b` is not present in the flow's selected source schema." in text(keys=["`a.b`"])


@pytest.mark.parametrize(
    "arguments",
    [
        {"keys": ["ID"]},
        {"keys": ["id", "name"], "column_list": ["NAME", "id"]},
        {"column_list": []},
        {"sequence_by": F.col("seq")},
        {"sequence_by": "struct(seq, name)", "apply_as_deletes": F.col("op") == "D"},
        {"sequence_by": "feed.seq", "name": "other", "stored_as_scd_type": "1"},
        {"apply_as_deletes": None, "stored_as_scd_type": 1},
    ],
    ids=str,
)
def test_arguments_that_are_right(feed: Feed, arguments: dict[str, Any]) -> None:
    outcome = feed.project.dry_run(feed.flow(**arguments))
    assert outcome.completed, outcome


def test_columns_of_the_source_that_are_reserved(feed: Feed) -> None:
    outcome = feed.project.dry_run(feed.flow(SCHEMA + ", __Spark_AutoCDC_x INT"))
    assert (
        "[AUTOCDC_RESERVED_COLUMN_NAME_PREFIX_CONFLICT] The column `__Spark_AutoCDC_x` in the changeDataFeed schema "
        "collides with the reserved AutoCDC column name prefix `__spark_autocdc_` (using case-insensitive column name "
        "comparison)." in str(outcome.error)
    )


def test_targets_that_are_wrong(feed: Feed) -> None:
    def second() -> None:
        feed.flow()()
        dp.create_auto_cdc_flow(**{**FLOW, "name": "second"})

    outcome = feed.project.dry_run(second)
    database = feed.project.database
    assert (
        f"[AUTOCDC_MULTIPLE_FLOWS_TO_TARGET] Invalid AutoCDC destination spark_catalog.{database}.t with multiple "
        f"flows: spark_catalog.{database}.second, spark_catalog.{database}.t." in str(outcome.error)
    )

    def missing() -> None:
        feed.define()
        dp.create_auto_cdc_flow(**FLOW)

    assert "Unsupported destination" in str(feed.project.dry_run(missing).error)

    def without_source() -> None:
        dp.create_streaming_table("t", format="delta")
        dp.create_auto_cdc_flow(**{**FLOW, "source": "missing"})

    failed = feed.project.dry_run(without_source)
    assert "TABLE_OR_VIEW_NOT_FOUND" in failed.events[0]
    assert f"Flows with errors: spark_catalog.{database}.t" in str(failed.error)


def test_columns_of_the_target(feed: Feed) -> None:
    feed.put((1, "a", 1, "U"))
    feed.project.run(feed.flow(column_list=["NAME", "id"], sequence_by="struct(seq, op)"))
    sequence = "struct<seq:bigint,op:string>"
    metadata = f"__spark_autocdc_metadata:struct<deleteSequence:{sequence},upsertSequence:{sequence}>"
    assert feed.project.columns("t") == f"struct<id:bigint,name:string,{metadata}>"


def test_messages_that_lack_something(feed: Feed) -> None:
    """What a client other than PySpark may leave out. The first thing that is wrong is what is said."""
    client = feed.project.spark.client
    graph = create_dataflow_graph(feed.project.spark, None, feed.project.database, {})
    flow = pb.PipelineCommand.DefineFlow
    columns: list[Any] = [col("a"), col("b.c")]
    a, nested = (column.to_plan(client) for column in columns)

    def said_of(**arguments: Any) -> str:
        command = pb.Command()
        details = flow.AutoCdcFlowDetails(**arguments)
        define = flow(dataflow_graph_id=graph, flow_name="t", target_dataset_name="t", auto_cdc_flow_details=details)
        command.pipeline_command.define_flow.CopyFrom(define)
        with pytest.raises(PySparkException) as caught:
            client.execute_command(command)
        return str(caught.value)

    assert "[AUTOCDC_MISSING_SOURCE]" in said_of(keys=[a], sequence_by=a)
    assert "[AUTOCDC_MISSING_SEQUENCE_BY]" in said_of(source="s")
    assert "[AUTOCDC_EMPTY_KEYS]" in said_of(source="s", sequence_by=a)
    both = said_of(source="s", sequence_by=a, column_list=[a], except_column_list=[nested])
    assert "[AUTOCDC_BOTH_COLUMN_LIST_AND_EXCEPT_COLUMN_LIST]" in both


@pytest.mark.parametrize("decorator", [dp.table, dp.materialized_view])
def test_targets_that_have_a_query(feed: Feed, decorator: Callable[..., Any]) -> None:
    spark = feed.project.spark

    def define() -> None:
        feed.define()

        @decorator
        def t() -> DataFrame:
            return spark.readStream.table("feed") if decorator is dp.table else spark.range(1)

        dp.create_auto_cdc_flow(**{**FLOW, "name": "other"})

    assert "[AUTOCDC_MULTIPLE_FLOWS_TO_TARGET]" in str(feed.project.dry_run(define).error)


def test_a_view_as_target_and_a_batch_as_source(feed: Feed) -> None:
    def into_view() -> None:
        feed.define()
        location = get_caller_source_code_location(stacklevel=0)
        view = TemporaryView(name="t", comment=None, source_code_location=location)
        get_active_graph_element_registry().register_output(view)
        dp.create_auto_cdc_flow(**FLOW)

    outcome = feed.project.dry_run(into_view)
    assert (
        "[INVALID_FLOW_QUERY_TYPE.AUTOCDC_RELATION_FOR_TEMPORARY_VIEW] Flow `t` returns an invalid relation type. "
        "AutoCDC flows must target a streaming table because their reconciliation semantics require a streaming-table "
        "sink, but the flow `t` attempts to write an AutoCDC relation to the temporary view `t`." in str(outcome.error)
    )

    def from_batch() -> None:
        @dp.temporary_view
        def feed() -> DataFrame:
            return spark.range(1).selectExpr("id", "id AS seq", "'U' AS op")

        dp.create_streaming_table("t", format="delta")
        dp.create_auto_cdc_flow(**FLOW)

    spark = feed.project.spark
    assert "[INCOMPATIBLE_BATCH_VIEW_READ] View `feed` is a batch view" in feed.project.dry_run(from_batch).events[0]


@pytest.mark.spark_only
def test_spark_does_not_change_delta_tables(feed: Feed) -> None:
    outcome = feed.project.run(feed.flow())
    assert "[AUTOCDC_TARGET_DOES_NOT_SUPPORT_MERGE]" in str(outcome.error)


@pytest.mark.spark_only
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"stored_as_scd_type": 2}, "stored_as_scd_type=2"),
        ({"ignore_null_updates": True}, "ignore_null_updates"),
        ({"ignore_null_updates_column_list": ["name"]}, "ignore_null_updates_column_list"),
        ({"apply_as_truncates": "op = 'T'"}, "apply_as_truncates"),
        ({"once": True}, "once"),
    ],
    ids=str,
)
def test_what_spark_cannot_do_is_refused_there(feed: Feed, arguments: dict[str, Any], named: str) -> None:
    outcome = feed.project.dry_run(feed.flow(**arguments))
    assert isinstance(outcome.error, PySparkNotImplementedError)
    assert f"only riacho can: {named}" in str(outcome.error)


@pytest.mark.riacho_only
def test_out_of_order_and_repeated(feed: Feed) -> None:
    feed.put((1, "a", 1, "U"), (2, "b", 2, None), (3, None, 5, "D"))
    assert feed.project.run(feed.flow()).completed
    assert feed.rows() == [(1, "a"), (2, "b")]
    assert feed.tombstones() == [(3, 5)], "a delete that came first"

    feed.put((1, None, 1, "D"), (2, None, 3, "D"), (3, "late", 4, "U"), (4, "one", 4, "U"), (4, "two", 4, "U"))
    assert feed.project.run(feed.flow()).completed
    assert feed.rows() == [(1, "a"), (4, "two")], "an upsert wins over a delete, the last of equal ones over others"
    assert feed.tombstones() == [(1, 1), (2, 3), (3, 5)]

    feed.put((3, "again", 5, "U"), (2, "late", 2, "U"), (4, "two", 4, "U"))
    assert feed.project.run(feed.flow()).completed
    assert feed.rows() == [(1, "a"), (3, "again"), (4, "two")]
    assert feed.rows("id, __spark_autocdc_metadata") == [(1, (None, 1)), (3, (None, 5)), (4, (None, 4))]
    assert feed.tombstones() == [(1, 1), (2, 3)]
    properties = feed.project.spark.sql(f"SHOW TBLPROPERTIES {feed.project.database}.__spark_autocdc_aux_state_t")
    assert {
        ("pipelines.autocdc.keyColumnNames", '["id"]'),
        ("pipelines.autocdc.scdType", "SCD1"),
    } <= {tuple(row) for row in properties.collect()}

    assert feed.project.run(feed.flow(), full_refresh=["t"]).completed
    assert feed.rows() == [(1, "a"), (3, "again"), (4, "two")]
    assert feed.tombstones() == [(2, 3)], "all in one batch: the newest event of each key alone counts"


@pytest.mark.riacho_only
def test_columns_that_come_and_go(feed: Feed) -> None:
    feed.put((1, "a", 1, "U"), (2, "b", 1, "U"))
    assert feed.project.run(feed.flow(except_column_list=["op"])).completed
    feed.put((1, "A", 2, "U", 10), (3, "c", 2, "U", 30), columns="id name seq op more")
    outcome = feed.project.run(feed.flow(SCHEMA + ", more INT", column_list=["id", "seq", "more"]))
    assert outcome.completed, outcome
    assert feed.rows("id, name, seq, more") == [(1, "a", 2, 10), (2, "b", 1, None), (3, None, 2, 30)]
    metadata = "__spark_autocdc_metadata:struct<deleteSequence:bigint,upsertSequence:bigint>"
    assert feed.project.columns("t") == f"struct<id:bigint,name:string,seq:bigint,{metadata},more:int>"


@pytest.mark.riacho_only
def test_keys_must_stay_as_they_are(feed: Feed) -> None:
    feed.put((1, "a", 1, "U"))
    assert feed.project.run(feed.flow()).completed
    drifted = feed.project.run(feed.flow(keys=["id", "name"]))
    auxiliary = f"spark_catalog.{feed.project.database}.__spark_autocdc_aux_state_t"
    assert (
        f"[AUTOCDC_INVALID_STATE.KEY_SCHEMA_DRIFT] AutoCDC flow spark_catalog.{feed.project.database}.t detected an "
        "invalid state: The AutoCDC flow's current key columns id BIGINT,name STRING do not match the keys recorded in "
        f"the auxiliary table {auxiliary} (recorded keys id BIGINT)." in str(drifted.error)
    )
    assert drifted.of("t")[-1] == "has FAILED more than 0 times and will not be restarted."
    assert feed.project.dry_run(feed.flow(keys=["name"])).completed
    assert feed.project.run(feed.flow(keys=["id", "name"]), full_refresh=["t"]).completed
    assert feed.rows() == [(1, "a")]
    feed.project.spark.sql(f"ALTER TABLE {auxiliary} UNSET TBLPROPERTIES ('pipelines.autocdc.keyColumnNames')")
    broken = feed.project.run(feed.flow(keys=["id", "name"]))
    assert "AUTOCDC_INVALID_STATE.AUXILIARY_TABLE_PROPERTY_MISSING" in str(broken.error)


@pytest.mark.riacho_only
@pytest.mark.parametrize(
    ("event", "arguments", "text"),
    [
        ((1, "a", None, "U"), {}, "NULL_SEQUENCE] "),
        ((None, None, 1, "U"), {"keys": ["id", "name"]}, "column(s): `id`=1, `name`=1."),
        ((1, "a", 1, "U"), {"sequence_by": "map(1, 2)"}, "non-orderable type map<int,int>."),
    ],
)
def test_batches_that_are_refused(feed: Feed, event: tuple[Any, ...], arguments: dict[str, Any], text: str) -> None:
    feed.put((1, "a", 1, "U"), event)
    outcome = feed.project.run(feed.flow(**arguments))
    assert "AUTOCDC_MICROBATCH_VALIDATION" in str(outcome.error), outcome
    assert text in str(outcome.error)
    assert f"table `spark_catalog`.`{feed.project.database}`.`t` in batch 0" in str(outcome.error)
    assert feed.rows("id") == []


@pytest.mark.riacho_only
def test_in_sql(feed: Feed) -> None:
    feed.put((1, "a", 1, "U"), (2, "b", 1, "U"), (2, None, 2, "D"))
    clauses = "KEYS (id) APPLY AS DELETE WHEN op = 'D' SEQUENCE BY seq COLUMNS * EXCEPT (op, seq) STORED AS SCD TYPE 1"
    outcome = feed.project.run(
        feed.define,
        f"""CREATE OR REFRESH STREAMING TABLE t FLOW AUTO CDC FROM STREAM(feed) {clauses};
        CREATE STREAMING TABLE u;
        CREATE FLOW f AS AUTO CDC INTO u FROM feed {clauses};
        CREATE STREAMING TABLE v;
        APPLY CHANGES INTO v FROM STREAM feed {clauses};
        CREATE STREAMING TABLE w;
        CREATE FLOW g AS AUTO CDC ONCE INTO w FROM feed {clauses};
        CREATE MATERIALIZED VIEW below AS SELECT count(*) AS n FROM t""",
    )
    assert outcome.completed, outcome
    for table in "tuvw":
        assert project_rows(feed, table) == [(1, "a")], table
    assert feed.project.table("below") == [(1,)]


@pytest.mark.riacho_only
@pytest.mark.parametrize(
    ("clauses", "text"),
    [
        ("SEQUENCE BY seq KEYS (id)", "near 'SEQUENCE': missing 'KEYS'; the clauses of AUTO CDC are"),
        ("KEYS (id)", "near end of input: missing 'SEQUENCE BY'; the clauses of AUTO CDC are"),
        ("KEYS (id) KEYS (id) SEQUENCE BY seq", "near 'KEYS': missing 'SEQUENCE BY'; the clauses"),
        ("KEYS (id) SEQUENCE BY seq APPLY AS DELETE WHEN op = 'D'", "near 'APPLY': the clauses of AUTO CDC are"),
        ("KEYS (id) SEQUENCE BY seq STORED AS SCD TYPE 1 COLUMNS id, seq", "near 'COLUMNS': the clauses of AUTO CDC"),
        ("KEYS (id, `ID`) SEQUENCE BY seq", "the AutoCDC flow names this key twice. Name each key once."),
    ],
)
def test_clauses_that_are_wrong(feed: Feed, clauses: str, text: str) -> None:
    statement = f"CREATE STREAMING TABLE t FLOW AUTO CDC FROM STREAM feed {clauses}"
    assert text in str(feed.project.dry_run(feed.define, statement).error)


def project_rows(feed: Feed, table: str) -> list[tuple[Any, ...]]:
    frame = feed.project.spark.sql(f"SELECT id, name FROM {feed.project.database}.{table} ORDER BY id")
    return [tuple(row) for row in frame.collect()]


@pytest.mark.riacho_only
def test_partitions_constraints_and_the_change_feed_of_a_target(feed: Feed, spark: SparkSession) -> None:
    def define() -> None:
        feed.define()
        properties = {"delta.enableChangeDataFeed": "true", "delta.constraints.named": "name <> 'bad'"}
        dp.create_streaming_table("t", format="delta", partition_cols=["op"], table_properties=properties)
        dp.create_auto_cdc_flow(**FLOW)

    feed.put((1, "a", 1, "U"), (2, "b", 1, "I"))
    assert feed.project.run(define).completed
    feed.put((1, "A", 2, "I"), (2, None, 2, "D"), (3, "c", 2, "U"))
    assert feed.project.run(define).completed
    assert feed.rows("id, name, op") == [(1, "A", "I"), (3, "c", "U")]
    reader = spark.read.option("readChangeFeed", "true").option("startingVersion", 2)
    changes = reader.table(f"{feed.project.database}.t").select("id", "name", "_change_type")
    assert [tuple(row) for row in changes.sort("id", "_change_type").collect()] == [
        (1, "A", "update_postimage"),
        (1, "a", "update_preimage"),
        (2, "b", "delete"),
        (3, "c", "insert"),
    ]
    feed.put((4, "bad", 3, "U"))
    assert "CONSTRAINT" in str(feed.project.run(define).error).upper()


@pytest.mark.riacho_only
def test_the_event_log_says_what_became_of_events(feed: Feed) -> None:
    def define() -> None:
        feed.define()
        dp.create_streaming_table("t")
        dp.create_auto_cdc_flow(**FLOW)

    feed.put((1, "a", 2, "U"), (1, "old", 1, "U"), (2, "b", 1, "D"))
    assert feed.project.run(define).completed
    feed.put((1, "late", 1, "U"), (1, None, 3, "D"), (3, "c", 3, "U"))
    assert feed.project.run(define).completed
    log = feed.project.spark.sql(f"SELECT * FROM delta.`{feed.project.storage}/system/events`")
    told = log.where("origin.flow_name LIKE '%.t' AND origin.flow_id IS NOT NULL").sort("origin.batch_id").collect()
    counts = []
    for row in told:
        details = json.loads(row.details)["flow_progress"]
        rows = details["row_ledger"]
        counts.append((details["metrics"], [rows[k] for k in ("rows_in", "out", "late", "duplicate", "balance")]))
    assert [(m["num_upserted_rows"], m["num_deleted_rows"], rows) for m, rows in counts] == [
        (1, 1, [3, 2, 0, 1, "BALANCED"]),
        (1, 1, [3, 2, 0, 1, "BALANCED"]),
    ]


@pytest.mark.riacho_only
def test_rules_of_a_target_are_about_its_events(feed: Feed) -> None:
    feed.put((1, "a", 1, "U"), (2, None, 1, "U"), (1, None, 2, "D"), (3, "c", 1, "U"), (3, "old", 0, "U"))
    outcome = feed.project.run(
        feed.define,
        """CREATE STREAMING TABLE t (CONSTRAINT named EXPECT (name IS NOT NULL) ON VIOLATION QUARANTINE ROW)
        FLOW AUTO CDC FROM feed KEYS (id) APPLY AS DELETE WHEN op = 'D' SEQUENCE BY seq COLUMNS id, name""",
    )
    assert outcome.completed, outcome
    assert feed.rows() == [(1, "a"), (3, "c")]
    quarantined = feed.project.spark.sql(f"SELECT id, _quarantine.rules FROM {feed.project.database}.t_quarantine")
    assert sorted((row[0], row[1]) for row in quarantined.collect()) == [(1, ["named"]), (2, ["named"])]
    columns = feed.project.spark.table(f"{feed.project.database}.t_quarantine").columns
    assert not [name for name in columns if name.startswith("__")], "what AUTO CDC adds for itself"
