"""SCD type 2: all versions that the rows of a table had, from changes in any order.

The history of a key is the set of its events, and both tables together hold that set, so the result depends neither on
the order of events nor on where batches are cut:

- Consecutive upserts that are equal in all tracked columns are one version, a *run*. The target has the last of them
  (`__RECORD_START_AT` is its sequence), with the interval `[__START_AT, __END_AT)` that begins with the first; the
  others are rows of the auxiliary table.
- A delete is a row of the auxiliary table, a *tombstone*. The end of a row of the target stands for an event too, so
  a tombstone that ends a version can be forgotten, and the version stays closed.

At the same sequence a delete wins over an upsert. Of several upserts with the same key and sequence one wins, whatever
their order: Spark leaves it open which; here it follows from their values alone.

A batch is committed to the auxiliary table first, then to the target. A row that becomes visible stays in the auxiliary
table as well, until a later batch finds it in both. So after the first commit both tables together still hold all
events, and the batch can be computed again from them.

Sources: Spark's `Scd2BatchProcessor` (master), Databricks' documentation of AUTO CDC.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from riacho import types
from riacho.server.delta.files import conform
from riacho.server.graph.cdc import arrays
from riacho.server.graph.cdc import leaves as trees
from riacho.server.graph.cdc.changes import CdcChange, CdcCounts, CdcEvents, Flags, RowChange, new_rows
from riacho.server.graph.cdc.definition import END_AT, METADATA, START_AT, CdcFlow, find
from riacho.server.graph.cdc.order import ranks
from riacho.server.state.hashing import KeyHash, hash_keys

Places = npt.NDArray[np.int64]

FRAMEWORK: Final = (START_AT, END_AT, METADATA)
RECORD_START_AT: Final = "__RECORD_START_AT"

_TAIL, _UPSERT, _DELETE = 0, 1, 2
"""What an event is; at the same sequence the greater one wins. A tail is the end of a row of the target."""
_NOWHERE = -1


class Scd2:
    """See the module, and `changes.Strategy`."""

    def target_schema(self, flow: CdcFlow) -> pa.Schema:
        """The selected columns and the framework's own."""
        return pa.schema([*flow.selected, *_framework(flow)])

    def auxiliary_schema(self, flow: CdcFlow) -> pa.Schema:
        """The same columns, keys first."""
        others = [field for field in flow.selected if field.name not in flow.keys]
        return types.nullable(pa.schema([*flow.key_schema, *others, *_framework(flow)]))

    def apply(self, flow: CdcFlow, events: CdcEvents, target: pa.Table, auxiliary: pa.Table) -> CdcChange:
        """The changes that a batch makes."""
        history = _Histories(flow, events, target, auxiliary)
        changes = _target_change(history, target), _auxiliary_change(history, auxiliary)
        first = len(target) + len(auxiliary)
        won = (history.winners >= first) & (history.winners < first + len(events))
        upserted, deleted = int((won & history.is_upsert).sum()), int((won & history.is_delete).sum())
        counts = CdcCounts(upserted, deleted, late=0, duplicate=len(events) - upserted - deleted)
        return CdcChange(*changes, counts)


def _framework(flow: CdcFlow) -> list[pa.Field]:
    """The columns that are not the user's."""
    fields = [pa.field(RECORD_START_AT, flow.sequence)]
    if flow.definition.ignore_nulls is not None:
        fields.append(pa.field(trees.VERSION_MAP, trees.AUTHORED_NULLS))
    interval = [pa.field(name, flow.sequence) for name in (START_AT, END_AT)]
    return [*interval, pa.field(METADATA, pa.struct(fields), nullable=False)]


@dataclass(frozen=True)
class _TargetColumns:
    """The columns of the target: all of the user's, `keys` and `data` apart.

    `tracked`: those whose changes make a new version. `ignore_nulls`: those in which the null of an upsert means that
    the value stays.
    """

    flow: CdcFlow
    target: pa.Schema

    @cached_property
    def columns(self) -> pa.Schema:
        return pa.schema([field for field in self.target if field.name not in FRAMEWORK])

    @cached_property
    def keys(self) -> tuple[str, ...]:
        names = (find(self.columns, key, self.flow.case_sensitive) for key in self.flow.keys)
        return tuple(name for name in names if name is not None)

    @cached_property
    def data(self) -> pa.Schema:
        return pa.schema([field for field in self.columns if field.name not in self.keys])

    @cached_property
    def tracked(self) -> list[str]:
        history = self.flow.definition.track_history
        return list(self.data.names) if history is None else history.of(self.data, self.flow.case_sensitive)

    @cached_property
    def ignore_nulls(self) -> list[str]:
        selection = self.flow.definition.ignore_nulls
        return [] if selection is None else selection.of(self.data, self.flow.case_sensitive)


class _StoredVersions:
    """Rows of one of the two tables, by what they are made of."""

    def __init__(self, table: pa.Table, layout: _TargetColumns) -> None:
        sequence = layout.flow.sequence
        self.rows = len(table)
        self.columns = _user_columns(table, layout.columns)
        self.start = arrays.column(table, START_AT, sequence)
        self.end = arrays.column(table, END_AT, sequence)
        metadata = arrays.whole(table[METADATA])
        self.record = arrays.child(metadata, RECORD_START_AT, sequence)
        self.versions = arrays.child(metadata, trees.VERSION_MAP, trees.AUTHORED_NULLS)


def _user_columns(table: pa.Table, columns: pa.Schema) -> dict[str, pa.Array]:
    known = {name.lower(): name for name in table.schema.names}
    return {
        field.name: conform(arrays.whole(table[known[field.name.lower()]]), field.type)
        if field.name.lower() in known
        else pa.nulls(len(table), field.type)
        for field in columns
    }


class _Histories:
    """The events of all keys of a batch, in order, and what follows from them.

    Contents stand one after another: the rows of the target, those of the auxiliary table, the batch's. Entries are the
    contents and the tails. `winners` are the entries that count, by key and sequence; the flags and places are theirs.
    """

    def __init__(self, flow: CdcFlow, events: CdcEvents, target: pa.Table, auxiliary: pa.Table) -> None:
        self.layout = layout = _TargetColumns(flow, target.schema)
        before, beside = _StoredVersions(target, layout), _StoredVersions(auxiliary, layout)
        fresh = _user_columns(events.rows, layout.columns)
        self.contents = {
            name: pa.concat_arrays([before.columns[name], beside.columns[name], fresh[name]]) for name in fresh
        }
        nothing = pa.nulls(len(events), trees.AUTHORED_NULLS)
        self.versions = pa.concat_arrays([before.versions, beside.versions, nothing])
        closed = np.flatnonzero(arrays.flags(before.end.is_valid()))
        stored = before.rows + beside.rows
        known = stored + len(events)
        sequence = conform(arrays.whole(events.sequence), flow.sequence)
        parts = [before.record, beside.record, sequence, before.end.take(pa.array(closed)), before.start, beside.start]
        placed = ranks(*parts)
        self.times = pa.concat_arrays(parts[:4])
        """The sequences of the entries."""
        self.ranks = np.concatenate(placed[:4])
        self.starts = np.concatenate(placed[4:])
        """When the versions of stored rows began."""
        self.ends = np.full(before.rows, _NOWHERE, dtype=np.int64)
        """Which entry is the tail of a row of the target."""
        self.ends[closed] = np.arange(known, known + len(closed))
        self.source: Places = np.concatenate([np.arange(known), closed])
        """The content of an entry; of a tail, a row with the same key."""
        kind = np.full(len(self.source), _UPSERT, dtype=np.int8)
        kind[before.rows : stored][arrays.flags(beside.end.is_valid())] = _DELETE
        kind[stored:known][events.deletes] = _DELETE
        kind[known:] = _TAIL
        place = np.zeros(len(kind), dtype=np.int8)  # of equal events the stored one stays, and rather in the target
        place[: before.rows], place[before.rows : stored] = 2, 1
        keys = hash_keys([self.contents[name] for name in layout.keys], known).take(self.source)
        self._open = _open_leaves(self) if layout.ignore_nulls else {}
        self.winners = self._won(keys, kind, place)
        self._arrange(keys.take(self.winners), kind[self.winners])

    def _won(self, keys: KeyHash, kind: npt.NDArray[np.int8], place: npt.NDArray[np.int8]) -> Places:
        order = np.lexsort((place, kind, self.ranks, keys.low, keys.high))
        same = _same_as_next(keys, order) & (self.ranks[order[1:]] == self.ranks[order[:-1]])
        rivals = same & (kind[order[1:]] == _UPSERT) & (kind[order[:-1]] == _UPSERT)
        if rivals.any():
            involved = np.flatnonzero(np.append(rivals, False) | np.insert(rivals, 0, False))
            entries = order[involved]
            weight = np.zeros(len(kind), dtype=np.uint64)
            weight[entries] = self._content(self.source[entries]).high
            order = np.lexsort((place, weight, kind, self.ranks, keys.low, keys.high))
        winners: Places = order[_before(~same, True, len(order))]
        return winners

    def _content(self, rows: Places) -> KeyHash:
        """A hash of what events said."""
        columns = []
        for name in self.layout.data.names:
            values = self.contents[name].take(pa.array(rows))
            if name not in self._open:
                columns.append(arrays.comparable(values))
                continue
            for leaf, is_open in zip(trees.leaves_of(name, values), self._open[name], strict=True):
                columns.append(arrays.comparable(arrays.nulled(leaf.values, is_open[rows])))
        return hash_keys(columns, len(rows))

    def _arrange(self, keys: KeyHash, kind: npt.NDArray[np.int8]) -> None:
        count = len(self.winners)
        self.is_upsert = kind == _UPSERT
        self.is_delete = kind == _DELETE
        next_is_same = _before(_same_as_next(keys, np.arange(count)), False, count)
        previous_is_same = _after(next_is_same)
        self._fill(previous_is_same)
        followed = self.is_upsert & next_is_same & _before(self.is_upsert[1:], False, count)
        self.is_hidden = self._equals_next(np.flatnonzero(followed))
        self.is_visible = self.is_upsert & ~self.is_hidden
        begins = self.is_upsert & ~(previous_is_same & _after(self.is_hidden))
        head = np.maximum.accumulate(np.where(begins, np.arange(count), 0))
        self.head = self.winners[head]
        """The entry that the version of an upsert begins with."""
        self.next = np.where(next_is_same, _before(self.winners[1:], _NOWHERE, count), _NOWHERE)
        """The entry after one, of the same key."""
        # A tail after an upsert is the end that the upsert has anyway; otherwise it is all that is left of a delete.
        self.is_left = (kind == _TAIL) & ~(previous_is_same & _after(self.is_upsert))

    def _fill(self, previous_is_same: Flags) -> None:
        """Give open leaves the value that the key had before."""
        taken = self.source[self.winners]
        self.values = {name: self.contents[name].take(pa.array(taken)) for name in self.layout.data.names}
        """The columns of the winners, as they are to be stored; those of deletes mean nothing."""
        self.meant: dict[str, tuple[Flags, Flags]] = {}
        """For each leaf, where an event had a null, and where it meant it."""
        places = np.arange(len(taken))
        begins = ~(previous_is_same & _after(self.is_upsert))
        begin = np.maximum.accumulate(np.where(begins, places, 0))
        for name, leaf_open in self._open.items():
            filled = []
            selected = name in self.layout.ignore_nulls
            for leaf, is_open in zip(trees.leaves_of(name, self.values[name]), leaf_open, strict=True):
                unsaid = is_open[taken]
                said = np.maximum.accumulate(np.where(self.is_upsert & ~unsaid, places, _NOWHERE))
                source = np.where(unsaid, np.where(said >= begin, said, _NOWHERE), places)
                null = unsaid | arrays.flags(leaf.values.is_null())
                self.meant[leaf.name] = (null, null & ~unsaid)
                filled.append(trees.carried(leaf.values, source) if selected else leaf.values)
            if selected:
                self.values[name] = trees.rebuilt(self.layout.data.field(name).type, iter(filled))

    def _equals_next(self, places: Places) -> Flags:
        """Which of the winners at `places` have the tracked columns of the next one."""
        equal = np.zeros(len(self.winners), dtype=np.bool_)
        tracked = [arrays.comparable(self.values[name]) for name in self.layout.tracked]
        here = hash_keys([column.take(pa.array(places)) for column in tracked], len(places))
        there = hash_keys([column.take(pa.array(places + 1)) for column in tracked], len(places))
        equal[places] = (here.high == there.high) & (here.low == there.low)
        return equal

    def rows(self, places: Places, start: Places, end: Places, schema: pa.Schema, *, upserts: bool = True) -> pa.Table:
        """The winners at `places` as rows of a table, with the sequences of the entries `start` and `end`."""
        entries = self.winners[places]
        columns = {name: self.contents[name].take(pa.array(self.source[entries])) for name in self.layout.keys}
        if upserts:
            columns |= {name: values.take(pa.array(places)) for name, values in self.values.items()}
        columns |= {START_AT: trees.carried(self.times, start), END_AT: trees.carried(self.times, end)}
        parts = [self.times.take(pa.array(entries))]
        names = [RECORD_START_AT]
        if upserts:
            names.append(trees.VERSION_MAP)
            meant = {leaf: (null[places], value[places]) for leaf, (null, value) in self.meant.items()}
            said = self.versions.take(pa.array(self.source[entries]))
            parts.append(trees.version_maps(meant, len(places)) if self._open else said)
        columns[METADATA] = pa.StructArray.from_arrays(parts, names=names)
        return new_rows(schema, len(places), columns)


def _target_change(history: _Histories, target: pa.Table) -> RowChange:
    visible = np.flatnonzero(history.is_visible)
    entries, head, end = history.winners[visible], history.head[visible], history.next[visible]
    own = entries < len(target)
    mine, begins, ends = entries[own], head[own], end[own]
    old_end, order = history.ends[mine], history.ranks
    same = history.starts[mine] == order[begins]
    same &= (old_end == _NOWHERE) == (ends == _NOWHERE)
    same &= (ends == _NOWHERE) | (order[old_end] == order[ends])
    same &= _same_values(history, visible[own], mine)
    stays = np.zeros(len(target), dtype=np.bool_)
    stays[mine] = True
    changes = np.flatnonzero(own)[~same]
    comes = np.flatnonzero(~own)
    return RowChange(
        deleted=np.flatnonzero(~stays),
        updated=mine[~same],
        replacements=history.rows(visible[changes], head[changes], end[changes], target.schema),
        inserted=history.rows(visible[comes], head[comes], end[comes], target.schema),
    )


def _auxiliary_change(history: _Histories, auxiliary: pa.Table) -> RowChange:
    first = len(history.ends)
    own = (history.winners >= first) & (history.winners < first + len(auxiliary))
    stays = np.zeros(len(auxiliary), dtype=np.bool_)
    stays[history.winners[own] - first] = True  # those that become visible among them: see above
    hidden = np.flatnonzero(history.is_hidden)
    mine = hidden[own[hidden]]
    stored = history.winners[mine]
    same = history.starts[stored] == history.ranks[history.head[mine]]
    same &= _same_values(history, mine, stored)
    moved, new = mine[~same], hidden[~own[hidden]]
    tombs = np.flatnonzero((history.is_delete & ~own) | history.is_left)
    at, schema = history.winners[tombs], auxiliary.schema
    inserted = [
        history.rows(new, history.head[new], np.full_like(new, _NOWHERE), schema),
        history.rows(tombs, at, at, schema, upserts=False),
    ]
    return RowChange(
        deleted=np.flatnonzero(~stays),
        updated=history.winners[moved] - first,
        replacements=history.rows(moved, history.head[moved], np.full_like(moved, _NOWHERE), schema),
        inserted=pa.concat_tables(inserted),
    )


def _same_values(history: _Histories, places: Places, contents: Places) -> Flags:
    """Whether what is stored at `contents` is what the winners at `places` are to have."""
    ignoring = history.layout.ignore_nulls
    now = [arrays.comparable(history.values[name].take(pa.array(places))) for name in ignoring]
    old = [arrays.comparable(history.contents[name].take(pa.array(contents))) for name in ignoring]
    new_hash, old_hash = hash_keys(now, len(places)), hash_keys(old, len(places))
    return np.asarray((new_hash.high == old_hash.high) & (new_hash.low == old_hash.low))


def _open_leaves(history: _Histories) -> dict[str, list[Flags]]:
    """For each column, leaf by leaf, where the event of a content left it open."""
    versions = history.versions
    without = arrays.flags(versions.is_null())
    result = {}
    for name in history.layout.data.names:
        ignored = name in history.layout.ignore_nulls
        result[name] = [
            trees.left_open(versions, without, leaf, ignored=ignored)
            for leaf in trees.leaves_of(name, history.contents[name])
        ]
    return result


def _same_as_next(keys: KeyHash, order: Places) -> Flags:
    high, low = keys.high[order], keys.low[order]
    return np.asarray((high[1:] == high[:-1]) & (low[1:] == low[:-1]))


def _before(values: npt.NDArray[Any], last: int | bool, count: int) -> npt.NDArray[Any]:
    """`count` values: those given, and `last` at the end."""
    result = np.full(count, last, dtype=values.dtype)
    result[: len(values)] = values[:count]
    return result


def _after(flags: Flags) -> Flags:
    """The flag of the place before each; none before the first."""
    result = np.zeros_like(flags)
    result[1:] = flags[:-1]
    return result
