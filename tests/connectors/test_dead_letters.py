"""`riacho dead-letter`: letters are listed, read again, and never twice, whatever is cut off."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from typer.testing import CliRunner, Result

from riacho.cli.app import app
from riacho.connectors.bad_records import BadRecords
from riacho.dead_letters import DeadLetters, ReplayClaim, new_claim
from riacho.errors import IllegalArgumentError
from riacho.testing.servers import riacho_server
from tests.spec.support import rows

SCHEMA = '{"type":"struct","fields":[{"name":"id","type":"long","nullable":true,"metadata":{}}]}'


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with riacho_server(tmp_path_factory.mktemp("letters")) as server:
        yield server.url


@pytest.fixture
def spark(remote: str) -> Iterator[SparkSession]:
    session = SparkSession.builder.remote(remote).create()
    yield session
    session.stop()


@pytest.fixture
def table(tmp_path: Path) -> str:
    """Letters of two endpoints."""
    folder = tmp_path / "letters"
    for endpoint, values in (("orders", ['{"id":"1"}', '{"id":"two"}', "{"]), ("it's", ['{"id":3.5}'])):
        records = BadRecords(
            "dead_letter", str(folder), f"ingest/{endpoint}", "ingest", {"endpoint": endpoint, "schema_json": SCHEMA}
        )
        with records.collecting() as letters:
            for place, value in enumerate(values):
                letters.add(value.encode(), f"{place:020}", f"field id of {endpoint}")
    return str(folder)


def ask(remote: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["dead-letter", *arguments, "--remote", remote], env={"COLUMNS": "120"})


def test_letters_are_listed_and_shown(remote: str, table: str) -> None:
    listed = ask(remote, "list", table)
    assert listed.exit_code == 0, listed.stderr
    assert "ingest/orders" in listed.stdout
    assert '{"id":"two"}' in listed.stdout
    found = json.loads(ask(remote, "list", table, "--format", "json", "--source", "ingest/it's").stdout)
    assert [(each["source"], each["reason"]) for each in found] == [("ingest/it's", "field id of it's")]
    shown = ask(remote, "show", table, found[0]["id"][:6])
    assert "field id of it's" in shown.stdout
    assert "endpoint=it's" in shown.stdout
    assert ask(remote, "show", table, found[0]["id"], "--raw").stdout_bytes == b'{"id":3.5}'
    assert "No letter has an id like zz" in ask(remote, "show", table, "zz").stderr


def test_what_can_be_read_now_is_replayed_once(remote: str, spark: SparkSession, table: str, tmp_path: Path) -> None:
    into = str(tmp_path / "orders")
    replay = ("replay", table, "--into", into)
    unread = ask(remote, *replay, "--yes")
    assert unread.exit_code == 1
    assert "4" in unread.stdout
    assert "stay: field id: expected a whole number" in unread.stdout
    asked = ask(remote, *replay, "--schema", "id STRING")
    assert "add --yes" in asked.stderr
    done = ask(remote, *replay, "--schema", "id STRING", "--yes")
    assert done.exit_code == 0, done.stderr
    assert f"3 letters replayed into {into}" in " ".join(done.stdout.split())
    again = ask(remote, *replay, "--schema", "id STRING", "--yes")
    assert again.exit_code == 1  # what is left still cannot be read
    assert rows(spark.read.format("delta").load(into)) == [("1",), ("3.5",), ("two",)]
    (left,) = DeadLetters(spark, table).letters()
    assert bytes(left["raw"]) == b"{"
    assert left["reason"].startswith("it is not JSON")  # what is wrong now


@pytest.mark.parametrize("written", [False, True])
def test_a_replay_that_was_cut_off_is_finished_by_the_next(
    remote: str, spark: SparkSession, table: str, tmp_path: Path, written: bool
) -> None:
    """After its claim, and after its write: its rows are there once."""
    into = str(tmp_path / "orders")
    letters = DeadLetters(spark, table)
    claim = new_claim(into, spark.createDataFrame([], "id STRING").schema, {})
    again = letters.reread(letters.waiting(), claim)
    assert len(again.good) == 3

    class Cut(DeadLetters):
        def _update(self, what: str, which: str) -> None:
            if what.startswith("replayed"):
                raise InterruptedError
            super()._update(what, which)

        def finish(self, claim: object) -> int:
            if not written:
                raise InterruptedError
            return super().finish(claim)  # type: ignore[arg-type]

    with pytest.raises(InterruptedError):
        Cut(spark, table).replay(claim, again)
    assert letters.unfinished() == [claim]
    assert letters.waiting().num_rows == 1
    next_one = ask(remote, "replay", table, "--into", into, "--yes")
    assert "finished a replay that was cut off: 3 letters" in " ".join(next_one.stderr.split())
    assert letters.unfinished() == []
    assert rows(spark.read.format("delta").load(into)) == [("1",), ("3.5",), ("two",)]


def test_two_replays_at_the_same_time_share_the_letters(spark: SparkSession, table: str, tmp_path: Path) -> None:
    into = str(tmp_path / "orders")
    letters = DeadLetters(spark, table)
    schema = spark.createDataFrame([], "id STRING").schema
    first, second = new_claim(into, schema, {}), new_claim(into, schema, {})
    again = letters.reread(letters.waiting(), first)
    assert (letters.replay(first, again), letters.replay(second, again)) == (3, 0)
    assert spark.read.format("delta").load(into).count() == 3


def test_a_replay_that_another_one_finishes_leaves_nothing_out(spark: SparkSession, table: str, tmp_path: Path) -> None:
    """The other one may come at any moment: it finds all of a claim or nothing, however many letters there are."""
    into = str(tmp_path / "orders")
    with BadRecords("dead_letter", table, "many", "ingest", {"schema_json": SCHEMA}).collecting() as more:
        for number in range(1200):
            more.add(b'{"id":"x"}', f"{number}", "field id")
    other = DeadLetters(spark, table)

    class Watched(DeadLetters):
        """After each of its commits comes the other one."""

        def _merge(self, *told: Any) -> None:
            super()._merge(*told)
            self._others()

        def _update(self, what: str, which: str) -> None:
            self._others()
            super()._update(what, which)

        def _others(self) -> None:
            for each in other.unfinished():
                other.finish(each)

    letters = Watched(spark, table)
    claim = new_claim(into, spark.createDataFrame([], "id STRING").schema, {})
    again = letters.reread(letters.waiting(), claim)
    assert letters.replay(claim, again) in (0, 1203)
    letters.tell(again.bad)
    assert spark.read.format("delta").load(into).count() == 1203
    assert (letters.unfinished(), other.waiting().num_rows) == ([], 1)
    history = spark.sql(f"DESCRIBE HISTORY delta.`{table}`").where("operation IN ('MERGE', 'UPDATE')")
    assert history.count() <= 4


def test_a_target_that_does_not_take_the_rows_claims_nothing(
    remote: str, spark: SparkSession, table: str, tmp_path: Path
) -> None:
    other = str(tmp_path / "other")
    spark.range(1).write.format("delta").save(other)
    for into, says in (("nowhere.orders", "nowhere"), (other, "id")):
        failed = ask(remote, "replay", table, "--into", into, "--schema", "id STRING, x STRING", "--yes")
        assert (failed.exit_code, says in failed.stderr) == (1, True)
    assert DeadLetters(spark, table).waiting().num_rows == 4
    assert spark.read.format("delta").load(other).count() == 1
    # One whose target went away later says how to go on.
    claim = ReplayClaim("c", "nowhere.orders", SCHEMA.replace("long", "string"))
    spark.sql(f"UPDATE delta.`{table}` SET replay = r'{claim.text}' WHERE length(raw) > 1").collect()
    told = " ".join(ask(remote, "replay", table, "--into", other, "--yes").stderr.split())
    assert "a replay into nowhere.orders was cut off and cannot be finished" in told
    spark.sql(f"UPDATE delta.`{table}` SET replay = NULL WHERE replayed IS NULL").collect()
    assert ask(remote, "replay", table, "--into", str(tmp_path / "o"), "--schema", "id STRING", "--yes").exit_code == 0


def test_what_came_from_outside_does_not_reach_the_terminal_as_it_is(remote: str, tmp_path: Path) -> None:
    table = str(tmp_path / "letters")
    with BadRecords("dead_letter", table, "x", "ingest", {"schema_json": SCHEMA}).collecting() as letters:
        letters.add(b"\x1b[31mred\x1b]0;title\x07\r\xff", "0", "not \x1b[5mJSON")
    for listed in (ask(remote, "list", table), ask(remote, "replay", table, "--into", str(tmp_path / "o"))):
        assert "\x1b" not in listed.stdout
    (letter,) = json.loads(ask(remote, "list", table, "--format", "json").stdout)
    shown = ask(remote, "show", table, letter["id"]).stdout
    assert r"\x1b[31mred\x1b]0;title\x07\r\xff" in shown
    assert "\x1b" not in shown
    assert "No letter has an id like %" in ask(remote, "show", table, "%").stderr


def test_what_is_wrong_is_said(remote: str, spark: SparkSession, table: str, tmp_path: Path) -> None:
    other = str(tmp_path / "other")
    spark.range(1).write.format("delta").save(other)
    assert "is no table of dead letters" in ask(remote, "list", other).stderr
    records = BadRecords("dead_letter", table, "x", "faker", {})
    with records.collecting() as letters:
        letters.add(b"x", "0", "y")
    with pytest.raises(IllegalArgumentError, match="cannot read a single record again"):
        DeadLetters(spark, table).reread(DeadLetters(spark, table).waiting("x"), new_claim(other, None, {}))
