"""SCD type 1 for flows that say part of a row, or empty the whole table: IGNORE NULL UPDATES, APPLY AS TRUNCATE WHEN.

Each row keeps, leaf by leaf, the sequence of the event that wrote it (`versionMap` in its metadata): a late event may
still say what no newer one has said. A delete writes NULL to all leaves, so what is older than a delete stays away even
when the key has come back. A truncate is a delete of all keys at once; the newest one is a row of the auxiliary table
whose keys are NULL.

At the same sequence an upsert wins over a delete or a truncate, and of two upserts the one that came last, as in
`scd1`. A tombstone stays until its key is back in the target *before* a batch: the auxiliary table is written first,
and a batch that is cut off after it is computed again. Sources: Spark's `Scd1ReconciliationStrategy`, `Scd1VersionMap`
(master); Databricks' documentation of truncates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from riacho import types
from riacho.server.delta.files import conform
from riacho.server.graph.cdc import arrays
from riacho.server.graph.cdc import leaves as trees
from riacho.server.graph.cdc.changes import CdcChange, CdcCounts, CdcEvents, Flags, RowChange, new_rows, replaced
from riacho.server.graph.cdc.definition import METADATA, CdcFlow
from riacho.server.graph.cdc.keys import numbered
from riacho.server.graph.cdc.order import ranks
from riacho.server.graph.cdc.scd1 import DELETED_AT, UPSERTED_AT

Places = npt.NDArray[np.int64]
_NONE = -1


def metadata_field(flow: CdcFlow) -> pa.Field:
    """The column in which a row keeps the sequences of what made it."""
    parts = [pa.field(DELETED_AT, flow.sequence), pa.field(UPSERTED_AT, flow.sequence)]
    if flow.definition.ignore_nulls is not None:
        parts.append(pa.field(trees.VERSION_MAP, pa.map_(pa.string(), flow.sequence)))
    return pa.field(METADATA, pa.struct(parts), nullable=False)


class Scd1Leaves:
    """See the module, and `changes.Strategy`."""

    def target_schema(self, flow: CdcFlow) -> pa.Schema:
        """The selected columns, and the metadata."""
        return flow.selected.append(metadata_field(flow))

    def auxiliary_schema(self, flow: CdcFlow) -> pa.Schema:
        """The keys, and the metadata."""
        return types.nullable(flow.key_schema).append(metadata_field(flow))

    def apply(self, flow: CdcFlow, events: CdcEvents, target: pa.Table, auxiliary: pa.Table) -> CdcChange:
        """The changes that a batch makes; `auxiliary` holds the row without keys too, if there is one."""
        batch = _LeafWise(flow, events, target, auxiliary)
        return CdcChange(batch.target_change(), batch.auxiliary_change(), batch.counts())


@dataclass(frozen=True)
class _SaidLeaf:
    """What the events and the stored rows say of a leaf, or of a column as a whole."""

    names: tuple[str, ...]
    """What it is called in version maps; a whole column stands for all its leaves."""
    column: str
    values: pa.Array
    said: npt.NDArray[np.int64]
    """For each stored row and each event when it was said, as a rank; 0 where nothing was."""


class _LeafWise:
    """A batch beside what is stored. Candidates are the rows of the target, then the events; keys are numbers."""

    def __init__(self, flow: CdcFlow, events: CdcEvents, target: pa.Table, auxiliary: pa.Table) -> None:
        self.flow, self.events, self.target, self.auxiliary = flow, events, target, auxiliary
        keys, self.target_keys, self.auxiliary_keys = numbered(flow.keys, events.rows, target, auxiliary)
        self.keys = np.concatenate([self.target_keys, keys])
        self.count = 1 + int(max(keys.max(initial=-1), self.keys.max(initial=-1), self.auxiliary_keys.max(initial=-1)))
        self.everywhere = arrays.flags(arrays.whole(auxiliary.column(flow.keys[0])).is_null())
        """Which row of the auxiliary table is about all keys."""
        self._put_in_order()
        self._bury(keys)
        self.leaves = self._leaves()
        self._win()

    def _put_in_order(self) -> None:
        """Number the sequences of everything."""
        sequence = self.flow.sequence
        stored, tombs = (arrays.whole(table.column(METADATA)) for table in (self.target, self.auxiliary))
        kind = pa.map_(pa.string(), sequence)
        self.maps = arrays.child(stored, trees.VERSION_MAP, kind)
        parts = [
            conform(arrays.whole(self.events.sequence), sequence),
            arrays.child(stored, UPSERTED_AT, sequence),
            arrays.child(tombs, DELETED_AT, sequence),
            trees.values_of(self.maps),
        ]
        self.places, self.upserted_at, self.deleted_at, self.recorded_at = ranks(*parts)
        self.times = pa.concat_arrays(parts)
        every = np.concatenate([self.places, self.upserted_at, self.deleted_at, self.recorded_at])
        self.time_of = np.full(1 + int(every.max(initial=0)), _NONE, dtype=np.int64)
        self.time_of[every] = np.arange(len(every))
        self.time_of[0] = _NONE

    def _bury(self, keys: Places) -> None:
        """Find for each key up to when it is deleted, and since when it is there."""
        truncates = self.events.truncates
        self.deletes = self.events.deletes & ~truncates
        self.upserts = ~self.events.deletes & ~truncates
        self.truncated = int(self.deleted_at[self.everywhere].max(initial=0))
        self.truncates = int(self.places[truncates].max(initial=0))
        own = np.zeros(self.count, dtype=np.int64)
        alone = ~self.everywhere
        np.maximum.at(own, self.auxiliary_keys[alone], self.deleted_at[alone])
        self.before = np.maximum(own, self.truncated)
        np.maximum.at(own, keys[self.deletes], self.places[self.deletes])
        self.own = own
        """When the key itself was deleted last."""
        self.buried = np.maximum(own, max(self.truncated, self.truncates))
        self.stored = np.zeros(self.count, dtype=np.int64)
        np.maximum.at(self.stored, self.target_keys, self.upserted_at)
        self.upserted = self.stored.copy()
        np.maximum.at(self.upserted, keys[self.upserts], self.places[self.upserts])
        self.lives = (self.upserted > 0) & (self.upserted >= self.buried)

    def _leaves(self) -> list[_SaidLeaf]:
        known = {name.lower(): name for name in self.events.rows.schema.names}
        data = pa.schema(
            [
                f
                for f in self.target.schema
                if f.name != METADATA and f.name.lower() not in map(str.lower, self.flow.keys)
            ]
        )
        selection = self.flow.definition.ignore_nulls
        ignored = [] if selection is None else selection.of(data, self.flow.case_sensitive)
        rows = len(self.events)
        found = []
        for field in data:
            there = field.name.lower() in known
            fresh = (
                conform(arrays.whole(self.events.rows.column(known[field.name.lower()])), field.type)
                if there
                else pa.nulls(rows, field.type)
            )
            values = pa.concat_arrays([conform(arrays.whole(self.target.column(field.name)), field.type), fresh])
            parts = trees.leaves_of(field.name, values)
            if field.name in ignored:
                for leaf in parts:
                    open_ = arrays.flags(leaf.values.slice(len(self.target)).is_null())
                    found.append(self._leaf((leaf.name,), field.name, leaf.values, self.upserts & ~open_))
            else:
                names = tuple(leaf.name for leaf in parts)
                found.append(self._leaf(names, field.name, values, self.upserts & there))
        return found

    def _leaf(self, names: tuple[str, ...], column: str, values: pa.Array, says: Flags) -> _SaidLeaf:
        stored = self.upserted_at.copy()
        if self.maps.type.num_fields and len(self.maps):
            with_map = arrays.flags(self.maps.is_valid())
            stored[with_map] = 0
            for name in names:
                owner, place = trees.entries_of(self.maps, name)
                np.maximum.at(stored, owner, self.recorded_at[place])
        return _SaidLeaf(names, column, values, np.concatenate([stored, np.where(says, self.places, 0)]))

    def _win(self) -> None:
        """For each leaf and key: who said it last, and when; a delete has said NULL."""
        self.winner: list[Places] = []
        self.when: list[Places] = []
        changed = self.upserted > self.stored
        for leaf in self.leaves:
            last = np.zeros(self.count, dtype=np.int64)
            np.maximum.at(last, self.keys, leaf.said)
            candidates = np.flatnonzero((leaf.said > 0) & (leaf.said == last[self.keys]))
            winner = np.full(self.count, _NONE, dtype=np.int64)
            winner[self.keys[candidates]] = candidates  # of several the last
            silenced = last < self.buried
            winner[silenced] = _NONE
            changed |= (winner >= len(self.target)) | silenced
            self.winner.append(winner)
            self.when.append(np.maximum(last, self.buried))
        self.changed = changed & self.lives

    def target_change(self) -> RowChange:
        """What becomes of the target."""
        lives, changed = self.lives[self.target_keys], self.changed[self.target_keys]
        updated = np.flatnonzero(lives & changed)
        known = np.zeros(self.count, dtype=np.bool_)
        known[self.target_keys] = True
        new = np.flatnonzero(self.lives & ~known)
        return RowChange(
            deleted=np.flatnonzero(~lives),
            updated=updated,
            replacements=replaced(self.target.take(pa.array(updated)), self._columns(self.target_keys[updated])),
            inserted=new_rows(self.target.schema, len(new), {**self._keys(new), **self._columns(new)}),
        )

    def _keys(self, keys: Places) -> dict[str, pa.Array]:
        place = np.full(self.count, _NONE, dtype=np.int64)
        place[self.keys[len(self.target) :]] = np.arange(len(self.events))
        rows = pa.array(place[keys])
        return {name: arrays.whole(self.events.rows.column(name)).take(rows) for name in self.flow.keys}

    def _columns(self, keys: Places) -> dict[str, pa.Array]:
        """The data and the metadata that keys have after the batch."""
        parts: dict[str, list[pa.Array]] = {}
        for leaf, winner in zip(self.leaves, self.winner, strict=True):
            parts.setdefault(leaf.column, []).append(trees.carried(leaf.values, winner[keys]))
        columns = {}
        for name, values in parts.items():
            kind = self.target.schema.field(name).type
            whole = len(values) == 1 and values[0].type == kind
            columns[name] = values[0] if whole else trees.rebuilt(kind, iter(values))
        columns[METADATA] = self._metadata(self.upserted[keys], keys)
        return columns

    def _metadata(self, upserted: Places, keys: Places) -> pa.Array:
        names = [name for leaf in self.leaves for name in leaf.names]
        when = [self.time_of[when[keys]] for leaf, when in zip(self.leaves, self.when, strict=True) for _ in leaf.names]
        at = np.column_stack(when).reshape(-1) if when else np.zeros(0, dtype=np.int64)
        offsets = pa.array(np.arange(len(keys) + 1) * len(names), pa.int32())
        said = pa.array(names, pa.string()).take(pa.array(np.tile(np.arange(len(names)), len(keys))))
        maps = pa.MapArray.from_arrays(offsets, said, trees.carried(self.times, at))
        parts = {
            DELETED_AT: pa.nulls(len(keys), self.flow.sequence),
            UPSERTED_AT: trees.carried(self.times, self.time_of[upserted]),
            trees.VERSION_MAP: maps,
        }
        return pa.StructArray.from_arrays(list(parts.values()), names=list(parts))

    def auxiliary_change(self) -> RowChange:
        """What becomes of the tombstones."""
        keys, alone = self.auxiliary_keys, ~self.everywhere
        back = alone & self.lives[keys] & (self.stored[keys] >= self.own[keys])
        later = alone & ~back & (self.own[keys] > self.deleted_at)
        again = self.everywhere & (self.truncates > self.deleted_at)
        known = np.zeros(self.count, dtype=np.bool_)
        known[keys[alone]] = True
        mine = self.keys[len(self.target) :]
        new = np.unique(mine[self.deletes])
        new = new[~known[new] & ~(self.lives[new] & (self.stored[new] >= self.own[new]))]
        updated = np.flatnonzero(later | again)
        when = np.where(self.everywhere, self.truncates, self.own[keys])[updated]
        tombs = new_rows(self.auxiliary.schema, len(new), {**self._keys(new), METADATA: self._tombs(self.own[new])})
        first = self.truncates > 0 and not self.everywhere.any()
        whole = {METADATA: self._tombs(np.full(int(first), self.truncates))}
        return RowChange(
            deleted=np.flatnonzero(back),
            updated=updated,
            replacements=replaced(self.auxiliary.take(pa.array(updated)), {METADATA: self._tombs(when)}),
            inserted=pa.concat_tables([tombs, new_rows(self.auxiliary.schema, int(first), whole)]),
        )

    def _tombs(self, when: Places) -> pa.Array:
        return pa.StructArray.from_arrays([trees.carried(self.times, self.time_of[when])], names=[DELETED_AT])

    def counts(self) -> CdcCounts:
        """What became of the events."""
        mine = self.keys[len(self.target) :]
        truncates = self.events.truncates
        upserted = self.upserts & (self.places >= self.buried[mine])
        applied = self.deletes & (self.places == self.buried[mine]) & (self.places > self.before[mine])
        applied |= truncates & (self.places == self.truncates) & (self.places > self.truncated)
        late = ~upserted & ~applied & (self.places <= self.before[mine])
        both = int(upserted.sum()), int(applied.sum())
        return CdcCounts(*both, late=int(late.sum()), duplicate=len(self.events) - sum(both) - int(late.sum()))
