"""A query's checkpoint: Spark's layout and formats, so that a stateless checkpoint can move to Spark and back.

    <checkpoint>/metadata      {"id":"<query id>"}
    <checkpoint>/offsets/<N>   v1, the batch's metadata, one line per source: where batch N ends; written before it runs
    <checkpoint>/commits/<N>   v1, {"nextBatchWatermarkMs":<ms>}: batch N is done; written after the sink has it
    <checkpoint>/sources/<i>/  the private log of source i
    <checkpoint>/state/        the state of stateful operators

A file appears whole or not at all, and only if another run has not been there first: on a disk it is written under a
temporary name and linked to its own, in an object store it is put on that condition. Sources: `OffsetSeqLog`,
`CommitLog`, `StreamMetadata`, `HDFSMetadataLog` of Spark.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from riacho.conf import BATCHES_TO_RETAIN
from riacho.errors import IllegalArgumentError, IllegalStateError, SparkGeneralError, SparkRuntimeError
from riacho.ids import BatchId, Offset, QueryId, new_uuid
from riacho.storage import Place, create_new

VERSION = "v1"
NO_OFFSET = "-"


def batches_to_retain(confs: Mapping[str, str]) -> int:
    """How many batches can be told from a checkpoint: their logs and state stay. Raises IllegalArgumentError."""
    number = BATCHES_TO_RETAIN.of(confs)
    if number <= 0:
        raise IllegalArgumentError(
            f"requirement failed: minBatchesToRetain has to be positive ({BATCHES_TO_RETAIN.key} is {number})"
        )
    return number


@dataclass(frozen=True)
class BatchLog:
    """What is logged of a batch before it runs. `offsets[i]` is the end of source i, None if it has none yet."""

    offsets: Sequence[Offset | None]
    watermark_ms: int
    timestamp_ms: int
    conf: Mapping[str, str] = field(default_factory=dict)


class MetadataLog:
    """A folder of small files named by batch id."""

    def __init__(self, folder: Place) -> None:
        self.folder = folder
        self._purged: BatchId | None = None

    def add(self, batch_id: BatchId, text: str) -> None:
        """Write entry `batch_id`. Raises CONCURRENT_STREAM_LOG_UPDATE if it is there already."""
        try:
            write_new(self.folder / str(batch_id), text)
        except FileExistsError:
            raise SparkGeneralError.of(
                "CONCURRENT_STREAM_LOG_UPDATE",
                f"Concurrent update to the log. Multiple streaming jobs detected for {batch_id}. Please make sure only "
                "one streaming job runs on a specific checkpoint location at a time.",
                sql_state="40000",
                batchId=str(batch_id),
            ) from None

    def get(self, batch_id: BatchId) -> list[str] | None:
        """The lines of entry `batch_id` below its version, or None. Raises IllegalStateError for another version."""
        path = self.folder / str(batch_id)
        try:
            version, *lines = path.read_text(encoding="utf-8").split("\n")
        except FileNotFoundError:
            return None
        if version != VERSION:
            raise IllegalStateError(
                f"Log file {path} is of version {version!r}; riacho reads {VERSION}. It may be damaged, or written by "
                "a newer Spark with options that riacho does not have."
            )
        return lines

    def latest(self) -> BatchId | None:
        """The highest entry, or None."""
        return max(self.ids(), default=None)

    def ids(self) -> list[BatchId]:
        """All entries, in no order."""
        try:
            names = [path.name for path in self.folder.iterdir()]
        except FileNotFoundError:
            return []
        return [BatchId(int(name)) for name in names if name.isdigit()]

    def purge(self, keep_from: BatchId) -> None:
        """Remove entries below `keep_from`."""
        # The folder is looked at once: each look is a request where it lies in an object store.
        old = self.ids() if self._purged is None else map(BatchId, range(self._purged, keep_from))
        for batch_id in old:
            if batch_id < keep_from:
                (self.folder / str(batch_id)).unlink(missing_ok=True)
        self._purged = keep_from


class Checkpoint:
    """One query's checkpoint folder."""

    def __init__(self, folder: Place) -> None:
        self.folder = folder
        self._offsets = MetadataLog(folder / "offsets")
        self._commits = MetadataLog(folder / "commits")

    def source_folder(self, index: int) -> Place:
        return self.folder / "sources" / str(index)

    @property
    def state_folder(self) -> Place:
        return self.folder / "state"

    def query_id(self) -> QueryId:
        """The id kept in `metadata`, made and kept if the checkpoint is new.

        Raises STREAMING_CHECKPOINT_MISSING_METADATA_FILE if batches were logged without it, IllegalStateError if that
        file is damaged.
        """
        path = self.folder / "metadata"
        try:
            return QueryId(json.loads(path.read_text(encoding="utf-8"))["id"])
        except FileNotFoundError:
            pass
        except (json.JSONDecodeError, KeyError) as error:
            raise IllegalStateError(f"The checkpoint's file {path} is damaged: {error}") from None
        if self._offsets.latest() is not None:
            raise SparkRuntimeError.of(
                "STREAMING_CHECKPOINT_MISSING_METADATA_FILE",
                f"Checkpoint location {self.folder} is in an inconsistent state: the metadata file is missing but "
                "offset and/or commit logs contain data. Please restore the metadata file or create a new checkpoint.",
                sql_state="42K03",
                checkpointLocation=str(self.folder),
            )
        query_id = QueryId(new_uuid())
        for log in (self._offsets, self._commits):
            log.folder.mkdir(parents=True, exist_ok=True)
        try:
            write_new(path, json.dumps({"id": query_id}, separators=(",", ":")))
        except FileExistsError:
            return self.query_id()  # another query began with it at the same time: the first to log a batch goes on
        return query_id

    def log_batch(self, batch_id: BatchId, log: BatchLog) -> None:
        """Write offsets/N: from here on batch N is this range and no other."""
        metadata = {
            "batchWatermarkMs": log.watermark_ms,
            "batchTimestampMs": log.timestamp_ms,
            "conf": dict(log.conf),
        }
        lines = [VERSION, _compact(metadata), *(offset or NO_OFFSET for offset in log.offsets)]
        self._offsets.add(batch_id, "\n".join(lines))

    def batch(self, batch_id: BatchId) -> BatchLog | None:
        """What was logged of a batch, or None."""
        lines = self._offsets.get(batch_id)
        if lines is None:
            return None
        metadata: dict[str, Any] = json.loads(lines[0]) if lines[0].strip() else {}
        return BatchLog(
            offsets=[None if line == NO_OFFSET else Offset(line) for line in lines[1:] if line],
            watermark_ms=metadata.get("batchWatermarkMs", 0),
            timestamp_ms=metadata.get("batchTimestampMs", 0),
            conf=metadata.get("conf", {}),
        )

    def latest_batch(self) -> BatchId | None:
        return self._offsets.latest()

    def log_commit(self, batch_id: BatchId, next_watermark_ms: int) -> None:
        """Write commits/N: the sink has batch N."""
        self._commits.add(batch_id, f"{VERSION}\n{_compact({'nextBatchWatermarkMs': next_watermark_ms})}")

    def latest_commit(self) -> BatchId | None:
        return self._commits.latest()

    def commit_watermark_ms(self, batch_id: BatchId) -> int:
        """The watermark logged with the commit of a batch; 0 if there is none."""
        lines = self._commits.get(batch_id)
        if not lines or not lines[0].strip():
            return 0
        watermark: int = json.loads(lines[0]).get("nextBatchWatermarkMs", 0)
        return watermark

    def purge(self, keep_from: BatchId) -> None:
        """Remove the logs of batches below `keep_from`."""
        self._offsets.purge(keep_from)
        self._commits.purge(keep_from)


@dataclass(frozen=True)
class Recovery:
    """Where a run begins. `pending` is a batch that was logged and not committed: it runs again as it was logged."""

    batch_id: BatchId
    start: Sequence[Offset | None]
    watermark_ms: int
    late_ms: int
    pending: BatchLog | None = None
    conf: Mapping[str, str] = field(default_factory=dict)


def recover(checkpoint: Checkpoint, sources: int) -> Recovery:
    """Read where a query with this number of sources stands (Spark: `MicroBatchExecution.populateStartOffsets`).

    Raises IllegalStateError for logs with holes, and for a number of sources other than the logged one.
    """
    latest = checkpoint.latest_batch()
    if latest is None:
        return Recovery(BatchId(0), [None] * sources, 0, 0)
    log = _logged(checkpoint, latest)
    if len(log.offsets) != sources:
        raise IllegalStateError(
            f"There are [{len(log.offsets)}] sources in the checkpoint offsets and now there are [{sources}] sources "
            "requested by the query. Cannot continue."
        )
    before = _logged(checkpoint, BatchId(latest - 1)) if latest > 0 else None
    committed = checkpoint.latest_commit()
    if committed is not None and committed >= latest:
        watermark_ms = max(log.watermark_ms, checkpoint.commit_watermark_ms(latest))
        return Recovery(BatchId(latest + 1), log.offsets, watermark_ms, log.watermark_ms, conf=log.conf)
    start = before.offsets if before else [None] * sources
    late_ms = before.watermark_ms if before else 0
    return Recovery(latest, start, log.watermark_ms, late_ms, pending=log, conf=log.conf)


def _logged(checkpoint: Checkpoint, batch_id: BatchId) -> BatchLog:
    log = checkpoint.batch(batch_id)
    if log is None:
        raise IllegalStateError(
            f"batch {batch_id} doesn't exist in {checkpoint.folder}/offsets, but a later one does. The checkpoint has "
            "lost files; restore them or start with a new checkpoint location."
        )
    return log


def write_new(path: Place, content: str | Iterable[bytes]) -> None:
    """Create a file that appears whole or not at all. Raises FileExistsError if it is there, StorageError."""
    if not isinstance(path, Path):
        if not create_new(path, content.encode() if isinstance(content, str) else b"".join(content)):
            raise FileExistsError(f"{path} is there")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{new_uuid()}.tmp"
    try:
        with temporary.open("wb") as file:
            file.writelines([content.encode()] if isinstance(content, str) else content)
        os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
