"""Kill a server that applies changes, at each step of a batch and around each commit: the target is as if never."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from riacho.server.state.hashing import hash_keys
from riacho.server.streaming.batch import BatchStep
from tests.unit.server.graph.cdc.model import Event, Version, versions

VICTIM = "tests.recovery.cdc_victim"
BATCHES = 7
LIMIT_S = 90
COMMITS = [(table, when) for table in ("aux", "t") for when in ("before", "behind")]
STEPS = [("step", step.value, str(batch)) for batch, step in enumerate(BatchStep)]


def history() -> list[list[dict[str, object]]]:
    """Events out of order and repeated; each batch changes both tables."""
    draw = random.Random(11)
    batches = []
    for batch in range(BATCHES):
        events = [
            {"id": draw.randrange(12), "seq": draw.randrange(30), "op": draw.choice("UUD"), "v": f"{batch}.{n}"}
            for n in range(20)
        ]
        batches.append([*events, {"id": 100 + batch, "seq": 1, "op": "D"}, {"id": 200 + batch, "seq": 1, "op": "U"}])
    return batches


def expected() -> dict[object, object]:
    newest: dict[object, tuple[tuple[object, bool], object]] = {}
    for event in (event for batch in history() for event in batch):
        place = (event["seq"], event["op"] != "D")
        if event["id"] not in newest or place >= newest[event["id"]][0]:
            newest[event["id"]] = (place, event.get("v"))
    return {key: value for key, ((_, alive), value) in newest.items() if alive}


def expected_versions() -> set[Version]:
    everything = [event for batch in history() for event in batch]
    events = [Event(e["id"], e["seq"], None if e["op"] == "D" else {"v": e.get("v")}) for e in everything]
    return versions(events, ["v"], ["v"], (), lambda values: int(hash_keys([pa.array([values["v"]])], 1).high[0]))


def run(folder: Path, scd_type: object, *orders: str) -> int:
    command = [sys.executable, "-m", VICTIM, str(folder), str(scd_type), *orders]
    return subprocess.run(command, timeout=LIMIT_S, check=False).returncode


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "events").mkdir()
    for number, batch in enumerate(history()):
        text = "".join(json.dumps(event) + "\n" for event in batch)
        (tmp_path / "events" / f"{number}.json").write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    "kills",
    [STEPS, [("commit", table, str(batch), when) for batch, (table, when) in enumerate(COMMITS)]],
    ids=["steps", "commits"],
)
def test_a_killed_server_goes_on_where_it_was(folder: Path, kills: list[tuple[str, ...]]) -> None:
    for kill in kills:
        assert run(folder, 1, *kill) == -signal.SIGKILL, kill
    assert run(folder, 1) == 0
    table = DeltaTable(folder / "warehouse" / "t")
    rows = table.to_pyarrow_table(columns=["id", "v"]).to_pylist()
    assert {row["id"]: row["v"] for row in rows} == expected()
    assert len(rows) == len(expected()), "a key twice"
    assert table.version() <= BATCHES, "a repeated batch made a version of its own"


def test_versions_are_as_if_the_server_had_never_been_killed(folder: Path) -> None:
    for batch, (table, when) in enumerate(COMMITS):
        assert run(folder, 2, "commit", table, str(batch), when) == -signal.SIGKILL, (table, when)
    assert run(folder, 2) == 0
    found, rows = versions_in(folder)
    assert found == expected_versions()
    assert rows == len(found), "a version twice"
    files = pa.table(DeltaTable(folder / "warehouse" / "t").get_add_actions(flatten=True)).to_pylist()
    current = [(file["null_count.__END_AT"], file["num_records"]) for file in files]
    assert len(files) > 1
    assert all(nulls in (0, count) for nulls, count in current), "versions that have ended beside current ones"


def versions_in(folder: Path) -> tuple[set[Version], int]:
    columns = ["id", "v", "__START_AT", "__END_AT"]
    rows = DeltaTable(folder / "warehouse" / "t").to_pyarrow_table(columns=columns).to_pylist()
    return {Version(row["id"], (row["v"],), row["__START_AT"], row["__END_AT"]) for row in rows}, len(rows)


def test_snapshots_are_applied_once(tmp_path: Path) -> None:
    (tmp_path / "events").mkdir()
    for number, rows in enumerate(({1: "a", 2: "b"}, {1: "a", 2: "c", 3: "d"}, {3: "e"})):
        lines = (json.dumps({"id": key, "v": value}) + "\n" for key, value in rows.items())
        (tmp_path / "events" / f"{number}.json").write_text("".join(lines))
    for table, version, when in (("t", 1, "before"), ("t", 1, "behind"), ("aux", 1, "before"), ("aux", 2, "behind")):
        assert run(tmp_path, "snapshots", "version", table, str(version), when) == -signal.SIGKILL, (table, when)
    assert run(tmp_path, "snapshots") == 0
    assert versions_in(tmp_path)[0] == {
        Version(1, ("a",), 0, 2),
        Version(2, ("b",), 0, 1),
        Version(2, ("c",), 1, 2),
        Version(3, ("d",), 1, 2),
        Version(3, ("e",), 2, None),
    }
    assert DeltaTable(tmp_path / "warehouse" / "t").version() == 3
