"""Kill a server that applies changes, at each step of a batch and around each commit: the target is as if never."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from deltalake import DeltaTable

from riacho.server.streaming.batch import BatchStep

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


def run(folder: Path, *orders: str) -> int:
    done = subprocess.run([sys.executable, "-m", VICTIM, str(folder), "1", *orders], timeout=LIMIT_S, check=False)
    return done.returncode


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
        assert run(folder, *kill) == -signal.SIGKILL, kill
    assert run(folder) == 0
    table = DeltaTable(folder / "warehouse" / "t")
    rows = table.to_pyarrow_table(columns=["id", "v"]).to_pylist()
    assert {row["id"]: row["v"] for row in rows} == expected()
    assert len(rows) == len(expected()), "a key twice"
    assert table.version() <= BATCHES, "a repeated batch made a version of its own"
