"""Find and mend what a table's log says and is not so.

* A `remove` whose path is written otherwise than its `add`'s (`g=two words/…` and `g=two%20words/…`): the file is still
  in the table for every reader that goes by the text. Engines that wrote such logs meant the file to be gone.
* An `add` that names its file without encoding it.
* The same file twice.
* A file that is not there (Delta: `FSCK REPAIR TABLE`).

First all is found out (`examine`), then it is mended in one commit (`repair`), which no stream takes for a change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import pyarrow.parquet as pq

from riacho.clock import Clock
from riacho.server.delta import changes
from riacho.server.delta.actions import AddFile, Commit, Json, RemoveFile, data_place, decoded, logged_path
from riacho.server.delta.log import DeltaLog, LogCheckpoint
from riacho.server.delta.protocol import append_route, require_readable
from riacho.server.delta.state import TableState, load_state, not_a_table
from riacho.server.delta.writer import DeltaWriter
from riacho.storage import Place, open_input

_File = tuple[str, str | None]
_READ_ON = frozenset({"OPTIMIZE", "DELETE", "UPDATE", "MERGE"})
"""Operations that write rows of the files that they remove into others."""


class Damage(StrEnum):
    """What can be wrong with a file of a table."""

    NOT_REMOVED = "removed under another name"
    NOT_ENCODED = "its path is not encoded"
    TWICE = "in the table twice"
    MISSING = "not there"
    CARRIED_ON = "removed under another name, and its rows carried on later"


@dataclass(frozen=True)
class BrokenFile:
    """One file of the log and what is wrong with it.

    `version`: the version that did it, where it is known. `mend`: the entry to take its place, if one is to. Rows that
    were carried on into other files cannot be told from those that belong there: `mendable` is False.
    """

    damage: Damage
    file: AddFile
    version: int | None = None
    mend: AddFile | None = None
    later: int | None = None

    @property
    def mendable(self) -> bool:
        return self.damage is not Damage.CARRIED_ON


def examine(table: Place) -> list[BrokenFile]:
    """What is wrong with the files of a table, by the log as far back as it goes.

    Raises DELTA_PATH_DOES_NOT_EXIST, DELTA_UNSUPPORTED_FEATURES_FOR_READ.
    """
    log = DeltaLog(table)
    state = load_state(log, with_files=True)
    require_readable(table, state.protocol, state.metadata)
    return _findings(log, state)


def repair(table: Place, clock: Clock) -> list[BrokenFile]:
    """Mend, as one version, all that can be; what was found, the same as `examine` would have told. Raises as that."""
    found: list[BrokenFile] = []

    def decide(state: TableState | None) -> list[Json] | None:
        if state is None:
            raise not_a_table(table)
        require_readable(table, state.protocol, state.metadata)
        append_route(table, state.protocol, state.metadata)
        found[:] = _findings(DeltaLog(table), state)
        mended = [finding for finding in found if finding.mendable]
        if not mended:
            return None
        now_ms = clock.now_ms()
        removed = {finding.file.key: finding.file for finding in mended}
        added = [finding.mend for finding in mended if finding.mend is not None]
        info = changes.commit_info(
            "FSCK",
            {},
            now_ms,
            read_version=state.version,
            metrics={"numRemovedFiles": len(removed), "numAddedFiles": len(added)},
        )
        return [
            info,
            *(file.removed(now_ms, data_change=False) for file in removed.values()),
            *(replace(file, data_change=False).to_json() for file in added),
        ]

    DeltaWriter(table, with_files=True).commit(decide)
    return found


def _findings(log: DeltaLog, state: TableState) -> list[BrokenFile]:
    history = _History(log)
    held = list(changes.require_files(state).values())
    found: list[BrokenFile] = list(history.carried_on)
    left: dict[str, AddFile] = {}
    for file in held:
        version = history.gone.get(_identity(file))
        if version is not None:
            found.append(BrokenFile(Damage.NOT_REMOVED, file, version))
            continue
        name = decoded(file.path)
        other = left.get(name)
        if other is not None:
            # Of two entries for one file the later one counts, as for entries whose paths are the same.
            older = min(other, file, key=lambda each: history.added.get(each.key, -1))
            found.append(BrokenFile(Damage.TWICE, older, history.added.get(older.key)))
            left[name] = file if older is other else other
            continue
        left[name] = file
    for file in left.values():
        if data_place(log.table, file.path).exists():
            continue
        plain = log.table / file.path
        if plain.exists():
            mend = replace(file, path=logged_path(log.table, plain))
            found.append(BrokenFile(Damage.NOT_ENCODED, file, history.added.get(file.key), mend))
        else:
            found.append(BrokenFile(Damage.MISSING, file, history.added.get(file.key)))
    return found


class _History:
    """What the commits that are there say of files, each known by its path without any encoding.

    `gone`: files that were removed under a name that is not theirs, and not added since, with the version that did so.
    `added`: the version that brought an entry in. `carried_on`: such files that a later version did read as part of the
    table, and wrote anew.
    """

    def __init__(self, log: DeltaLog) -> None:
        self.gone: dict[_File, int] = {}
        self.added: dict[_File, int] = {}
        self.carried_on: list[BrokenFile] = []
        versions = log.versions()
        checkpoint = log.latest_checkpoint(versions[0] - 1) if versions and versions[0] > 0 else None
        self._live: dict[_File, AddFile] = {}
        if checkpoint is not None:
            before = load_state(log, checkpoint.version, with_files=True)
            self._live = dict(changes.require_files(before))
            for path, vector in _tombstones(checkpoint):
                self._remove(RemoveFile(path, deletion_vector=None), vector, checkpoint.version)
        for version in versions:
            if checkpoint is None or version > checkpoint.version:
                self._take(log.read(version))

    def _take(self, commit: Commit) -> None:
        if commit.info.get("operation") == "RESTORE":
            restored = (commit.info.get("operationParameters") or {}).get("version")
            if restored is not None:
                self._go_back(commit, int(restored))
                return
        for remove in commit.removes:
            known = self._live.pop(remove.key, None)
            if known is None:
                self._remove(remove, remove.key[1], commit.version)
            elif _identity(known) in self.gone:
                since = self.gone.pop(_identity(known))
                if commit.adds and commit.info.get("operation") in _READ_ON:
                    self.carried_on.append(BrokenFile(Damage.CARRIED_ON, known, since, later=commit.version))
        for add in commit.adds:
            self.gone.pop(_identity(add), None)
            self.added[add.key] = commit.version
            self._live[add.key] = add

    def _go_back(self, commit: Commit, version: int) -> None:
        """The table is what it was: what had been wrong with it then is wrong again, and what came later is not."""
        undone = [finding for finding in self.carried_on if (finding.later or 0) > version]
        self.carried_on = [finding for finding in self.carried_on if finding not in undone]
        for remove in commit.removes:
            self._live.pop(remove.key, None)
        for add in commit.adds:
            self._live[add.key] = add
        for finding in undone:
            if (finding.version or 0) <= version:
                self.gone[_identity(finding.file)] = finding.version or 0
        self.gone = {identity: since for identity, since in self.gone.items() if since <= version}

    def _remove(self, remove: RemoveFile, vector: str | None, version: int) -> None:
        """Note a file that was removed under a name that nothing in the table has."""
        identity = decoded(remove.path), vector
        self.gone.setdefault(identity, version)


def _tombstones(checkpoint: LogCheckpoint) -> Iterator[_File]:
    """What a checkpoint says was removed."""
    for file in checkpoint.files:
        if file.suffix != ".parquet":
            continue
        content = pq.ParquetFile(open_input(file))
        if "remove" not in content.schema_arrow.names:
            continue
        for row in content.read(columns=["remove.path"])["remove"].to_pylist():
            if row is not None and row["path"] is not None:
                yield row["path"], None


def _identity(file: AddFile) -> _File:
    return decoded(file.path), file.key[1]
