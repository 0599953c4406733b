"""Rows sent to HTTP interfaces, from batches and streams, on riacho and on Spark."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from tests.connectors.rest_server import Asked, Reply, RestServer
from tests.spec.support import finish

FAST = {"retryWait": "10ms", "retries": "2"}


def send(frame: DataFrame, url: str, mode: str = "append", **options: Any) -> None:
    frame.write.format("rest").mode(mode).option("url", url).options(**{**FAST, **options}).save()


def test_rows_are_sent_in_requests(connectors: SparkSession, rest: RestServer) -> None:
    lock, failures = threading.Lock(), [2]

    def handler(asked: Asked) -> Any:
        with lock:
            failures[0] -= 1
            return Reply("busy", 503) if failures[0] >= 0 else {}

    url = rest.on("/in", handler)
    frame = connectors.range(10).selectExpr(
        "id", "CAST(id AS DECIMAL(5,2)) / 4 AS d", "TIMESTAMP '2026-01-02 03:04:05' AS t", "IF(id = 3, NULL, 'é') AS s",
        "named_struct('a', array(id)) AS o",
    ).repartition(1)  # fmt: skip
    send(frame, url, rowsPerRequest="4", auth="bearer", headers="X-Own: 1", **{"auth.token": "s3same"})
    sent = [asked for asked in rest.asked if asked.headers["Content-Type"] == "application/json"]
    assert len(sent) == 5
    bodies = {asked.headers["Idempotency-Key"]: asked.json() for asked in sent}
    assert sorted(map(len, bodies.values())) == [2, 4, 4]
    every = sorted((row for body in bodies.values() for row in body), key=lambda row: int(row["id"]))
    assert [row["id"] for row in every] == list(range(10))
    assert every[3] == {"id": 3, "d": 0.75, "t": "2026-01-02T03:04:05Z", "s": None, "o": {"a": [3]}}
    assert all(asked.headers["Idempotency-Key"] == hashlib.sha256(asked.body).hexdigest() for asked in sent)
    assert {(a.method, a.headers["Authorization"], a.headers["X-Own"]) for a in sent} == {
        ("POST", "Bearer s3same", "1")
    }


def test_the_forms_of_bodies(connectors: SparkSession, rest: RestServer) -> None:
    url = rest.on("/in", {})
    frame = connectors.range(3).repartition(1)
    send(frame, url, body="lines")
    assert rest.asked[-1].body == b'{"id":0}\n{"id":1}\n{"id":2}\n'
    assert rest.asked[-1].headers["Content-Type"] == "application/x-ndjson"
    send(frame, url, body="records", idempotencyHeader="", method="put")
    assert rest.asked[-1].json() == {"records": [{"id": 0}, {"id": 1}, {"id": 2}]}
    assert ("Idempotency-Key" in rest.asked[-1].headers, rest.asked[-1].method) == (False, "PUT")
    rest.asked.clear()
    send(frame, url, body="row", idempotencyColumn="id", idempotencyHeader="X-Key")
    assert [(asked.headers["X-Key"], asked.json()) for asked in rest.asked] == [(str(n), {"id": n}) for n in range(3)]


def test_values_are_sent_as_spark_writes_json(connectors: SparkSession, rest: RestServer) -> None:
    frame = connectors.sql(
        "SELECT CAST('12345678901234567890.120' AS DECIMAL(38, 3)) d, map('a', 1, 'b', NULL) m, array(map(1, 1.5D)) l, "
        "X'01FF' b, CAST('NaN' AS DOUBLE) n, CAST('2026-01-02' AS DATE) t, named_struct('x', map('k', 0.10BD)) s"
    )
    send(frame, rest.on("/in", {}))
    assert rest.asked[0].body.decode() == (
        '[{"d":12345678901234567890.120,"m":{"a":1,"b":null},"l":[{"1":1.5}],"b":"Af8=","n":"NaN","t":"2026-01-02",'
        '"s":{"x":{"k":0.10}}}]'
    )


def test_the_same_rows_of_another_task_have_another_key(connectors: SparkSession, rest: RestServer) -> None:
    """An interface that knows keys would take them for one request."""
    frame = connectors.range(0, 4, 1, 4).selectExpr("1 AS n")
    send(frame, rest.on("/in", {}), rowsPerRequest="1")
    assert len({asked.headers["Idempotency-Key"] for asked in rest.asked}) == len(rest.asked) == 4


def test_what_is_refused_fails(connectors: SparkSession, rest: RestServer) -> None:
    frame = connectors.range(1)
    cases: list[tuple[dict[str, str], str]] = [
        ({"url": rest.on("/bad", Reply("no such field", 422))}, "status 422: no such field"),
        ({"url": rest.on("/down", Reply("", 500))}, "status 500 (tried 3 times"),
        ({"url": rest.url, "idempotencyColumn": "id"}, "must not be given unless body = row"),
        ({"url": rest.url, "body": "row", "idempotencyColumn": "x"}, "There is no column 'x'"),
        ({"url": "x"}, "must be an address"),
        ({"url": rest.url + "/{id}"}, "nothing fills {name}"),
        ({"url": rest.url, "auth": "basic"}, "needs the option auth.user"),
        ({"url": rest.url, "mode": "overwrite"}, "cannot overwrite"),
    ]
    for options, told in cases:
        with pytest.raises(PySparkException) as raised:
            send(frame, **options)
        assert told in str(raised.value)


def test_a_stream_sends_a_batch_again_with_the_same_key(
    connectors: SparkSession, rest: RestServer, tmp_path: Path
) -> None:
    tmp_path.chmod(0o777)
    broken = [True]
    keys: dict[str, Any] = {}

    def handler(asked: Asked) -> Any:
        keys[asked.headers["Idempotency-Key"]] = asked.json()
        return Reply("no", 400) if broken[0] and asked.json()[0]["n"] >= 20 else {}

    source = connectors.readStream.format("faker").option("fields", json.dumps({"n": "sequence", "u": "uuid"}))
    writer = source.options(rowsPerBatch="20", count="60").load().writeStream.format("rest")
    writer = writer.option("url", rest.on("/in", handler)).options(rowsPerRequest="10", **FAST)
    writer = writer.option("checkpointLocation", str(tmp_path / "checkpoint")).trigger(availableNow=True)
    with pytest.raises(PySparkException, match="status 400: no"):
        finish(writer.start())
    broken[0] = False
    finish(writer.start())
    assert sorted(row["n"] for body in keys.values() for row in body) == list(range(60))


@pytest.mark.riacho_only
def test_the_same_rows_of_another_batch_have_another_key(
    connectors: SparkSession, rest: RestServer, tmp_path: Path
) -> None:
    source = connectors.readStream.format("faker").option("fields", '{"n": {"type": "constant", "value": 1}}')
    writer = (
        source.options(rowsPerBatch="2", count="6").load().writeStream.format("rest").option("url", rest.on("/in", {}))
    )
    writer = writer.option("rowsPerRequest", 1).option("checkpointLocation", str(tmp_path / "checkpoint"))
    finish(writer.trigger(availableNow=True).start())
    assert len({asked.headers["Idempotency-Key"] for asked in rest.asked}) == len(rest.asked) == 6
