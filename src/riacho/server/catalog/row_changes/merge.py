"""MERGE: which rows of the target go with which of the source, which clause applies to each, and what becomes of it.

First the target's rows are joined with the source's, with no more columns than the conditions use: what comes back are
the pairs of row numbers, and the clause for each. Then each clause that changes or inserts rows is computed for its own
rows alone. The source is read once, before all else, so that every step sees the same rows of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa

from riacho import types
from riacho.errors import AnalysisError, UnsupportedOperationError
from riacho.protos import pb
from riacho.server.catalog.row_changes import assign, rewrite
from riacho.server.catalog.row_changes.change import Kept
from riacho.server.catalog.row_changes.job import Counts, Job, Runner, TableChange
from riacho.server.catalog.row_changes.scan import ROW, by_file, collect_numbers, numbered_rows, spooled
from riacho.server.catalog.row_changes.scope import Assignment, TableScope, attribute
from riacho.server.delta import schema as schemas
from riacho.server.delta.constraints import checked
from riacho.server.delta.deletion_vectors import Rows
from riacho.server.delta.write import DeltaOperation
from riacho.server.plan import build
from riacho.server.plan.mentions import mentioned
from riacho.storage import Place

_SOURCE = "__riacho_source"
"""The column of a source row's number."""
_PAIR = "__riacho_pair"
"""The column of a source row that has the number of the target row it goes with."""
_NO_CLAUSE = -1


@dataclass(frozen=True)
class Clause:
    """`WHEN … [AND condition] THEN …`.

    `match`: matched, not_matched or not_matched_by_source. `action`: update, insert or delete. `assignments` is None
    for the star forms, and for deletes.
    """

    match: str
    action: str
    condition: pb.Expression | None = None
    assignments: tuple[Assignment, ...] | None = None

    @property
    def star(self) -> bool:
        return self.action != "delete" and self.assignments is None


@dataclass(frozen=True)
class Merging:
    """A MERGE statement. `evolve`: the target gains columns that the source has and the clauses assign."""

    target: TableScope
    source: pb.Relation
    source_scope: TableScope
    on: pb.Expression
    clauses: tuple[Clause, ...]
    evolve: bool = False
    text: str = ""


def merge(runner: Runner, folder: Place, merging: Merging) -> Counts:
    """Run a MERGE; how many rows were updated, deleted and inserted. Raises SparkError; then nothing has changed."""

    def make(job: Job, change: TableChange) -> None:
        _MergeRun(job, merging, change).run()

    return runner.run(folder, DeltaOperation("MERGE", {"predicate": schemas.compact([merging.text])}), make)


class _MergeRun:
    """One run of a MERGE."""

    def __init__(self, job: Job, merging: Merging, change: TableChange) -> None:
        self._job = job
        self._merging = merging
        self._change = change
        self._snapshot = job.snapshot
        self._target = merging.target
        self._scope = merging.source_scope
        self._source = _MergeSource(job, merging.source)
        self._defaults = assign.defaults_of(job.snapshot.metadata.schema_json)
        declared = self._evolved(job.snapshot.declared)
        self._schema = types.nullable(declared)
        if not schemas.same_columns(self._schema, job.snapshot.schema):
            change.schema = declared

    def run(self) -> None:
        matched, inserting, unmatched = (
            [clause for clause in self._merging.clauses if clause.match == match]
            for match in ("matched", "not_matched", "not_matched_by_source")
        )
        numbers, sources, chosen = self._pairs(matched)
        self._require_single(matched, numbers, chosen)
        left, left_chosen = self._left(unmatched, numbers)
        new_sources, insert_chosen = self._new(inserting, sources)

        produced: list[tuple[str, Kept]] = []
        for place, clause in enumerate(matched):
            if clause.action == "update":
                pairs = chosen == place
                produced.append((rewrite.UPDATE_AFTER, self._updated(clause, numbers[pairs], sources[pairs])))
        for place, clause in enumerate(unmatched):
            if clause.action == "update":
                produced.append((rewrite.UPDATE_AFTER, self._updated(clause, left[left_chosen == place], None)))
        for place, clause in enumerate(inserting):
            produced.append((rewrite.INSERT, self._inserted(clause, new_sources[insert_chosen == place])))

        updated = np.concatenate([_of(matched, "update", numbers, chosen), _of(unmatched, "update", left, left_chosen)])
        deleted = np.unique(
            np.concatenate([_of(matched, "delete", numbers, chosen), _of(unmatched, "delete", left, left_chosen)])
        )
        gone = by_file(np.concatenate([updated, deleted]))
        rewrite.rewrite(
            self._snapshot, gone, chain.from_iterable(rows for _, rows in produced), self._schema, self._change
        )
        self._record(updated, deleted, produced)
        inserted = sum(rows.rows for kind, rows in produced if kind == rewrite.INSERT)
        self._tell(
            updated=len(updated),
            deleted=len(deleted),
            inserted=inserted,
            matched_updated=len(_of(matched, "update", numbers, chosen)),
            matched_deleted=len(np.unique(_of(matched, "delete", numbers, chosen))),
        )

    def _pairs(self, clauses: Sequence[Clause]) -> tuple[Rows, Rows, Rows]:
        """Target and source rows that go together, by number, and the place of the clause for each pair."""
        conditions = [self._merging.on, *(c.condition for c in clauses if c.condition is not None)]
        target = self._target.over(spooled(self._job, self._numbered(conditions)))
        joined = pb.Relation(
            join=pb.Join(
                left=target,
                right=self._scope.over(self._source.relation),
                join_type=pb.Join.JOIN_TYPE_INNER,
                join_condition=self._merging.on,
            )
        )
        columns = [attribute(ROW), attribute(_SOURCE), *_choice(clauses)]
        batches = list(self._job.session.stream(build.project(joined, columns)))
        numbers, sources = (collect_numbers(batches, column) for column in range(2))
        return numbers, sources, _chosen(clauses, batches, 2, len(numbers))

    def _left(self, clauses: Sequence[Clause], matched: Rows) -> tuple[Rows, Rows]:
        """Target rows that go with no source row, and the place of the clause for each."""
        if not clauses:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        _, batches = numbered_rows(self._snapshot, [])
        left = np.setdiff1d(collect_numbers(batches), matched)
        conditions = [c.condition for c in clauses if c.condition is not None]
        if not conditions:
            return left, np.zeros(len(left), np.int64)
        wanted = self._wanted(conditions)
        relation = self._target.over(spooled(self._job, numbered_rows(self._snapshot, wanted, by_file(left))))
        found = list(self._job.session.stream(build.project(relation, [attribute(ROW), *_choice(clauses)])))
        numbers = collect_numbers(found)
        return numbers, _chosen(clauses, found, 1, len(numbers))

    def _new(self, clauses: Sequence[Clause], matched: Rows) -> tuple[Rows, Rows]:
        """Source rows that go with no target row, and the place of the clause for each."""
        if not clauses:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        new = np.setdiff1d(np.arange(self._source.rows), matched)
        if all(clause.condition is None for clause in clauses):
            return new, np.zeros(len(new), np.int64)
        relation = self._scope.over(self._source.taken(new))
        found = list(self._job.session.stream(build.project(relation, [attribute(_SOURCE), *_choice(clauses)])))
        numbers = collect_numbers(found)
        return numbers, _chosen(clauses, found, 1, len(numbers))

    def _require_single(self, clauses: Sequence[Clause], numbers: Rows, chosen: Rows) -> None:
        """Several source rows for one target row are only well if all they do is delete it."""
        if not clauses or (len(clauses) == 1 and clauses[0].action == "delete" and clauses[0].condition is None):
            return
        only_matched = all(clause.match == "matched" for clause in self._merging.clauses)
        # Delta counts a pair that no clause takes, as long as the row is one that a clause may take.
        counted = numbers[np.isin(numbers, numbers[chosen != _NO_CLAUSE])] if only_matched else numbers
        if len(np.unique(counted)) != len(counted):
            raise UnsupportedOperationError.of(
                "DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW_IN_MERGE",
                "Cannot perform Merge as multiple source rows matched and attempted to modify the same\ntarget row in "
                "the Delta table in possibly conflicting ways. By SQL semantics of Merge,\nwhen multiple source rows "
                "match on the same target row, the result may be ambiguous\nas it is unclear which source row should "
                "be used to update or delete the matching\ntarget row. You can preprocess the source table to "
                "eliminate the possibility of\nmultiple matches. Please refer to\n"
                "https://docs.delta.io/latest/delta-update.html#upsert-into-a-table-using-merge",
                sql_state="21506",
            )

    def _numbered(self, conditions: Sequence[pb.Expression]) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        return numbered_rows(self._snapshot, self._wanted(conditions))

    def _wanted(self, conditions: Sequence[pb.Expression]) -> list[str]:
        used = mentioned(conditions)
        return [field.name for field in self._snapshot.schema if field.name in used.perhaps]

    def _updated(self, clause: Clause, numbers: Rows, sources: Rows | None) -> Kept:
        """The new values of target rows, each beside its source row, if it has one."""
        hits = by_file(numbers)
        relation = self._target.over(spooled(self._job, numbered_rows(self._snapshot, hits=hits)))
        if sources is not None:
            beside = self._scope.over(self._source.taken(sources, numbers))
            same = build.call("==", attribute(ROW), attribute(_PAIR))
            relation = pb.Relation(
                join=pb.Join(left=relation, right=beside, join_type=pb.Join.JOIN_TYPE_INNER, join_condition=same)
            )
        assigned = self._assigned(clause)
        existing = schemas.column_index(self._snapshot.schema)

        def current(field: pa.Field) -> pb.Expression:
            known = existing.get(field.name.lower())
            if known is None:
                return build.cast(build.null(), field.type) if not pa.types.is_nested(field.type) else build.null()
            return self._target.column(known.name)

        return self._kept(relation, assigned, current)

    def _inserted(self, clause: Clause, sources: Rows) -> Kept:
        """New rows from source rows."""

        def missing(field: pa.Field) -> pb.Expression:
            value = self._defaults.get(field.name, build.null())
            return value if pa.types.is_nested(field.type) else build.cast(value, field.type)

        return self._kept(self._scope.over(self._source.taken(sources)), self._assigned(clause), missing)

    def _kept(
        self,
        relation: pb.Relation,
        assigned: dict[tuple[str, ...], Assignment],
        current: Callable[[pa.Field], pb.Expression],
    ) -> Kept:
        columns = assign.values(self._schema, assigned, current, self._defaults)
        named = frozenset(path[0] for path in assigned)
        rows = checked(self._job.session, build.project(relation, columns), self._schema, self._snapshot.demands, named)
        return Kept(rows, keep=self._snapshot.feed)

    def _assigned(self, clause: Clause) -> dict[tuple[str, ...], Assignment]:
        if clause.assignments is not None:
            return assign.resolve(clause.assignments, self._target, self._schema)
        given = schemas.column_index(self._source.schema)
        found: dict[tuple[str, ...], Assignment] = {}
        for field in self._schema:
            source = given.get(field.name.lower())
            if source is not None:
                found[field.name,] = Assignment((field.name,), self._scope.column(source.name))
            elif not self._merging.evolve:
                raise _missing_in_source(field.name, clause.action, self._source.schema)
        return found

    def _evolved(self, schema: pa.Schema) -> pa.Schema:
        """The target's columns after the MERGE, given those before."""
        if not self._merging.evolve:
            return schema
        source = self._source.schema
        if any(clause.star for clause in self._merging.clauses):
            return _grown(schema, source)
        assigned = {
            self._target.strip(assignment.column, frozenset({*_lowered(schema), *_lowered(source)}))[0].lower()
            for clause in self._merging.clauses
            for assignment in clause.assignments or ()
        }
        new = [field for field in source if field.name.lower() in assigned]
        return _grown(schema, pa.schema(new))

    def _record(self, updated: Rows, deleted: Rows, produced: Sequence[tuple[str, Kept]]) -> None:
        if not self._snapshot.feed or not (len(updated) or len(deleted)):
            return
        before = rewrite.rows_of(self._snapshot, by_file(updated), self._schema)
        out = rewrite.rows_of(self._snapshot, by_file(deleted), self._schema)
        new: Iterable[Iterator[pa.RecordBatch]] = (rewrite.changed(rows.kept, kind) for kind, rows in produced)
        rewrite.record(
            self._snapshot,
            chain(
                rewrite.changed(before, rewrite.UPDATE_BEFORE),
                rewrite.changed(out, rewrite.DELETE),
                *new,
            ),
            self._change,
        )

    def _tell(self, *, updated: int, deleted: int, inserted: int, matched_updated: int, matched_deleted: int) -> None:
        change = self._change
        copied = change.metrics.pop("numCopiedRows")
        change.counts = {
            "num_affected_rows": updated + deleted + inserted,
            "num_updated_rows": updated,
            "num_deleted_rows": deleted,
            "num_inserted_rows": inserted,
        }
        change.metrics.update(
            {
                "numSourceRows": self._source.rows,
                "numTargetRowsInserted": inserted,
                "numTargetRowsUpdated": updated,
                "numTargetRowsMatchedUpdated": matched_updated,
                "numTargetRowsNotMatchedBySourceUpdated": updated - matched_updated,
                "numTargetRowsDeleted": deleted,
                "numTargetRowsMatchedDeleted": matched_deleted,
                "numTargetRowsNotMatchedBySourceDeleted": deleted - matched_deleted,
                "numTargetRowsCopied": copied,
                "numOutputRows": copied + updated + inserted,
                "numTargetFilesAdded": len(change.added),
                "numTargetFilesRemoved": len(change.removed),
                "numTargetBytesAdded": rewrite.sizes(change.added),
                "numTargetBytesRemoved": sum(file.size for file in change.removed),
                "numTargetChangeFilesAdded": len(change.recorded),
            }
        )


class _MergeSource:
    """The source's rows, read once, each with a number."""

    def __init__(self, job: Job, relation: pb.Relation) -> None:
        self._job = job
        self._plan_id = relation.common.plan_id
        batches = job.session.stream(relation)
        first = next(batches)
        self.schema = first.schema
        self.rows = 0
        numbered = self.schema.append(pa.field(_SOURCE, pa.int64()))
        self.relation = self._as_it_was(job.spool.put(self._numbered(chain([first], batches)), numbered)[0])
        self._table: pa.Table | None = None

    def taken(self, places: Rows, pairs: Rows | None = None) -> pb.Relation:
        """A relation of the rows at these places, each with the number of the target row it goes with."""
        table = self._whole().take(pa.array(places))
        schema = table.schema
        if pairs is not None:
            table = table.append_column(_PAIR, pa.array(pairs))
            schema = table.schema
        return self._as_it_was(self._job.spool.put(table.to_batches(), schema)[0])

    def _as_it_was(self, relation: pb.Relation) -> pb.Relation:
        """With the number by which columns that were taken from the client's DataFrame find it."""
        relation.common.plan_id = self._plan_id
        return relation

    def _whole(self) -> pa.Table:
        if self._table is None:
            parts = [pa.ipc.open_file(pa.memory_map(path)).read_all() for path in self.relation.read.data_source.paths]
            self._table = pa.concat_tables(parts)
        return self._table

    def _numbered(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            numbers = np.arange(self.rows, self.rows + batch.num_rows, dtype=np.int64)
            self.rows += batch.num_rows
            yield batch.append_column(_SOURCE, pa.array(numbers))


def _choice(clauses: Sequence[Clause]) -> list[pb.Expression]:
    """The conditions of clauses as columns; one that has none holds always, and needs none."""
    conditions = [clause.condition for clause in clauses if clause.condition is not None]
    return [build.alias(build.cast(each, pa.bool_()), f"__riacho_{place}") for place, each in enumerate(conditions)]


def _chosen(clauses: Sequence[Clause], batches: Sequence[pa.RecordBatch], first: int, rows: int) -> Rows:
    """For each row the place of the first clause whose condition is true, by the columns from `first` on."""
    chosen = np.full(rows, _NO_CLAUSE, np.int64)
    column = first
    for place, clause in enumerate(clauses):
        holds = chosen == _NO_CLAUSE
        if clause.condition is not None:
            flags = [batch.column(column).fill_null(False).to_numpy(zero_copy_only=False) for batch in batches]
            holds &= np.concatenate(flags).astype(bool)
            column += 1
        chosen[holds] = place
    return chosen


def _of(clauses: Sequence[Clause], action: str, numbers: Rows, chosen: Rows) -> Rows:
    """The numbers of the rows for which a clause of that action was chosen."""
    places = [place for place, clause in enumerate(clauses) if clause.action == action]
    return numbers[np.isin(chosen, places)]


def _lowered(schema: pa.Schema) -> set[str]:
    return {name.lower() for name in schema.names}


def _grown(target: pa.Schema, source: pa.Schema) -> pa.Schema:
    """`target` with the columns, and the fields of structs, that only `source` has. Others keep their types."""
    source = types.nullable(types.normalise_schema(source))
    known = schemas.column_index(target)
    shared = [
        field
        for field in source
        if field.name.lower() not in known
        or (pa.types.is_nested(field.type) and pa.types.is_nested(known[field.name.lower()].type))
    ]
    return schemas.merge(target, pa.schema(shared))


def _missing_in_source(name: str, action: str, source: pa.Schema) -> AnalysisError:
    columns = ", ".join(source.names)
    return AnalysisError.of(
        "DELTA_MERGE_UNRESOLVED_EXPRESSION",
        f"Cannot resolve {name} in {action.upper()} clause given columns {columns}.",
        sql_state="42601",
        sqlExpr=name,
        clause=f"{action.upper()} clause",
        cols=columns,
    )
