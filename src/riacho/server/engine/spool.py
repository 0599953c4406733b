"""Arrow IPC files that feed the engine: on shared memory while they are small, on disk when they are not."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

import pyarrow as pa

from riacho import types
from riacho.protos import pb

SHARED_MEMORY = Path("/dev/shm")
MEMORY_LIMIT_BYTES = 1 << 30
_END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"


class FolderSpool:
    """A spool over two folders made on first use, one on shared memory and one on disk. See `engine.base.Spool`.

    A batch is written to shared memory; from the moment the spool holds more than `memory_limit` bytes there, or shared
    memory is more than half full, what follows goes to disk. Every batch must have the schema given. TIMESTAMPs are
    written in `zone`, whatever zone they come in: the engine's functions take the zone of what they read.
    """

    def __init__(self, name: str, *, memory_limit: int = MEMORY_LIMIT_BYTES, zone: str = "UTC") -> None:
        self._name = name
        self._zone = zone
        self._memory_limit = memory_limit
        self._folders: dict[Path, Path] = {}
        self._numbers = count()
        self._files: dict[str, int] = {}
        """How much each holds of shared memory."""
        self._changing = threading.Lock()

    def put(self, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> tuple[pb.Relation, int]:
        rows = 0
        paths: list[str] = []
        zoned = types.schema_in_zone(schema, self._zone)
        source = _as_the_engine_reads(batches, schema, zoned)
        batch = next(source, None)
        while True:
            used = self._memory_used()
            in_memory = used <= self._memory_limit and _has_room()
            path = self._folder(in_memory) / f"{next(self._numbers)}.arrow"
            self._note(path, 0)
            paths.append(str(path))
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, zoned) as writer:
                while batch is not None:
                    writer.write_batch(batch)
                    rows += batch.num_rows
                    batch = next(source, None)
                    if in_memory and used + file.tell() > self._memory_limit:
                        break
            if in_memory:
                self._note(path, path.stat().st_size)
            if batch is None:
                return _read(paths), rows

    def put_in_order(self, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> pb.Relation:
        """Write rows whose order counts: a relation that reads them in it, as long as the plan itself keeps it.

        They are one stream of Arrow, which the engine reads by itself: of a file of more than 10 MB it reads several
        parts at a time, and of several files too. What is too large for shared memory moves to disk meanwhile.
        """
        zoned = types.schema_in_zone(schema, self._zone)
        path = self._folder(_has_room()) / f"{next(self._numbers)}.arrow"
        self._note(path, 0)
        file = path.open("wb")
        try:
            file.write(zoned.serialize())
            for batch in _as_the_engine_reads(batches, schema, zoned):
                file.write(batch.serialize())
                if path.is_relative_to(SHARED_MEMORY) and file.tell() > self._memory_limit:
                    file.close()
                    path = self._on_disk(path)
                    file = path.open("ab")
            file.write(_END_OF_STREAM)
        finally:
            file.close()
        return _read([str(path)])

    def _on_disk(self, path: Path) -> Path:
        """A file of shared memory, moved to disk."""
        moved = self._folder(in_memory=False) / path.name
        shutil.move(path, moved)
        with self._changing:
            del self._files[str(path)]
        self._note(moved, 0)
        return moved

    @property
    def files(self) -> int:
        """How many files it holds."""
        with self._changing:
            return len(self._files)

    def remove(self, relation: pb.Relation) -> None:
        for path in relation.read.data_source.paths:
            with self._changing:
                del self._files[path]
            Path(path).unlink()

    def clear(self) -> None:
        for path in self._files:
            Path(path).unlink(missing_ok=True)
        self._files.clear()

    def close(self) -> None:
        self._files.clear()
        for folder in self._folders.values():
            shutil.rmtree(folder, ignore_errors=True)
        self._folders.clear()

    def _note(self, path: Path, memory_bytes: int) -> None:
        with self._changing:
            self._files[str(path)] = memory_bytes

    def _memory_used(self) -> int:
        with self._changing:
            return sum(self._files.values())

    def _folder(self, in_memory: bool) -> Path:
        root = SHARED_MEMORY if in_memory else Path(tempfile.gettempdir())
        if root not in self._folders:
            # The owner's pid in the name lets a later start remove what a killed one left behind.
            self._folders[root] = Path(tempfile.mkdtemp(prefix=f"riacho-{os.getpid()}-{self._name}-", dir=root))
        return self._folders[root]


def _as_the_engine_reads(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, zoned: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """Rows with TIMESTAMPs in the engine's zone, and null fields in null structs."""
    for batch in batches:
        yield types.with_inner_nulls(batch if zoned is schema else types.relabelled(batch, zoned))


def _has_room() -> bool:
    """Whether shared memory is there and no more than half full."""
    if not SHARED_MEMORY.is_dir():
        return False
    usage = os.statvfs(SHARED_MEMORY)
    return usage.f_bavail * 2 > usage.f_blocks


def is_spooled(path: str) -> bool:
    """Whether a file is one of a spool of this process: it goes when its owner is done with it."""
    folder = Path(path).parent
    return folder.name.startswith(f"riacho-{os.getpid()}-") and folder.parent in (
        SHARED_MEMORY,
        Path(tempfile.gettempdir()),
    )


def _read(paths: list[str]) -> pb.Relation:
    relation = pb.Relation()
    relation.read.data_source.format = "arrow"
    relation.read.data_source.paths.extend(paths)
    return relation


def remove_leftovers() -> int:
    """Remove spool folders whose owner no longer runs; how many there were. Called once when a server starts."""
    removed = 0
    for root in {SHARED_MEMORY, Path(tempfile.gettempdir())}:
        for folder in root.glob("riacho-*-*"):
            owner = folder.name.split("-")[1]
            if owner.isdigit() and not _runs(int(owner)):
                shutil.rmtree(folder, ignore_errors=True)
                removed += 1
    return removed


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def empty(schema: pa.Schema) -> pb.Relation:
    """A relation of no rows with these columns, that lives in the plan itself: what analysis uses for a stream.

    Raises UNSUPPORTED_DATATYPE.
    """
    relation = pb.Relation()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema):
        pass
    relation.local_relation.data = sink.getvalue().to_pybytes()
    relation.local_relation.schema = types.to_json(schema)
    return relation
