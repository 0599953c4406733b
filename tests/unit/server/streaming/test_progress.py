from __future__ import annotations

import json

from riacho.ids import BatchId, Offset, QueryId, RunId
from riacho.server.streaming.execution import EventTime
from riacho.server.streaming.progress import Durations, Progress, SourceProgress, terminated_event
from riacho.testing.clock import ManualClock


def entry(**changes: object) -> Progress:
    values: dict[str, object] = {
        "query_id": QueryId("q"),
        "run_id": RunId("r"),
        "name": None,
        "timestamp_ms": 1_700_000_000_123,
        "batch_id": BatchId(3),
        "durations_ms": {"triggerExecution": 50},
        "sources": [SourceProgress("S", None, Offset('{"logOffset":1}'), Offset("5"), rows=10)],
        "sink": "K",
    }
    return Progress(**{**values, **changes})  # type: ignore[arg-type]


def test_the_keys_clients_index_are_there() -> None:
    shown = entry().to_json()
    assert shown["timestamp"] == "2023-11-14T22:13:20.123Z"
    assert {"id", "runId", "name", "batchId", "batchDuration", "stateOperators", "sources", "sink"} <= shown.keys()
    source = shown["sources"][0]
    assert source["startOffset"] is None
    assert source["endOffset"] == '{"logOffset":1}'
    assert source["latestOffset"] == "5"
    assert source["inputRowsPerSecond"] == 0.0
    assert shown["processedRowsPerSecond"] == 200.0
    assert shown["sink"]["numOutputRows"] == -1
    assert shown["eventTime"] == {}


def test_event_time_shows_the_watermark_always_and_the_rest_with_rows() -> None:
    assert entry(watermark_ms=0).to_json()["eventTime"] == {"watermark": "1970-01-01T00:00:00.000Z"}
    seen = entry(watermark_ms=0, event_time=EventTime(3, 1, 2, 9)).to_json()["eventTime"]
    assert seen == {
        "avg": "1970-01-01T00:00:00.002Z",
        "max": "1970-01-01T00:00:00.003Z",
        "min": "1970-01-01T00:00:00.001Z",
        "watermark": "1970-01-01T00:00:00.000Z",
    }


def test_an_idle_entry_carries_the_next_batch_and_no_rows() -> None:
    idle = entry(state=[{"numRowsTotal": 4, "numRowsUpdated": 2}]).idle(BatchId(4), 5, {}).to_json()
    assert (idle["batchId"], idle["numInputRows"]) == (4, 0)
    assert idle["stateOperators"] == [{"numRowsTotal": 4, "numRowsUpdated": 0}]


def test_durations_add_up() -> None:
    clock = ManualClock()
    durations = Durations(clock)
    for _ in range(2):
        with durations.timed("addBatch"):
            clock.advance(5)
    assert durations.as_ms() == {"addBatch": 10}


def test_terminated_has_its_keys_even_when_nothing_failed() -> None:
    event = json.loads(terminated_event(QueryId("q"), RunId("r"), None, None))
    assert event == {"id": "q", "runId": "r", "exception": None, "errorClassOnException": None}
