"""Servers and workers that are killed at steps of a batch, and interfaces that stop meanwhile: every record once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql.types import StringType, StructType

from riacho.connectors.faker.source import settings_of
from riacho.dead_letters import DeadLetters, new_claim
from riacho.server.streaming.batch import BatchStep
from tests.connectors.rest_server import Asked, Reply, RestServer
from tests.spec.support import finish, until

ROOT = Path(__file__).resolve().parents[2]
VICTIM = Path(__file__).with_name("connector_victim.py")
LIMIT_S = 90
SIZE, PAGES = 5, 3


def run(folder: Path, form: str, options: dict[str, str], schema: str, *orders: str) -> int:
    command = [sys.executable, str(VICTIM), str(folder), form, json.dumps(options), schema, *orders]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
    return subprocess.run(command, timeout=LIMIT_S, check=False, env=environment).returncode


def column(folder: Path, name: str) -> list[Any]:
    return sorted(DeltaTable(folder / "table").to_pyarrow_table(columns=[name])[name].to_pylist())


class Changing:
    """Events in pages, each with the number of the answer that had it: another one each time it is asked for."""

    def __init__(self) -> None:
        self.answers = 0
        self.given: dict[int, list[int]] = {}

    def __call__(self, asked: Asked) -> Any:
        self.answers += 1
        page = int(asked.query["page"])
        found = range((page - 1) * SIZE, min(page * SIZE, SIZE * PAGES - 1))
        for number in found:
            self.given.setdefault(number, []).append(self.answers)
        return [{"id": number, "answer": self.answers} for number in found]


def options_for(rest: RestServer, changing: Changing) -> dict[str, str]:
    return {
        "url": rest.on("/events", changing), "paging": "page", "paging.size": str(SIZE), "pagesPerBatch": "1",
        "cursor": "id", "key": "id", "retryWait": "10ms",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("victim", "step", "spooled"),
    [
        ("server", BatchStep.PLANNED, False),
        ("server", BatchStep.LOGGED, False),
        ("server", BatchStep.LOGGED, True),
        ("server", BatchStep.READ, False),
        ("workers", BatchStep.PLANNED, False),
        ("workers", BatchStep.LOGGED, True),
    ],
)
def test_a_kill_loses_and_doubles_nothing(
    tmp_path: Path, rest: RestServer, victim: str, step: BatchStep, spooled: bool
) -> None:
    changing = Changing()
    options = options_for(rest, changing)
    if spooled:
        options["spoolLocation"] = str(tmp_path / "spool")
    first = run(tmp_path, "rest", options, "id BIGINT, answer BIGINT", victim, step.value, "1")
    assert first == (-signal.SIGKILL if victim == "server" else 1)
    assert run(tmp_path, "rest", options, "id BIGINT, answer BIGINT") == 0
    assert column(tmp_path, "id") == list(range(SIZE * PAGES - 1))
    table = DeltaTable(tmp_path / "table").to_pyarrow_table()
    by_id = dict(zip(table["id"].to_pylist(), table["answer"].to_pylist(), strict=True))
    assert all(answer in changing.given[number] for number, answer in by_id.items())
    assert len({by_id[number] for number in range(SIZE, 2 * SIZE)}) == 1


@pytest.mark.parametrize("step", [BatchStep.RAN.value, BatchStep.WRITTEN.value])
def test_a_batch_that_was_logged_is_not_asked_for_again(tmp_path: Path, rest: RestServer, step: str) -> None:
    changing = Changing()
    options = options_for(rest, changing)
    assert run(tmp_path, "rest", options, "id BIGINT, answer BIGINT", "server", step, "1") == -signal.SIGKILL
    assert run(tmp_path, "rest", options, "id BIGINT, answer BIGINT") == 0
    assert column(tmp_path, "id") == list(range(SIZE * PAGES - 1))
    assert [len(changing.given[number]) for number in (0, SIZE)] == [2, 2]  # once more at the look after the restart
    assert len(DeltaTable(tmp_path / "table").history()) == PAGES


@pytest.mark.parametrize(("victim", "step"), [("server", BatchStep.WRITTEN), ("workers", BatchStep.LOGGED)])
def test_made_up_rows_come_once(tmp_path: Path, victim: str, step: BatchStep) -> None:
    fields = {"n": "sequence", "id": "uuid", "name": "name"}
    options = {"fields": json.dumps(fields), "rowsPerBatch": "40", "count": "100", "numPartitions": "2"}
    first = run(tmp_path, "faker", options, "", victim, step.value, "1")
    assert first == (-signal.SIGKILL if victim == "server" else 1)
    assert run(tmp_path, "faker", options, "") == 0
    made = settings_of(options).generator(0).batch(0, 100)
    assert column(tmp_path, "n") == list(range(100))
    assert column(tmp_path, "id") == sorted(made["id"].to_pylist())
    assert column(tmp_path, "name") == sorted(made["name"].to_pylist())


def test_an_interface_that_stops_and_comes_back(connectors: SparkSession, tmp_path: Path) -> None:
    """It is away in the middle of a batch, for less than the retries last."""
    tmp_path.chmod(0o777)
    with RestServer() as own:
        asked_twice = threading.Event()

        def handler(asked: Asked) -> Any:
            page = int(asked.query["page"])
            if page == 2 and not asked_twice.is_set():
                asked_twice.set()
                return Reply([], hang_s=60)
            return [{"id": 3 * page + number} for number in range(3)] if page < 3 else []

        options = {"paging": "page", "retryWait": "50ms", "retries": "30", "readTimeout": "60s"}
        source = connectors.readStream.format("rest").schema("id INT").option("url", own.on("/x", handler))
        writer = source.options(**options).load().writeStream.format("delta").trigger(availableNow=True)
        query = writer.option("checkpointLocation", str(tmp_path / "c")).start(str(tmp_path / "table"))
        until(query, asked_twice.is_set)
        own.stop()
        own.start()
        finish(query)
    found = connectors.read.format("delta").load(str(tmp_path / "table"))
    assert sorted(row.id for row in found.collect()) == [3, 4, 5, 6, 7, 8]


@pytest.mark.riacho_only
def test_what_does_not_fit_is_kept_and_replayed(connectors: SparkSession, rest: RestServer, tmp_path: Path) -> None:
    """The dead letters of an answer, once, however often it is read; without secrets."""
    records = [{"id": 1}, {"id": "two", "note": "s3same"}, {"id": 3}, {}]
    letters = tmp_path / "letters"
    reader = connectors.read.format("rest").schema("id INT").option("url", rest.on("/mixed", records))
    reader = reader.options(bad_data="dead_letter", bad_data_path=str(letters), required="id", auth="bearer")
    frame = reader.option("auth.token", "s3same").load()
    for _ in range(2):
        assert sorted(row.id for row in frame.collect()) == [1, 3]
    kept = connectors.read.format("delta").load(str(letters)).orderBy("position").collect()
    assert [(bytes(row.raw), row.position) for row in kept] == [
        (b'{"id":"two","note":"***"}', f"{rest.url}/mixed page 1 record 2"),
        (b"{}", f"{rest.url}/mixed page 1 record 4"),
    ]
    assert [row.reason for row in kept] == [
        'field id: expected a whole number (int32), got "two"', "field id: it is required, and missing or null",
    ]  # fmt: skip
    assert "s3same" not in str(kept)
    dead = DeadLetters(connectors, str(letters))
    claim = new_claim(str(tmp_path / "mended"), StructType().add("id", StringType()), {"required": ""})
    assert dead.reread(dead.waiting(), new_claim("x", None, {})).good == []
    assert dead.replay(claim, dead.reread(dead.waiting(), claim)) == 2
    mended = connectors.read.format("delta").load(str(tmp_path / "mended"))
    assert sorted(mended.collect(), key=str) == [("two",), (None,)]
