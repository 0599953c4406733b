"""From one state of a table to the next: the changes that a snapshot makes of a target.

A snapshot has all rows that there are. A key that the target has and the snapshot has not is deleted; a row changes
only if one of its values does. Snapshots come one after another, so nothing is ever late, and the target alone says all
there is to know: applied again, a snapshot changes nothing.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from riacho.errors import AnalysisError
from riacho.server.delta.deletion_vectors import Rows
from riacho.server.delta.files import conform
from riacho.server.graph.cdc import arrays, failures
from riacho.server.graph.cdc.changes import CdcCounts, Flags, RowChange, new_rows, replaced
from riacho.server.graph.cdc.definition import END_AT, METADATA, START_AT, CdcFlow, ScdType
from riacho.server.graph.cdc.keys import numbered
from riacho.server.graph.cdc.scd1 import UPSERTED_AT
from riacho.server.graph.cdc.scd2 import RECORD_START_AT
from riacho.server.state.hashing import hash_keys

_NONE = -1


def change_of(flow: CdcFlow, snapshot: pa.Table, version: pa.Scalar, target: pa.Table) -> tuple[RowChange, CdcCounts]:
    """What a snapshot makes of the target, whose rows are all given, and how many keys changed.

    `snapshot` has the flow's selected columns. Raises AUTOCDC_MICROBATCH_VALIDATION.NULL_KEY, and
    AUTOCDC_SNAPSHOT_DUPLICATE_KEYS for two rows of one key.
    """
    _check_no_nulls(flow, snapshot)
    stored = np.arange(len(target))
    if flow.stored_as is ScdType.TYPE_2:
        stored = np.flatnonzero(arrays.flags(arrays.whole(target.column(END_AT)).is_null()))
    current = target.take(pa.array(stored))
    new, old = numbered(flow.keys, snapshot, current)
    place_of = np.full(1 + int(max(new.max(initial=-1), old.max(initial=-1))), _NONE, dtype=np.int64)
    place_of[new] = np.arange(len(new))
    if len(new) != int((place_of >= 0).sum()):
        raise _repeated(flow, snapshot, new)
    after = place_of[old]
    gone = after == _NONE
    known = np.zeros(len(place_of), dtype=np.bool_)
    known[old] = True
    comes = np.flatnonzero(~known[new])
    both = np.flatnonzero(~gone)
    data = [name for name in flow.selected.names if name not in flow.keys]
    changed = both[_differ(data, snapshot, after[both], current, both)]
    counts = CdcCounts(upserted=len(comes) + len(changed), deleted=int(gone.sum()))
    if flow.stored_as is ScdType.TYPE_1:
        return (
            RowChange(
                deleted=np.flatnonzero(gone),
                updated=changed,
                replacements=replaced(current.take(pa.array(changed)), _row(flow, snapshot, after[changed], version)),
                inserted=new_rows(target.schema, len(comes), _row(flow, snapshot, comes, version)),
            ),
            counts,
        )
    history = flow.definition.track_history
    tracked = (
        data if history is None else history.of(pa.schema([flow.selected.field(n) for n in data]), flow.case_sensitive)
    )
    ends = changed[_differ(tracked, snapshot, after[changed], current, changed)]
    stays = np.setdiff1d(changed, ends)
    closed = np.concatenate([np.flatnonzero(gone), ends])
    opened = np.concatenate([comes, after[ends]])
    values = _row(flow, snapshot, after[stays], version)
    values.pop(START_AT)
    replacements = [
        replaced(current.take(pa.array(closed)), {END_AT: _repeat(version, len(closed))}),
        replaced(current.take(pa.array(stays)), values),
    ]
    return (
        RowChange(
            deleted=np.empty(0, dtype=np.int64),
            updated=np.concatenate([stored[closed], stored[stays]]),
            replacements=pa.concat_tables(replacements),
            inserted=new_rows(target.schema, len(opened), _row(flow, snapshot, opened, version)),
        ),
        counts,
    )


def _row(flow: CdcFlow, snapshot: pa.Table, rows: Rows, version: pa.Scalar) -> dict[str, pa.Array]:
    """Rows of the snapshot as those of the target that begin with it."""
    taken = snapshot.take(pa.array(rows))
    columns: dict[str, pa.Array] = {name: arrays.whole(taken.column(name)) for name in flow.selected.names}
    since = _repeat(version, len(rows))
    name = UPSERTED_AT if flow.stored_as is ScdType.TYPE_1 else RECORD_START_AT
    columns[METADATA] = pa.StructArray.from_arrays([since], names=[name])
    if flow.stored_as is ScdType.TYPE_2:
        columns[START_AT] = since
    return columns


def _differ(names: list[str], left: pa.Table, left_rows: Rows, right: pa.Table, right_rows: Rows) -> Flags:
    """Where rows of two tables differ in some columns; of a column that the right table lacks all is NULL."""
    there = {name.lower(): name for name in right.schema.names}
    ours, theirs = [], []
    for name in names:
        column = arrays.whole(left.column(name)).take(pa.array(left_rows))
        ours.append(arrays.comparable(column))
        other = there.get(name.lower())
        found = (
            pa.nulls(len(right), column.type)
            if other is None
            else conform(arrays.whole(right.column(other)), column.type)
        )
        theirs.append(arrays.comparable(found.take(pa.array(right_rows))))
    one, two = hash_keys(ours, len(left_rows)), hash_keys(theirs, len(right_rows))
    return np.asarray((one.high != two.high) | (one.low != two.low))


def _repeat(version: pa.Scalar, times: int) -> pa.Array:
    return pa.repeat(version, times)


def _check_no_nulls(flow: CdcFlow, snapshot: pa.Table) -> None:
    counts = {key: snapshot.column(key).null_count for key in flow.keys}
    if any(counts.values()):
        name = str(flow.definition.source)
        raise failures.null_keys(name, 0, {key: count for key, count in counts.items() if count})


def _repeated(flow: CdcFlow, snapshot: pa.Table, numbers: Rows) -> AnalysisError:
    order = np.argsort(numbers, kind="stable")
    twice = order[1:][numbers[order][1:] == numbers[order][:-1]]
    example = {key: snapshot.column(key)[int(twice[0])].as_py() for key in flow.keys}
    return AnalysisError.of(
        "AUTOCDC_SNAPSHOT_DUPLICATE_KEYS",
        f"A snapshot for {flow.definition.source} has {len(twice)} row(s) whose key another row has already, among "
        f"them {example}. In a snapshot the keys of all rows must differ: choose other keys, or leave out rows in the "
        "query.",
        sql_state="23505",
        count=str(len(twice)),
        example=str(example),
    )
