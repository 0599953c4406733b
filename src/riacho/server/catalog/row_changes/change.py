"""DELETE, UPDATE, and writes that replace the rows for which a condition holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import pyarrow as pa

from riacho import types
from riacho.errors import AnalysisError
from riacho.protos import pb
from riacho.server.catalog.row_changes import assign, rewrite
from riacho.server.catalog.row_changes.job import Counts, Job, Runner, TableChange
from riacho.server.catalog.row_changes.scan import find, numbered_rows, spooled
from riacho.server.catalog.row_changes.scope import Assignment, TableScope
from riacho.server.delta import schema as schemas
from riacho.server.delta.constraints import checked
from riacho.server.delta.fit import fit
from riacho.server.delta.write import DeltaOperation
from riacho.server.plan import build
from riacho.storage import Place

_AFFECTED = "num_affected_rows"


def delete(
    runner: Runner, folder: Place, scope: TableScope, condition: pb.Expression | None, text: str | None
) -> Counts:
    """Take out the rows for which a condition is true. `text`: the condition as DESCRIBE HISTORY tells it."""

    def make(job: Job, change: TableChange) -> None:
        hits = find(job, scope, condition)
        rewrite.rewrite(job.snapshot, hits, (), job.snapshot.schema, change)
        if any(rows is not None for rows in hits.places.values()):
            gone = rewrite.rows_of(job.snapshot, hits, job.snapshot.schema)
            rewrite.record(job.snapshot, rewrite.changed(gone, rewrite.DELETE), change)
        count = hits.count(job.snapshot)
        change.counts = {_AFFECTED: count}
        change.metrics = {"numDeletedRows": count, **_file_metrics(change)}

    return runner.run(folder, DeltaOperation("DELETE", {"predicate": schemas.compact([text or "true"])}), make)


def update(
    runner: Runner,
    folder: Place,
    scope: TableScope,
    assignments: Sequence[Assignment],
    condition: pb.Expression | None,
    text: str | None,
) -> Counts:
    """Give columns of the rows for which a condition is true other values, computed from the old ones."""

    def make(job: Job, change: TableChange) -> None:
        snapshot = job.snapshot
        schema = snapshot.schema
        assigned = assign.resolve(assignments, scope, schema)
        hits = find(job, scope, condition)
        relation = scope.over(spooled(job, numbered_rows(snapshot, hits=hits)))
        defaults = assign.defaults_of(snapshot.metadata.schema_json)
        columns = assign.values(schema, assigned, lambda field: scope.column(field.name), defaults)
        named = frozenset(path[0] for path in assigned)
        computed = build.project(relation, columns)
        new = Kept(checked(job.session, computed, schema, snapshot.demands, named), keep=snapshot.feed)
        if not hits.places:
            new.drain()  # whatever is wrong with the statement is wrong without rows too
        rewrite.rewrite(snapshot, hits, new, schema, change)
        if snapshot.feed and hits.places:
            before = rewrite.changed(rewrite.rows_of(snapshot, hits, schema), rewrite.UPDATE_BEFORE)
            after = rewrite.changed(new.kept, rewrite.UPDATE_AFTER)
            rewrite.record(snapshot, chain(before, after), change)
        count = hits.count(snapshot)
        change.counts = {_AFFECTED: count}
        change.metrics = {"numUpdatedRows": count, **_file_metrics(change)}

    predicate = schemas.compact([] if text is None else [text])
    return runner.run(folder, DeltaOperation("UPDATE", {"predicate": predicate}), make)


def replace_where(
    runner: Runner, folder: Place, relation: pb.Relation, schema: pa.Schema, condition: pb.Expression, text: str
) -> Counts:
    """Put the rows of `relation`, whose columns are `schema`, in place of those for which a condition is true.

    Raises DELTA_REPLACE_WHERE_MISMATCH for a new row for which it is not, and what `fit` raises.
    """
    scope = TableScope((folder.name,))

    def make(job: Job, change: TableChange) -> None:
        snapshot = job.snapshot
        hits = find(job, scope, condition)
        fitted = fit(snapshot.schema, schema, merge_schema=False, table_id=snapshot.metadata.id)
        given = {column.target for column in fitted.columns}
        columns = [
            build.alias(build.col(f.name) if f.name in given else build.cast(build.null(), f.type), f.name)
            for f in snapshot.schema
        ]
        whole = spooled(job, (schema, _as(job.session.stream(relation), schema)))
        rows = build.project(fitted.project(whole), columns)
        _require_all(job, rows, condition, text)
        new = Kept(checked(job.session, rows, snapshot.schema, snapshot.demands, frozenset(given)), keep=snapshot.feed)
        rewrite.rewrite(snapshot, hits, new, snapshot.schema, change)
        if any(places is not None for places in hits.places.values()):
            old = rewrite.changed(rewrite.rows_of(snapshot, hits, snapshot.schema), rewrite.DELETE)
            rewrite.record(snapshot, chain(old, rewrite.changed(new.kept, rewrite.INSERT)), change)
        change.metrics = {
            "numFiles": len(change.added),
            "numOutputRows": new.rows + change.metrics["numCopiedRows"],
            "numOutputBytes": rewrite.sizes(change.added),
            "numDeletedRows": hits.count(snapshot),
            "numRemovedFiles": len(change.removed),
        }

    parameters = {"mode": "Overwrite", "partitionBy": "[]", "predicate": text}
    return runner.run(folder, DeltaOperation("WRITE", parameters), make)


def _as(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    plain = types.nullable(types.normalise_schema(schema))
    for batch in batches:
        yield batch if batch.schema.equals(schema) else batch.cast(plain).cast(schema)


def _require_all(job: Job, rows: pb.Relation, condition: pb.Expression, text: str) -> None:
    holds = build.call("coalesce", condition, build.boolean(False))
    others = build.where(rows, build.call("not", holds))
    one = pb.Relation(limit=pb.Limit(input=others, limit=1))
    found = [row for batch in job.session.stream(one) for row in batch.to_pylist()]
    if found:
        values = "\n".join(f" - {key} : {'null' if value is None else value}" for key, value in found[0].items())
        raise AnalysisError.of(
            "DELTA_REPLACE_WHERE_MISMATCH",
            f"Written data does not conform to partial table overwrite condition or constraint '{text}'.\n"
            f"CHECK constraint {text} violated by row with values:\n{values}",
            sql_state="44000",
            replaceWhere=text,
        )


class Kept:
    """Rows on their way into files: counted, and with `keep` held for the change feed. To be read once."""

    def __init__(self, batches: Iterable[pa.RecordBatch], *, keep: bool) -> None:
        self.rows = 0
        self.kept: list[pa.RecordBatch] = []
        self._batches = batches
        self._keep = keep

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self._batches:
            self.rows += batch.num_rows
            if self._keep:
                self.kept.append(batch)
            yield batch

    def drain(self) -> None:
        """Read what is left."""
        for _ in self:
            pass


def _file_metrics(change: TableChange) -> dict[str, int]:
    return {
        **change.metrics,
        "numRemovedFiles": len(change.removed),
        "numRemovedBytes": sum(file.size for file in change.removed),
        "numAddedFiles": len(change.added),
        "numAddedBytes": rewrite.sizes(change.added),
        "numAddedChangeFiles": len(change.recorded),
    }
