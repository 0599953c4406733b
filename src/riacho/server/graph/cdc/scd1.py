"""SCD type 1: the target has the newest state of each key.

The auxiliary table has a tombstone for each key whose newest event deleted it, so that an older event that comes later
does not bring it back. Of events with the same place in the sequence, an upsert wins over a delete, and of several
upserts the one that came last. Source: Spark's `Scd1BatchProcessor`, whose steps these are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from riacho import types
from riacho.server.delta.deletion_vectors import Rows
from riacho.server.graph.cdc.changes import (
    CdcChange,
    CdcCounts,
    CdcEvents,
    Flags,
    RowChange,
    field_of,
    new_rows,
    replaced,
)
from riacho.server.graph.cdc.definition import METADATA, CdcFlow
from riacho.server.graph.cdc.keys import numbered
from riacho.server.graph.cdc.order import ranks

DELETED_AT = "deleteSequence"
UPSERTED_AT = "upsertSequence"


def metadata_field(flow: CdcFlow) -> pa.Field:
    """The column in which a row keeps the place in the sequence of the event that made it."""
    parts = [pa.field(DELETED_AT, flow.sequence), pa.field(UPSERTED_AT, flow.sequence)]
    return pa.field(METADATA, pa.struct(parts), nullable=False)


class Scd1:
    """See the module, and `changes.Strategy`."""

    def target_schema(self, flow: CdcFlow) -> pa.Schema:
        return flow.selected.append(metadata_field(flow))

    def auxiliary_schema(self, flow: CdcFlow) -> pa.Schema:
        return types.nullable(flow.key_schema).append(metadata_field(flow))

    def apply(self, flow: CdcFlow, events: CdcEvents, target: pa.Table, auxiliary: pa.Table) -> CdcChange:
        keys, target_keys, auxiliary_keys = numbered(flow.keys, events.rows, target, auxiliary)
        places, upserted_at, deleted_at = ranks(
            events.sequence,
            field_of(target.column(METADATA), UPSERTED_AT),
            field_of(auxiliary.column(METADATA), DELETED_AT),
        )
        newest = _newest(keys, places, events.deletes)
        count = 1 + max((int(each.max(initial=-1)) for each in (keys, target_keys, auxiliary_keys)), default=0)
        buried = np.zeros(count, dtype=np.int64)
        np.maximum.at(buried, auxiliary_keys, deleted_at)
        alive = newest[places[newest] >= buried[keys[newest]]]

        state = _State.of(alive, keys, places, events.deletes, count)
        tombstones = state.beside(auxiliary_keys, deleted_at)
        present = state.beside(target_keys, upserted_at)
        applied = np.ones(len(events), dtype=np.bool_)
        applied[present.event[present.event >= 0]] = False  # but for those that win, below
        applied[present.event[present.wins]] = True

        metadata = _metadata(flow, events)
        return CdcChange(
            self._target(flow, events, target, present, state, metadata),
            self._auxiliary(flow, events, auxiliary, tombstones, state, metadata),
            _counts(events, newest, alive, applied),
        )

    @staticmethod
    def _target(
        flow: CdcFlow, events: CdcEvents, target: pa.Table, present: _Beside, state: _State, metadata: pa.Array
    ) -> RowChange:
        updated = np.flatnonzero(present.wins & ~present.deletes)
        by = present.event[updated]
        values: dict[str, pa.Array | pa.ChunkedArray] = {
            name: events.rows.column(name).take(pa.array(by)) for name in flow.selected.names if name not in flow.keys
        }
        values[METADATA] = metadata.take(pa.array(by))
        new = _unmatched(state.upserts, present, len(events))
        return RowChange(
            deleted=np.flatnonzero(present.wins & present.deletes),
            updated=updated,
            replacements=replaced(target.take(pa.array(updated)), values),
            inserted=_inserted(target.schema, events, flow.selected.names, metadata, new),
        )

    @staticmethod
    def _auxiliary(
        flow: CdcFlow, events: CdcEvents, auxiliary: pa.Table, tombstones: _Beside, state: _State, metadata: pa.Array
    ) -> RowChange:
        updated = np.flatnonzero(tombstones.wins & tombstones.deletes)
        by = pa.array(tombstones.event[updated])
        new = _unmatched(state.deletes, tombstones, len(events))
        return RowChange(
            deleted=np.flatnonzero(tombstones.wins & ~tombstones.deletes),
            updated=updated,
            replacements=replaced(auxiliary.take(pa.array(updated)), {METADATA: metadata.take(by)}),
            inserted=_inserted(auxiliary.schema, events, flow.keys, metadata, new),
        )


def _newest(keys: Rows, places: Rows, deletes: Flags) -> Rows:
    """Of each key the event with the highest place in the sequence, of several an upsert, of several the last.

    So it does not matter where batches were cut. Spark takes any of those with the highest place.
    """
    order = np.lexsort((~deletes, places, keys))
    last = np.ones(len(order), dtype=np.bool_)
    last[:-1] = keys[order][1:] != keys[order][:-1]
    found: Rows = np.sort(order[last])
    return found


@dataclass(frozen=True)
class _Beside:
    """For each row of a table the event of its key (-1: none), whether that is a delete, and whether it wins."""

    event: Rows
    deletes: Flags
    wins: Flags


def _unmatched(which: Rows, rows: _Beside, events: int) -> Rows:
    """Those of the events `which` whose key no row has."""
    matched = np.zeros(events, dtype=np.bool_)
    matched[rows.event[rows.event >= 0]] = True
    return which[~matched[which]]


@dataclass(frozen=True)
class _State:
    """The events that count, one per key at most: which, and by the number of the key."""

    upserts: Rows
    deletes: Rows
    by_key: Rows
    places: Rows
    is_delete: Flags

    @classmethod
    def of(cls, alive: Rows, keys: Rows, places: Rows, is_delete: Flags, count: int) -> _State:
        by_key = np.full(count, -1, dtype=np.int64)
        by_key[keys[alive]] = alive
        return cls(alive[~is_delete[alive]], alive[is_delete[alive]], by_key, places, is_delete)

    def beside(self, row_keys: Rows, row_places: Rows) -> _Beside:
        """What these rows, which have a place in the sequence each, get to do with. A place of 0 is none."""
        if not len(self.places):
            none = np.zeros(len(row_keys), dtype=np.bool_)
            return _Beside(np.full(len(row_keys), -1, dtype=np.int64), none, none)
        event = self.by_key[row_keys]
        has_event = (event >= 0) & (row_places > 0)
        deletes = self.is_delete[event] & (event >= 0)
        place = self.places[event]
        return _Beside(event, deletes, has_event & np.where(deletes, place > row_places, place >= row_places))


def _metadata(flow: CdcFlow, events: CdcEvents) -> pa.Array:
    """The metadata of each event: its place in the sequence, as that of an upsert or of a delete."""
    sequence = events.sequence.combine_chunks()
    none = pa.scalar(None, sequence.type)
    rows = np.arange(len(sequence))
    with_null = pa.concat_arrays([sequence, pa.nulls(1, none.type)])
    parts = [with_null.take(pa.array(np.where(mine, rows, len(rows)))) for mine in (events.deletes, ~events.deletes)]
    return pa.StructArray.from_arrays(parts, fields=list(metadata_field(flow).type))


def _inserted(
    schema: pa.Schema, events: CdcEvents, names: list[str] | tuple[str, ...], metadata: pa.Array, which: Rows
) -> pa.Table:
    rows = pa.array(which)
    values: Mapping[str, pa.Array | pa.ChunkedArray] = {
        **{name: events.rows.column(name).take(rows) for name in names},
        METADATA: metadata.take(rows),
    }
    return new_rows(schema, len(which), values)


def _counts(events: CdcEvents, newest: Rows, alive: Rows, applied: Flags) -> CdcCounts:
    done = alive[applied[alive]]
    deleted = int(events.deletes[done].sum())
    return CdcCounts(
        upserted=len(done) - deleted,
        deleted=deleted,
        late=len(newest) - len(done),
        duplicate=len(events) - len(newest),
    )
