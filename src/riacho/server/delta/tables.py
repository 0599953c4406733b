"""What can be done to a whole Delta table without touching a row: make it, redefine it, alter it, empty it.

Each function is one commit. `folder` is the table's; the clock gives the commit its time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from riacho import types
from riacho.clock import Clock
from riacho.errors import AnalysisError, IllegalArgumentError
from riacho.server.delta import changes
from riacho.server.delta import schema as schemas
from riacho.server.delta.actions import AddFile, Json, data_place
from riacho.server.delta.changes import TableDefinition
from riacho.server.delta.log import DeltaLog
from riacho.server.delta.protocol import upgraded
from riacho.server.delta.state import TableState, load_state, not_a_table
from riacho.server.delta.writer import DeltaWriter
from riacho.storage import Place


def create(folder: Place, definition: TableDefinition, clock: Clock, *, adopt: bool = True) -> bool:
    """Make an empty table, and tell whether it was made; of several who do so at once, one is told that it did.

    Where one is already, nothing happens; for `adopt` it must be the same. Raises DELTA_CREATE_TABLE_SCHEME_MISMATCH,
    DELTA_CREATE_TABLE_WITH_DIFFERENT_PARTITIONING, what `creation` raises.
    """
    made = False

    def decide(state: TableState | None) -> list[Json] | None:
        nonlocal made
        made = state is None
        if state is not None:
            if adopt:
                _require_same(folder, state, definition)
            return None
        now_ms = clock.now_ms()
        info = changes.commit_info("CREATE TABLE", _parameters(definition), now_ms, blind_append=True)
        return [info, *changes.creation(definition, now_ms)]

    DeltaWriter(folder).commit(decide)
    return made


def redefine(folder: Place, definition: TableDefinition, clock: Clock) -> None:
    """CREATE OR REPLACE: another definition and no rows; id and history stay. Raises DELTA_PATH_DOES_NOT_EXIST."""

    def decide(state: TableState | None) -> list[Json]:
        state = _present(folder, state)
        now_ms = clock.now_ms()
        info = changes.commit_info(
            "CREATE OR REPLACE TABLE", _parameters(definition), now_ms, read_version=state.version
        )
        return [info, *changes.replacement(state, definition, now_ms)]

    DeltaWriter(folder, with_files=True).commit(decide)


def alter(
    folder: Place,
    clock: Clock,
    operation: str,
    *,
    schema: pa.Schema | None = None,
    comment: str | None = None,
    properties: Mapping[str, str] | None = None,
    unset: Sequence[str] = (),
) -> None:
    """Give a table other columns, another comment or other properties; no version is made if it has them.

    Raises DELTA_PATH_DOES_NOT_EXIST and what `alteration` raises.
    """

    def decide(state: TableState | None) -> list[Json] | None:
        state = _present(folder, state)
        altered = changes.alteration(state, schema=schema, comment=comment, properties=properties, unset=unset)
        if not altered:
            return None
        parameters = {"properties": schemas.compact(dict(properties))} if properties else {}
        return [changes.commit_info(operation, parameters, clock.now_ms(), read_version=state.version), *altered]

    DeltaWriter(folder).commit(decide)


def truncate(folder: Place, clock: Clock) -> None:
    """Take all files out; no version is made if there are none.

    Raises DELTA_PATH_DOES_NOT_EXIST, DELTA_CANNOT_MODIFY_APPEND_ONLY.
    """

    def decide(state: TableState | None) -> list[Json] | None:
        state = _present(folder, state)
        now_ms = clock.now_ms()
        removed = changes.removal(state, now_ms)
        if not removed:
            return None
        metrics = {"numRemovedFiles": len(removed)}
        return [
            changes.commit_info("TRUNCATE", {}, now_ms, read_version=state.version, metrics=metrics),
            *removed,
        ]

    DeltaWriter(folder, with_files=True).commit(decide)


def restore(folder: Place, version: int, clock: Clock) -> Mapping[str, int]:
    """Make a table what it was at an older version, as a new version; what RESTORE answers.

    Raises DELTA_PATH_DOES_NOT_EXIST, DELTA_VERSION_NOT_FOUND, DELTA_CANNOT_RESTORE_TABLE_VERSION for files that are
    gone.
    """
    told: dict[str, int] = {}

    def decide(state: TableState | None) -> list[Json]:
        state = _present(folder, state)
        wanted = load_state(DeltaLog(folder), version, with_files=True)
        then, now = changes.require_files(wanted), changes.require_files(state)
        back = [file for key, file in then.items() if key not in now]
        gone = [file for key, file in now.items() if key not in then]
        _require_present(folder, version, back)
        told.update(
            table_size_after_restore=sum(file.size for file in then.values()),
            num_of_files_after_restore=len(then),
            num_removed_files=len(gone),
            num_restored_files=len(back),
            removed_files_size=sum(file.size for file in gone),
            restored_files_size=sum(file.size for file in back),
        )
        now_ms = clock.now_ms()
        metrics = {
            "tableSizeAfterRestore": told["table_size_after_restore"],
            "numOfFilesAfterRestore": len(then),
            "numRemovedFiles": len(gone),
            "numRestoredFiles": len(back),
            "removedFilesSize": told["removed_files_size"],
            "restoredFilesSize": told["restored_files_size"],
        }
        info = changes.commit_info(
            "RESTORE", {"version": version, "timestamp": None}, now_ms, read_version=state.version, metrics=metrics
        )
        protocol = upgraded(state.protocol, wanted.protocol)
        return [
            info,
            *([] if protocol == state.protocol else [protocol.to_json()]),
            *([] if wanted.metadata == state.metadata else [wanted.metadata.to_json()]),
            *(replace(file, data_change=True).to_json() for file in back),
            *(file.removed(now_ms) for file in gone),
        ]

    DeltaWriter(folder, with_files=True).commit(decide)
    return told


def _require_present(folder: Place, version: int, files: Sequence[AddFile]) -> None:
    missing = [file.path for file in files if not data_place(folder, file.path).exists()]
    if missing:
        raise IllegalArgumentError.of(
            "DELTA_CANNOT_RESTORE_TABLE_VERSION",
            f"Cannot restore the table at {folder} to version {version}: {len(missing)} of its files are missing, "
            f"the first of them {missing[0]}. They were removed by VACUUM or manually.",
            sql_state="22003",
            requestedVersion=str(version),
        )


def _parameters(definition: TableDefinition) -> dict[str, object]:
    return {
        "isManaged": "true",
        "description": definition.comment,
        "partitionBy": schemas.compact(list(definition.partition_by)),
        "properties": schemas.compact(dict(definition.properties)),
    }


def _present(folder: Place, state: TableState | None) -> TableState:
    if state is None:
        raise not_a_table(folder)
    return state


def _require_same(folder: Place, state: TableState, definition: TableDefinition) -> None:
    existing = schemas.to_arrow(state.metadata.schema_json)
    wanted = types.normalise_schema(definition.schema)
    if len(wanted) and not schemas.same_columns(existing, wanted):
        specified, found = schemas.tree(wanted), schemas.tree(existing)
        raise AnalysisError.of(
            "DELTA_CREATE_TABLE_SCHEME_MISMATCH",
            f"The specified schema does not match the existing schema at {folder}.\n\n== Specified ==\n{specified}\n\n"
            f"== Existing ==\n{found}\n\nIf your intention is to keep the existing schema, you can omit the\nschema "
            "from the create table command. Otherwise please ensure that\nthe schema matches.",
            sql_state="42KD7",
            path=str(folder),
            specifiedSchema=specified,
            existingSchema=found,
        )
    partitions = state.metadata.partition_columns
    if definition.partition_by and definition.partition_by != partitions:
        raise AnalysisError.of(
            "DELTA_CREATE_TABLE_WITH_DIFFERENT_PARTITIONING",
            f"The specified partitioning does not match the existing partitioning at {folder}.\n\n== Specified ==\n"
            f"{', '.join(definition.partition_by)}\n\n== Existing ==\n{', '.join(partitions)}\n",
            sql_state="42KD7",
            path=str(folder),
            specifiedColumns=", ".join(definition.partition_by),
            existingColumns=", ".join(partitions),
        )
