"""REST interfaces as streams: what is new, what is kept in the checkpoint, and that nothing comes twice."""

from __future__ import annotations

import base64
import json
import re
import zlib
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from tests.connectors.rest_server import Asked, Reply, RestServer
from tests.spec.support import batches, finish, log_files, rows, until

FAST = {"retryWait": "10ms", "retries": "2", "pollInterval": "10ms"}
EVENTS = "id BIGINT, at TIMESTAMP"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o777)
    return tmp_path


def source(spark: SparkSession, url: str, schema: str = EVENTS, **options: Any) -> DataFrame:
    reader = spark.readStream.format("rest").schema(schema).option("url", url)
    return reader.options(**{**FAST, **options}).load()


def start(frame: DataFrame, folder: Path, **trigger: Any) -> StreamingQuery:
    writer = frame.writeStream.format("delta").option("checkpointLocation", str(folder / "checkpoint"))
    return (writer.trigger(**trigger) if trigger else writer).start(str(folder / "table"))


def run(frame: DataFrame, folder: Path) -> list[int]:
    """All that is there now; how many rows each batch had."""
    return batches(finish(start(frame, folder, availableNow=True)))


def ids(spark: SparkSession, folder: Path) -> list[int]:
    return sorted(row.id for row in spark.read.format("delta").load(str(folder / "table")).collect())


def event(number: int, minute: int | None = None) -> dict[str, Any]:
    return {"id": number, "at": f"2026-01-01T00:{number if minute is None else minute:02d}:00Z"}


class Events:
    """An interface that gives events from a time on, `size` a page."""

    def __init__(self, count: int, size: int = 4) -> None:
        self.events = [event(number) for number in range(count)]
        self.size = size

    def __call__(self, asked: Asked) -> Any:
        since = asked.query.get("since", "")
        page = int(asked.query.get("page", 1))
        found = sorted((e for e in self.events if e["at"] >= since), key=lambda e: str(e["at"]))
        return found[(page - 1) * self.size : page * self.size]


INCREMENTAL = {"cursor": "at", "cursor.parameter": "since", "paging": "page", "pagesPerBatch": "1"}


def test_only_what_is_new_comes(connectors: SparkSession, rest: RestServer, folder: Path) -> None:
    events = Events(10)
    frame = source(connectors, rest.on("/events", events), **INCREMENTAL)
    assert run(frame, folder) == [4, 4, 2]
    assert run(frame, folder) == []
    assert rest.asked[-2].query == {"since": "2026-01-01T00:09:00Z", "page": "1"}
    events.events += [event(10, 9), event(11)]  # one more at the time that was the latest
    assert run(frame, folder) == [2]
    assert ids(connectors, folder) == list(range(12))
    offsets = folder / "checkpoint" / "offsets"
    newest = json.loads((offsets / log_files(offsets)[-1]).read_text().splitlines()[-1])
    assert (newest["rows"], newest["looking"]) in {(2, True), (2, False), (0, False)}


def test_a_lag_catches_what_is_late_and_exclusive_drops_ties(
    connectors: SparkSession, rest: RestServer, folder: Path
) -> None:
    events = Events(5, size=100)
    url = rest.on("/events", events)
    late = source(connectors, url, **INCREMENTAL, **{"cursor.lag": "2m", "cursor.initial": "2026-01-01T00:01:00Z"})
    assert run(late, folder) == [4]
    assert rest.asked[0].query["since"] == "2026-01-01T00:01:00Z"
    events.events += [event(20, 2), event(21, 1)]
    assert run(late, folder) == [1]
    assert rest.asked[-2].query["since"] == "2026-01-01T00:02:00Z"
    assert ids(connectors, folder) == [1, 2, 3, 4, 20]
    exclusive = {**INCREMENTAL, "cursor.inclusive": "false", "cursor.format": "epoch_ms", "paging": "none"}
    rest.on("/all", lambda asked: events.events)
    other = folder / "other"
    assert run(source(connectors, rest.url + "/all", **exclusive), other) == [7]
    events.events += [event(30, 4), event(31, 5)]
    assert run(source(connectors, rest.url + "/all", **exclusive), other) == [1]
    assert rest.asked[-1].query == {"since": "1767225840000"}


def test_snapshots_without_a_cursor_come_again(connectors: SparkSession, rest: RestServer, folder: Path) -> None:
    prices = [{"id": 1, "at": "2026-01-01T00:00:00Z"}, {"id": 1, "at": "2026-01-01T00:00:00Z"}, {"id": 2, "at": None}]
    url = rest.on("/prices", lambda asked: prices)
    frame = source(connectors, url, key="id")
    assert run(frame, folder) == [2]
    assert run(frame, folder) == [2]
    query = start(frame, folder)
    until(query, lambda: len(ids(connectors, folder)) >= 8)
    query.stop()


def test_a_look_that_was_cut_off_goes_on(connectors: SparkSession, rest: RestServer, folder: Path) -> None:
    """The pages before the failure are stored, and are not asked for again."""
    events = Events(16)
    broken = [True]

    def handler(asked: Asked) -> Any:
        return Reply("no", 500) if asked.query["page"] == "3" and broken[0] else events(asked)

    frame = source(connectors, rest.on("/events", handler), **INCREMENTAL)
    with pytest.raises(PySparkException, match="status 500: no"):
        run(frame, folder)
    assert ids(connectors, folder) == list(range(8))
    broken[0] = False
    rest.asked.clear()
    assert run(frame, folder) == [4, 4]
    assert [asked.query["page"] for asked in rest.asked][:3] == ["3", "4", "5"]
    assert ids(connectors, folder) == list(range(16))


def test_each_value_is_asked_once(connectors: SparkSession, rest: RestServer, folder: Path) -> None:
    """What a system does that fetches details of a growing list: a thousand requests, cut off and gone on with."""
    names = folder / "names.txt"
    names.write_text("\n".join(f"tt{number}" for number in range(6)))
    names.chmod(0o644)
    broken = [True]

    def handler(asked: Asked) -> Any:
        number = int(asked.path.rpartition("tt")[2])
        return Reply("no", 500) if number == 4 and broken[0] else {"id": number, "at": None}

    for number in range(9):
        rest.on(f"/title/tt{number}", handler)
    options = {"values": json.dumps({"id": f"@{names}"}), "poll": "once", "pagesPerBatch": "2", "concurrency": "2"}
    frame = source(connectors, rest.url + "/title/{id}", **options)
    with pytest.raises(PySparkException, match="tt4 failed: status 500"):
        run(frame, folder)
    broken[0] = False
    names.write_text("\n".join(f"tt{number}" for number in range(1, 9)))
    assert run(frame, folder) == [2, 2, 1]
    assert run(frame, folder) == []
    assert ids(connectors, folder) == list(range(9))
    assert {path: len(rest.of(path)) for path in rest.routes if "tt4" not in path and "tt5" not in path} == {
        f"/title/tt{number}": 1 for number in range(9) if number not in (4, 5)
    }


@pytest.mark.parametrize("spooled", [False, True])
def test_a_batch_that_is_run_again_does_not_ask_again(
    connectors: SparkSession, rest: RestServer, folder: Path, spooled: bool
) -> None:
    """The sink fails after the offset was logged; meanwhile the interface gives something else."""
    now = [100]
    url = rest.on("/now", lambda asked: [{"id": now[0], "at": None}])
    options = {"spoolLocation": str(folder / "spool")} if spooled else {}
    frame = source(connectors, url, **options)
    marker, seen = folder / "fails", folder / "seen"
    seen.mkdir()
    seen.chmod(0o777)
    marker.touch()

    def sink(batch: DataFrame, number: int) -> None:
        found = [row.id for row in batch.collect()]
        if Path(marker_path).exists():
            raise ValueError(f"no room for {found}")
        (Path(seen_path) / f"{number}").write_text(json.dumps(found))

    marker_path, seen_path = str(marker), str(seen)
    writer = frame.writeStream.foreachBatch(sink).option("checkpointLocation", str(folder / "checkpoint"))
    with pytest.raises(PySparkException, match="no room for"):
        finish(writer.trigger(availableNow=True).start())
    now[0] = 200
    marker.unlink()
    finish(writer.trigger(availableNow=True).start())
    assert json.loads((seen / "0").read_text()) == [100]
    assert json.loads((seen / "1").read_text()) == [200]
    if spooled:
        now[0] = 300
        finish(writer.trigger(availableNow=True).start())
        assert len(list((folder / "spool").glob("*.json.z"))) <= 2


def test_checkpoints_and_progress_hold_no_secrets(connectors: SparkSession, rest: RestServer, folder: Path) -> None:
    """Links of an answer repeat the key that they were asked with."""

    def handler(asked: Asked) -> Any:
        page = int(asked.query.get("page", 1))
        assert (asked.query["api_key"], asked.query["other"]) == ("s3same", "t0psecret")
        link = f"{rest.url}/linked?page={page + 1}&api_key=s3same&other=t0psecret&q=1"
        return {"items": [{"id": page, "at": None}], "next": link if page < 3 else None}

    options = {
        "paging": "link", "paging.path": "next", "records": "items", "pagesPerBatch": "1", "auth": "query",
        "auth.name": "api_key", "auth.value": "s3same", "parameters": '{"other": "${REST_SECRET:-t0psecret}", "q": 1}',
        "headers": "X-Token: t0psecret",
    }  # fmt: skip
    query = finish(start(source(connectors, rest.on("/linked", handler), **options), folder, availableNow=True))
    assert ids(connectors, folder) == [1, 2, 3]
    told = "".join(path.read_text(errors="replace") for path in (folder / "checkpoint").rglob("*") if path.is_file())
    told += "".join(progress.json for progress in query.recentProgress)
    offsets = re.findall(r'"data"[: \\"]+([A-Za-z0-9+/=]{40,})', told)
    assert len(offsets) >= 3
    whole = told + "".join(zlib.decompress(base64.b64decode(text)).decode() for text in offsets)
    assert "page=2" in whole
    assert not [secret for secret in ("s3same", "t0psecret") if secret in whole]


def test_numbers_come_through_the_checkpoint(connectors: SparkSession, rest: RestServer, folder: Path) -> None:
    """Decimals make all numbers be kept with their digits: floats and texts beside them, too."""
    url = rest.on("/prices", '[{"p": 0.1234567890123456789, "d": 1.5, "s": 2.50}]')
    frame = source(connectors, url, "p DECIMAL(38, 19), d DOUBLE, s STRING")
    assert run(frame, folder) == [1]
    row = connectors.read.format("delta").load(str(folder / "table")).collect()[0]
    assert (str(row.p), row.d, row.s) == ("0.1234567890123456789", 1.5, "2.50")
    raw = source(connectors, url, "value STRING", raw="true")
    run(raw, folder / "raw")
    found = connectors.read.format("delta").load(str(folder / "raw" / "table")).collect()
    assert [row.value for row in found] == ['{"p":0.1234567890123456789,"d":1.5,"s":2.50}']


def test_columns_are_inferred(connectors: SparkSession, rest: RestServer, folder: Path) -> None:
    reader = connectors.readStream.format("rest").options(**FAST)
    frame = reader.load(rest.on("/events", [{"id": 1, "o": {"x": [1.5]}}]))
    assert frame.schema.simpleString() == "struct<id:bigint,o:struct<x:array<double>>>"
    assert run(frame, folder) == [1]


def test_offsets_that_are_too_large_and_files_that_are_gone(
    connectors: SparkSession, rest: RestServer, folder: Path
) -> None:
    url = rest.on("/events", Events(4))
    with pytest.raises(PySparkException, match="Set spoolLocation to a folder"):
        run(source(connectors, url, maxOffsetBytes="100"), folder)
    wide = rest.on("/wide", lambda asked: [{"id": int(asked.query["page"]), "at": None, "x": token_hex(4000)}])
    paged = source(connectors, wide, paging="page", maxOffsetBytes="20000", **{"paging.pages": "5"})
    assert run(paged, folder / "wide") == [2, 2, 1]
    spool = {"spoolLocation": str(folder / "spool")}
    assert run(source(connectors, url, **INCREMENTAL, **spool), folder) == [4]
    for path in (folder / "spool").glob("*.json.z"):
        path.unlink()
    with pytest.raises(PySparkException, match="an answer that cannot be read in spoolLocation"):
        run(source(connectors, url, **INCREMENTAL, **spool), folder)


def test_looks_keep_their_distance(connectors: SparkSession, rest: RestServer, folder: Path) -> None:
    url = rest.on("/events", Events(2))
    query = start(source(connectors, url, pollInterval="1 hour"), folder)
    query.processAllAvailable()
    query.stop()
    assert len(rest.asked) == 1
    again = start(source(connectors, url, pollInterval="1 hour"), folder)
    again.processAllAvailable()
    again.stop()
    assert len(rest.asked) == 1
    assert rows(connectors.read.format("delta").load(str(folder / "table")).select("id")) == [(0,), (1,)]


def test_cursors_that_cannot_be_used(connectors: SparkSession, rest: RestServer, folder: Path) -> None:
    url = rest.on("/events", [{"id": 1}])
    with pytest.raises(PySparkException, match="no text or number at at, the cursor"):
        run(source(connectors, url, cursor="at"), folder)
    rest.on("/mixed", [{"id": 1, "at": 5}, {"id": 2, "at": "2026-01-01"}, {"id": 3, "at": "x"}])
    with pytest.raises(PySparkException, match="cannot be compared"):
        run(source(connectors, rest.url + "/mixed", cursor="at"), folder)


@pytest.mark.riacho_only
def test_what_would_leave_records_out_or_double_them(connectors: SparkSession, rest: RestServer, folder: Path) -> None:
    url = rest.on("/events", Events(4))
    run(source(connectors, url, **INCREMENTAL), folder)
    with pytest.raises(PySparkException, match="made with cursor = at, and cursor is id now"):
        run(source(connectors, url, **{**INCREMENTAL, "cursor": "id"}), folder)
    rest.on("/one", [event(1), event(2)])
    with pytest.raises(PySparkException, match="Page 2 of .* has the same records .* the parameter 'page'"):
        run(source(connectors, rest.url + "/one", paging="page", **{"paging.pages": "3"}), folder / "other")
