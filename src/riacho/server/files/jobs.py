"""One write of rows into a folder, whole or not at all: `df.write…save(path)` and rows of tables that are files.

The files are made in a hidden folder inside, and moved to their places when all are there. So a write that fails, or is
killed, shows nothing, and leaves what an overwrite was to replace. In an object store nothing can be moved: the files
are made on this machine and uploaded when all are there, several at a time; each appears whole. Sources:
`InsertIntoHadoopFsRelationCommand`, `HadoopMapReduceCommitProtocol`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Final

import pyarrow as pa

from riacho.errors import SparkGeneralError
from riacho.ids import new_uuid
from riacho.paths import qualified
from riacho.server.delta.partitions import folder as partition_folder
from riacho.server.files.rows import RowFiles, WrittenFile
from riacho.server.files.uploads import Uploads
from riacho.storage import ObjectPath, Place, delete_tree
from riacho.storage.files import delete_objects

STAGING: Final = "_temporary"
"""Where files are until the write is done; hidden from every reader, and Spark's name for it."""
SUCCESS: Final = "_SUCCESS"


class Existing(Enum):
    """What becomes of the files that are there: they stay, all go, or those of partitions that get new ones go."""

    KEPT = "append"
    REPLACED = "overwrite"
    REPLACED_BY_PARTITION = "dynamic overwrite"


@dataclass(frozen=True)
class FileJob:
    """A write into `folder`, which is made if it is missing."""

    folder: Place
    rows: RowFiles
    existing: Existing = Existing.KEPT

    def run(self, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> list[WrittenFile]:
        """Write all rows. Raises what `RowFiles.write` raises, and then nothing has changed."""
        if isinstance(self.folder, Path):
            return _LocalJob(self.folder, self.rows, self.existing).run(batches, schema)
        return self._run_in_store(self.folder, batches, schema)

    def _run_in_store(
        self, folder: ObjectPath, batches: Iterable[pa.RecordBatch], schema: pa.Schema
    ) -> list[WrittenFile]:
        job = new_uuid()
        rows = replace(self.rows, name=lambda task: f"part-{task:05d}-{job}")
        with Uploads(folder) as uploads:
            files = rows.write(batches, schema, uploads.staging)
            if self.existing is Existing.KEPT:
                if folder.is_file():
                    raise SparkGeneralError(f"Parent path is not a directory: {qualified(folder)}")
            else:
                self._clear_store(folder, files)
            for file in files:
                uploads.send(file)
            done = uploads.finish()
        (folder / SUCCESS).touch()
        return done

    def _clear_store(self, folder: ObjectPath, files: Sequence[WrittenFile]) -> None:
        """Remove what the new files replace."""
        if self.existing is Existing.REPLACED_BY_PARTITION and self.rows.partition_by:
            for below in {partition_folder(file.values) for file in files}:
                found = (folder / below).children()
                delete_objects(entry.place for entry in found if not entry.is_folder)
            return
        delete_tree(folder, first=lambda entry: entry.place.name == SUCCESS)
        folder.unlink(missing_ok=True)


@dataclass(frozen=True)
class _LocalJob:
    """A write into a folder of a disk."""

    folder: Path
    rows: RowFiles
    existing: Existing

    def run(self, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> list[WrittenFile]:
        made = self._make_folder()
        job = new_uuid()
        staging = self.folder / STAGING / job
        try:
            staging.mkdir(parents=True)
            rows = replace(self.rows, name=lambda task: f"part-{task:05d}-{job}")
            files = rows.write(batches, schema, staging)
            self._clear(files)
            moved = [self._move(file, staging) for file in files]
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            self._tidy(made)
            raise
        shutil.rmtree(staging, ignore_errors=True)
        self._tidy(())
        (self.folder / SUCCESS).touch()
        return moved

    def _make_folder(self) -> Sequence[Path]:
        """Make the folder; those that were made, the innermost first. Raises SparkGeneralError for a file."""
        if self.folder.is_file():
            if self.existing is Existing.KEPT:
                raise SparkGeneralError(f"Parent path is not a directory: {qualified(self.folder)}")
            self.folder.unlink()
        made = [path for path in (self.folder, *self.folder.parents) if not path.exists()]
        self.folder.mkdir(parents=True, exist_ok=True)
        return made

    def _clear(self, files: Sequence[WrittenFile]) -> None:
        """Remove what the new files replace."""
        if self.existing is Existing.REPLACED_BY_PARTITION and self.rows.partition_by:
            for below in {partition_folder(file.values) for file in files}:
                for path in _visible(self.folder / below):
                    path.unlink(missing_ok=True)
        elif self.existing is not Existing.KEPT:
            for path in self.folder.iterdir():
                if path.name == STAGING:
                    continue
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)

    def _move(self, file: WrittenFile, staging: Path) -> WrittenFile:
        assert isinstance(file.path, Path)
        target = self.folder / file.path.relative_to(staging)
        target.parent.mkdir(parents=True, exist_ok=True)
        return replace(file, path=file.path.rename(target))

    def _tidy(self, made: Sequence[Path]) -> None:
        """Remove the empty folders that this write has made, unless somebody else uses them."""
        for path in (self.folder / STAGING, *made):
            with suppress(OSError):
                path.rmdir()


def _visible(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
