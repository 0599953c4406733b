"""Look into the state of a checkpoint without running its query. Nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import pyarrow as pa

from riacho.server.state import compaction
from riacho.server.state.memory import BlockPool
from riacho.server.state.places import state_place
from riacho.server.state.run import SYSTEM_FIELDS, Run
from riacho.server.state.store import BEGINNING, Manifest, parse_manifest
from riacho.storage import Place


@dataclass(frozen=True)
class StoreFacts:
    """The newest version of one store. `dead_before_us`: microseconds; None if nothing is evicted."""

    operator: int
    store: str
    version: int
    rows: int
    files: int
    bytes: int
    dead_before_us: int | None
    folder: Place


def stores(checkpoint: Place) -> list[StoreFacts]:
    """The stores of a checkpoint, by operator; those without a readable version are left out."""
    found = []
    folders: list[Place] = []
    folders.extend((checkpoint / "state").glob("*/*"))
    for folder in sorted(folders, key=str):
        manifest = _newest(folder) if folder.parent.name.isdigit() else None
        if manifest is not None:
            found.append(
                StoreFacts(
                    operator=int(folder.parent.name),
                    store=folder.name,
                    version=manifest.version,
                    rows=manifest.rows,
                    files=len(manifest.runs),
                    bytes=sum(run.bytes for run in manifest.runs),
                    dead_before_us=None if manifest.floor == BEGINNING else manifest.floor,
                    folder=folder,
                )
            )
    return found


def live_rows(store: StoreFacts) -> Iterator[pa.Table]:
    """The rows that are alive, in parts: the time behind which each is dead, and the operator's columns.

    Raises DamagedFile.
    """
    manifest = _newest(store.folder)
    if manifest is None:
        return
    pool = BlockPool()
    with closing(state_place(store.folder)) as place:
        place.fetch(info.file for info in manifest.runs)
        runs = [Run.open(place.folder, info, pool) for info in manifest.runs]
        if not runs:
            return
        hidden = {field.name for field in SYSTEM_FIELDS} - {"_time"}
        for part in compaction.merge(runs, floor=manifest.floor, oldest=True, unique=False):
            yield part.drop_columns(sorted(hidden))


def _newest(folder: Place) -> Manifest | None:
    with closing(state_place(folder)) as place:
        names = [name.removesuffix(".json") for name in place.names() if name.endswith(".json")]
        versions = sorted((int(name) for name in names if name.isdigit()), reverse=True)
        return next((found for v in versions if (found := parse_manifest(place, f"{v}.json")) is not None), None)
