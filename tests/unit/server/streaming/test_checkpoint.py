from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riacho.conf import BATCHES_TO_RETAIN
from riacho.errors import IllegalArgumentError, IllegalStateError, SparkGeneralError, SparkRuntimeError
from riacho.ids import BatchId, Offset
from riacho.server.streaming.checkpoint import (
    BatchLog,
    Checkpoint,
    Recovery,
    batches_to_retain,
    recover,
    write_new,
)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    return Checkpoint(tmp_path / "checkpoint")


def log(checkpoint: Checkpoint, batch: int, *offsets: str | None, watermark_ms: int = 0) -> None:
    ends = [None if offset is None else Offset(offset) for offset in offsets]
    checkpoint.log_batch(BatchId(batch), BatchLog(ends, watermark_ms, 1_700_000_000_000, {"a": "b"}))


def test_files_have_sparks_format(checkpoint: Checkpoint) -> None:
    query_id = checkpoint.query_id()
    log(checkpoint, 0, '{"logOffset":0}', None)
    checkpoint.log_commit(BatchId(0), 7)
    folder = checkpoint.folder
    assert (folder / "offsets" / "0").read_text() == (
        'v1\n{"batchWatermarkMs":0,"batchTimestampMs":1700000000000,"conf":{"a":"b"}}\n{"logOffset":0}\n-'
    )
    assert (folder / "commits" / "0").read_text() == 'v1\n{"nextBatchWatermarkMs":7}'
    assert (folder / "metadata").read_text() == f'{{"id":"{query_id}"}}'
    assert Checkpoint(folder).query_id() == query_id


def test_nothing_is_left_beside_the_files(checkpoint: Checkpoint) -> None:
    log(checkpoint, 0, "1")
    assert [path.name for path in (checkpoint.folder / "offsets").iterdir()] == ["0"]


def test_a_second_run_of_a_batch_is_refused(checkpoint: Checkpoint) -> None:
    log(checkpoint, 0, "1")
    with pytest.raises(SparkGeneralError, match="CONCURRENT_STREAM_LOG_UPDATE"):
        log(checkpoint, 0, "2")


def test_a_log_of_another_version_is_refused(checkpoint: Checkpoint) -> None:
    write_new(checkpoint.folder / "offsets" / "0", "v9\n{}\n1")
    with pytest.raises(IllegalStateError, match="v9"):
        checkpoint.batch(BatchId(0))


def test_offsets_without_metadata_are_refused(checkpoint: Checkpoint) -> None:
    log(checkpoint, 0, "1")
    with pytest.raises(SparkRuntimeError, match="STREAMING_CHECKPOINT_MISSING_METADATA_FILE"):
        checkpoint.query_id()


def test_hidden_and_checksum_files_are_not_entries(checkpoint: Checkpoint) -> None:
    log(checkpoint, 0, "1")
    (checkpoint.folder / "offsets" / ".1.crc").write_text("x")
    (checkpoint.folder / "offsets" / ".1.tmp").write_text("x")
    assert checkpoint.latest_batch() == 0


def test_purge_keeps_the_newest(checkpoint: Checkpoint) -> None:
    for batch in range(5):
        log(checkpoint, batch, str(batch))
        checkpoint.log_commit(BatchId(batch), 0)
    checkpoint.purge(BatchId(3))
    assert checkpoint.batch(BatchId(2)) is None
    assert checkpoint.batch(BatchId(3)) is not None
    assert checkpoint.latest_commit() == 4


class TestRecovery:
    def test_a_new_checkpoint_starts_at_batch_0(self, checkpoint: Checkpoint) -> None:
        assert recover(checkpoint, 2) == Recovery(BatchId(0), [None, None], 0, 0)

    def test_after_a_committed_batch_the_next_one_is_planned_anew(self, checkpoint: Checkpoint) -> None:
        log(checkpoint, 0, "1")
        checkpoint.log_commit(BatchId(0), 50)
        found = recover(checkpoint, 1)
        assert (found.batch_id, list(found.start), found.watermark_ms, found.pending) == (1, ["1"], 50, None)

    def test_a_batch_without_commit_runs_again_as_it_was_logged(self, checkpoint: Checkpoint) -> None:
        log(checkpoint, 0, "1", watermark_ms=10)
        checkpoint.log_commit(BatchId(0), 50)
        log(checkpoint, 1, "4", watermark_ms=50)
        found = recover(checkpoint, 1)
        assert found.batch_id == 1
        assert found.pending is not None
        assert list(found.pending.offsets) == ["4"]
        assert (list(found.start), found.watermark_ms, found.late_ms) == (["1"], 50, 10)

    def test_late_rows_are_measured_by_the_batch_before(self, checkpoint: Checkpoint) -> None:
        log(checkpoint, 0, "1", watermark_ms=0)
        checkpoint.log_commit(BatchId(0), 50)
        log(checkpoint, 1, "2", watermark_ms=50)
        checkpoint.log_commit(BatchId(1), 90)
        found = recover(checkpoint, 1)
        assert (found.late_ms, found.watermark_ms) == (50, 90)

    def test_a_hole_in_the_log_is_refused(self, checkpoint: Checkpoint) -> None:
        log(checkpoint, 1, "4")
        with pytest.raises(IllegalStateError, match="batch 0 doesn't exist"):
            recover(checkpoint, 1)

    def test_another_number_of_sources_is_refused(self, checkpoint: Checkpoint) -> None:
        log(checkpoint, 0, "1")
        with pytest.raises(IllegalStateError, match=r"\[1\] sources .* \[2\] sources"):
            recover(checkpoint, 2)

    @given(
        committed=st.integers(0, 6),
        logged_only=st.booleans(),
        watermarks=st.lists(st.integers(0, 1000), min_size=8, max_size=8),
    )
    def test_a_run_goes_on_where_the_last_one_ended(
        self, tmp_path_factory: pytest.TempPathFactory, committed: int, logged_only: bool, watermarks: list[int]
    ) -> None:
        checkpoint = Checkpoint(tmp_path_factory.mktemp("checkpoint"))
        rising = sorted(watermarks)
        for batch in range(committed):
            log(checkpoint, batch, str(batch), watermark_ms=rising[batch])
            checkpoint.log_commit(BatchId(batch), rising[batch + 1])
        if logged_only:
            log(checkpoint, committed, str(committed), watermark_ms=rising[committed])
        found = recover(checkpoint, 1)
        assert found.batch_id == committed
        assert (found.pending is not None) == logged_only
        assert list(found.start) == [str(committed - 1) if committed else None]
        if committed or logged_only:
            assert found.watermark_ms == rising[committed]


def test_how_many_batches_stay() -> None:
    assert batches_to_retain({}) == 100
    assert batches_to_retain({BATCHES_TO_RETAIN.key: "2"}) == 2
    for wrong in ("0", "-1"):
        with pytest.raises(IllegalArgumentError, match="minBatchesToRetain has to be positive"):
            batches_to_retain({BATCHES_TO_RETAIN.key: wrong})
