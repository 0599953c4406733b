"""Deletion vectors that the engine made."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from riacho.ids import SessionId, new_uuid
from riacho.server.delta.feed import file_actions, pieces, read_piece
from riacho.server.delta.files import data_file, read_batches
from riacho.server.delta.log import DeltaLog
from riacho.server.delta.state import load_state
from riacho.server.engine.sail.engine import SailEngine


@pytest.fixture
def table(engine: SailEngine, tmp_path: Path) -> Path:
    """Ten rows in one file, of which the engine then masked three, two and one at a time."""
    session = engine.session(SessionId(new_uuid()), "test")
    path = tmp_path / "t"
    session.sql(
        f"CREATE TABLE t (id BIGINT) USING delta LOCATION '{path}' "
        "TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')"
    )
    session.sql("INSERT INTO t SELECT id FROM range(0, 10, 1, 1)")
    session.sql("DELETE FROM t WHERE id IN (2, 7)")
    session.sql("DELETE FROM t WHERE id = 3")
    return path


def test_the_engines_own_are_read(table: Path) -> None:
    state = load_state(DeltaLog(table), with_files=True)
    assert state.files is not None
    assert any(file.deletion_vector for file in state.files.values())
    schema = pa.schema([("id", pa.int64())])
    left = [
        value
        for file in state.files.values()
        for batch in read_batches(data_file(table, file), schema, rows=4)
        for value in batch["id"].to_pylist()
    ]
    assert sorted(left) == [0, 1, 4, 5, 6, 8, 9]


def test_the_change_feed_sees_each_mask(table: Path) -> None:
    log = DeltaLog(table)
    schema = pa.schema([("id", pa.int64())])
    changes = [
        (row["_commit_version"], row["_change_type"], row["id"])
        for version in log.versions()[-2:]
        for piece in pieces(table, version, 0, file_actions(log.read(version)))
        for batch in read_piece(piece, schema)
        for row in batch.to_pylist()
    ]
    first, second = log.versions()[-2:]
    assert sorted(changes) == [(first, "delete", 2), (first, "delete", 7), (second, "delete", 3)]
