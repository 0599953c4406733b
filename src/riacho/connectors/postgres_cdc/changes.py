"""Messages of the log as rows: which transaction, which table, which operation, which values.

A row's `position` counts the changes of its transaction; together with the transaction's place in the log it names a
change, so that a reader that was cut off goes on where it was. An update that changes the key is two rows: the row of
the old key is deleted, the one of the new key is updated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from riacho.connectors.postgres_cdc import pgoutput
from riacho.connectors.postgres_cdc.pgoutput import LoggedTable, LogMessages, Mask, Positions, RowTuples

_NAMES: Final = pa.array(["insert", "update", "delete", "truncate"])
INSERTED, UPDATED, DELETED, TRUNCATED = range(4)


@dataclass(frozen=True)
class FollowedTable:
    """A table that the stream follows. `key`: its primary key, for tables whose log tells whole old rows."""

    table: str
    key: tuple[str, ...]


@dataclass(frozen=True)
class ChangeRows:
    """Changes of one table. `texts`: its columns as PostgreSQL writes them; `unchanged`: those of them that have large
    values which the log does not tell; `before`: the old rows, where asked for. `order`: where they come among the rows
    of the same call.
    """

    table: str
    relation: LoggedTable
    operations: pa.Array
    order: Positions
    lsns: Positions
    commit_lsns: Positions
    times_us: Positions
    transactions: Positions
    positions: Positions
    texts: Mapping[str, pa.Array]
    unchanged: Mapping[str, Mask]
    before: Mapping[str, pa.Array]


@dataclass(frozen=True)
class _ChangeDraft:
    """Rows before they have their positions: `message` and `second` say where they come in the log."""

    relation: LoggedTable
    followed: FollowedTable
    message: Positions
    second: npt.NDArray[np.int32]
    operations: npt.NDArray[np.int8]
    texts: Mapping[str, pa.Array]
    unchanged: Mapping[str, Mask]
    before: Mapping[str, pa.Array]


class ChangeDecoder:
    """Takes the messages of one look into the slot, in order, in as many calls as one likes.

    Gives the rows of transactions that were committed in [start, end), after `after`: a transaction's place and a
    position in it. `follow` tells which table a relation is of, None for one that nobody wants; it is called for each
    description of a table that the log has, and may refuse it.
    """

    def __init__(
        self, start: int, end: int, follow: Callable[[LoggedTable], FollowedTable | None], *, before: bool = False
    ) -> None:
        self._start, self._end = start, end
        self._follow = follow
        self._before = before
        self._relations: dict[int, tuple[LoggedTable, FollowedTable | None]] = {}
        self._commit_lsn = self._time_us = self._transaction = self._position = 0

    def rows(self, lsns: Positions, messages: Sequence[bytes]) -> list[ChangeRows]:
        """The rows of these messages, table by table; each table's in the order of the log."""
        buffer = LogMessages(messages)
        kinds = buffer.kinds
        begins = np.flatnonzero(kinds == pgoutput.BEGIN)
        of = np.cumsum(kinds == pgoutput.BEGIN)
        commits = np.concatenate(([self._commit_lsn], buffer.uint(buffer.starts[begins] + 1, 8)))
        times = np.concatenate(([self._time_us], buffer.uint(buffer.starts[begins] + 9, 8) + pgoutput.EPOCH_US))
        transactions = np.concatenate(([self._transaction], buffer.uint(buffer.starts[begins] + 17, 4)))
        wanted = (commits >= self._start) & (commits < self._end)
        drafts = list(self._drafts(buffer, messages, wanted[of]))

        counts = np.zeros(len(messages), np.int64)
        for draft in drafts:
            np.add.at(counts, draft.message, 1)
        before_each = np.cumsum(counts) - counts
        bases = np.concatenate(([-self._position], before_each[begins]))
        found = []
        for draft in drafts:
            number = of[draft.message]
            positions = before_each[draft.message] - bases[number] + draft.second + 1
            found.append(
                ChangeRows(
                    table=draft.followed.table,
                    relation=draft.relation,
                    operations=_NAMES.take(pa.array(draft.operations)),
                    order=before_each[draft.message] + draft.second,
                    lsns=lsns[draft.message],
                    commit_lsns=commits[number],
                    times_us=times[number],
                    transactions=transactions[number],
                    positions=positions,
                    texts=draft.texts,
                    unchanged=draft.unchanged,
                    before=draft.before,
                )
            )
        if len(messages):
            self._position = int(counts.sum() - bases[-1])
            self._commit_lsn, self._time_us, self._transaction = int(commits[-1]), int(times[-1]), int(transactions[-1])
        return found

    def _drafts(self, buffer: LogMessages, messages: Sequence[bytes], wanted: Mask) -> Iterator[_ChangeDraft]:
        """Between two descriptions of tables each table has one form: these stretches are read as a whole."""
        kinds = buffer.kinds
        stretch = 0
        for at in (*np.flatnonzero(kinds == pgoutput.RELATION), len(messages)):
            yield from self._stretch(buffer, messages, wanted, stretch, int(at))
            if at < len(messages):
                relation = LoggedTable.read(messages[int(at)])
                self._relations[relation.id] = (relation, self._follow(relation))
            stretch = int(at) + 1

    def _stretch(
        self, buffer: LogMessages, messages: Sequence[bytes], wanted: Mask, first: int, end: int
    ) -> Iterator[_ChangeDraft]:
        kinds, here = buffer.kinds[first:end], wanted[first:end]
        data = (kinds == pgoutput.INSERT) | (kinds == pgoutput.UPDATE) | (kinds == pgoutput.DELETE)
        rows = np.flatnonzero(data & here) + first
        ids = buffer.uint(buffer.starts[rows] + 1, 4)
        for relation_id in np.unique(ids):
            relation, followed = self._relations[int(relation_id)]
            if followed is not None:
                yield from self._changes(buffer, rows[ids == relation_id], relation, followed)
        for at in map(int, np.flatnonzero((kinds == pgoutput.TRUNCATE) & here) + first):
            number = 0
            for relation_id in pgoutput.truncated(messages[at]):
                relation, followed = self._relations[relation_id]
                if followed is not None:
                    yield _truncation(relation, followed, at, number)
                    number += 1

    def _changes(
        self, buffer: LogMessages, rows: Positions, relation: LoggedTable, followed: FollowedTable
    ) -> Iterator[_ChangeDraft]:
        width = len(relation.columns)
        starts, kinds = buffer.starts[rows], buffer.kinds[rows]
        has_old = (kinds == pgoutput.UPDATE) & (buffer.bytes[starts + 5] != ord("N"))
        at = starts + 6
        old = RowTuples.at(buffer, at[has_old], width)
        at[has_old] = old.ends + 1
        new = RowTuples.at(buffer, at, width)
        updates = np.flatnonzero(has_old)
        texts: dict[str, pa.Array] = {}
        unchanged: dict[str, Mask] = {}
        before: dict[str, pa.Array] = {}
        old_texts: dict[str, pa.Array] = {}
        whole = relation.identity == "f"
        is_key = _key(relation, followed)
        moved = np.zeros(len(updates), bool)
        for name, key, field, was in zip(relation.columns, is_key, new.fields, old.fields, strict=True):
            places, lengths, there, untold = field.at, field.lengths, field.there, field.unchanged
            if untold.any() and len(updates) and (whole or key):
                # The old row tells what the new one leaves out.
                fill = untold[updates] & was.there
                target = updates[fill]
                places, lengths = places.copy(), lengths.copy()
                there, untold = there.copy(), untold.copy()
                places[target], lengths[target] = was.at[fill], was.lengths[fill]
                there[target], untold[target] = True, False
            texts[name] = buffer.strings(places, lengths, there)
            if untold.any():
                unchanged[name] = untold
            if len(updates) and (key or self._before):
                old_texts[name] = buffer.strings(was.at, was.lengths, was.there)
            if key and len(updates):
                differs = pc.fill_null(pc.not_equal(old_texts[name], texts[name].take(pa.array(updates))), False)
                moved |= differs.to_numpy(zero_copy_only=False)
        operations = np.select([kinds == pgoutput.INSERT, kinds == pgoutput.UPDATE], [INSERTED, UPDATED], DELETED)
        second = np.zeros(len(rows), np.int32)
        second[updates[moved]] = 1
        if self._before:
            before = self._befores(relation, kinds, updates, old_texts, texts, rows)
        yield _ChangeDraft(relation, followed, rows, second, operations.astype(np.int8), texts, unchanged, before)
        if moved.any():
            yield _old_keys(relation, followed, rows[updates[moved]], old_texts, moved, before)

    def _befores(
        self,
        relation: LoggedTable,
        kinds: npt.NDArray[np.uint8],
        updates: Positions,
        old: Mapping[str, pa.Array],
        new: Mapping[str, pa.Array],
        rows: Positions,
    ) -> dict[str, pa.Array]:
        """The old rows as far as the log tells them: of updates from the old row, of deletes what they have."""
        deleted = pa.array(kinds == pgoutput.DELETE)
        index = np.full(len(rows), -1, np.int64)
        index[updates] = np.arange(len(updates))
        picks = pa.array(index, mask=index < 0)
        nothing = pa.nulls(len(rows), pa.string())
        return {
            name: pc.if_else(deleted, new[name], old[name].take(picks) if name in old else nothing)
            for name in relation.columns
        }


def _key(relation: LoggedTable, followed: FollowedTable) -> tuple[bool, ...]:
    """Which columns are the key: the log says so, unless it tells whole old rows; then the primary key is."""
    if relation.identity != "f":
        return relation.key
    return tuple(name in followed.key for name in relation.columns)


def _old_keys(
    relation: LoggedTable,
    followed: FollowedTable,
    messages: Positions,
    old: Mapping[str, pa.Array],
    moved: Mask,
    before: Mapping[str, pa.Array],
) -> _ChangeDraft:
    """The deletes of rows whose key was changed."""
    picked = pa.array(np.flatnonzero(moved))
    keys = {name: texts.take(picked) for name, texts in old.items()}
    nothing = pa.nulls(len(messages), pa.string())
    return _ChangeDraft(
        relation,
        followed,
        messages,
        np.zeros(len(messages), np.int32),
        np.full(len(messages), DELETED, np.int8),
        {name: keys.get(name, nothing) for name in relation.columns},
        {},
        {name: keys.get(name, nothing) for name in relation.columns} if before else {},
    )


def _truncation(relation: LoggedTable, followed: FollowedTable, message: int, number: int) -> _ChangeDraft:
    return _ChangeDraft(
        relation,
        followed,
        np.array([message], np.int64),
        np.array([number], np.int32),
        np.array([TRUNCATED], np.int8),
        {},
        {},
        {},
    )
