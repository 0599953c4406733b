"""How a materialized view gets its rows: from the changes of what it reads (see `views`), or computed anew; in either
case in one Delta commit.

Spark empties the table first and then appends, so that its readers see no rows for a while, and none at all after a
failure. Here they see the old rows until the new ones are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa

from riacho import types
from riacho.clock import Clock
from riacho.errors import UnsupportedOperationError
from riacho.identifiers import quote_if_needed
from riacho.protos import pb
from riacho.server.catalog.base import CatalogReader, Table
from riacho.server.delta.write import DeltaOperation, RowWriter, WriteMode
from riacho.server.delta.writer import DeltaWriter
from riacho.server.engine.base import EngineSession
from riacho.server.engine.spool import FolderSpool
from riacho.server.graph.ports import CheckedRefresh, Refreshed
from riacho.server.graph.views.refresh import Refresher
from riacho.server.graph.views.writing import overwrite
from riacho.server.streaming.quality import Checks
from riacho.server.streaming.sifting import Sift, aside_schema, bits_of, prepared_rules
from riacho.storage import Place


class DeltaTableWriter:
    """See `ports.TableWriter`. `after_commit` is told of each version that is made."""

    def __init__(
        self,
        catalog: CatalogReader,
        clock: Clock,
        after_commit: Callable[[Place, int], None] = lambda _table, _at: None,
    ) -> None:
        self._clock = clock
        self._after_commit = after_commit
        self._refresher = Refresher(catalog, clock, after_commit)

    def refresh(
        self,
        table: Table,
        relation: pb.Relation,
        schema: pa.Schema,
        engine: EngineSession,
        *,
        full: bool = False,
        from_changes: bool = True,
    ) -> Refreshed:
        """Raises UnsupportedOperationError if the table is not Delta, and what the write raises."""
        _require_delta(table)
        return self._refresher.refresh(table, relation, schema, engine, full=full, from_changes=from_changes)

    def replace_checked(
        self,
        table: Table,
        relation: pb.Relation,
        have: pa.Schema,
        want: pa.Schema,
        engine: EngineSession,
        checks: Checks,
    ) -> CheckedRefresh:
        """See `ports.TableWriter`. Raises as `refresh`, and EXPECTATION_VIOLATION."""
        _require_delta(table)
        state = DeltaWriter(table.location).state()
        version = 0 if state is None else state.version + 1
        aside = None if checks.quarantine is None else 0

        def put_aside(relations: Sequence[pb.Relation], _: pa.Schema) -> None:
            nonlocal aside
            aside = self._put_aside(checks, have, engine, relations)

        spool = FolderSpool("view", zone=engine.zone.engine)
        try:
            alone = partial(prepared_rules, engine, have, checks.expectations)
            sift = Sift(checks, bits_of(checks.expectations), alone, engine, spool, self._clock, checks.dataset)
            sifted = sift.batch([relation], version, put_aside)
            written = overwrite(table, _Aligned(sifted, have, want), want, engine, self._clock)
            if written.version is not None:
                self._after_commit(table.location, written.version)
            assert sifted.quality is not None, "all rows were written"
            return CheckedRefresh(written.rows, replace(sifted.quality, in_quarantine=aside))
        finally:
            spool.close()

    def _put_aside(
        self, checks: Checks, have: pa.Schema, engine: EngineSession, relations: Sequence[pb.Relation]
    ) -> int:
        """Make these the only rows of the quarantine table; how many its log has then."""
        assert checks.quarantine is not None, "a dataset that quarantines rows has a table for them"
        writer = DeltaWriter(checks.quarantine, with_files=True)
        state = writer.state()
        if not relations and state is not None and not state.files:
            return 0
        mode = WriteMode(overwrite=True, overwrite_schema=True)
        written = RowWriter(writer, engine, mode, self._clock).write(
            relations, aside_schema(have), DeltaOperation("WRITE", {"mode": "Overwrite"})
        )
        return written.rows


def _require_delta(table: Table) -> None:
    if table.format.lower() != "delta":
        raise UnsupportedOperationError(
            f"The materialized view {table.name} is a table of format {table.format}, whose rows cannot be "
            "replaced in one commit. Omit its format, or set it to delta."
        )


@dataclass(frozen=True)
class _Aligned:
    """Relations with the columns `have`, each `aligned` to `want`; they can be gone through again."""

    relations: Iterable[pb.Relation]
    have: pa.Schema
    want: pa.Schema

    def __iter__(self) -> Iterator[pb.Relation]:
        return (aligned(relation, self.have, self.want) for relation in self.relations)


def aligned(relation: pb.Relation, have: pa.Schema, want: pa.Schema) -> pb.Relation:
    """`relation`, whose columns are `have`, with the columns of `want`: by name, in its order, missing ones null.

    Raises UNSUPPORTED_DATATYPE.
    """
    if [(field.name, field.type) for field in have] == [(field.name, field.type) for field in want]:
        return relation
    by_name = {field.name.lower(): field for field in have}
    project = pb.Project(input=relation)
    for field in want:
        source = by_name.get(field.name.lower())
        project.expressions.append(_column(source, field))
    return pb.Relation(project=project)


def _column(source: pa.Field | None, wanted: pa.Field) -> pb.Expression:
    """A column of the wanted name and type: from the source's, or null if there is none."""
    if source is None:
        value = pb.Expression(literal=pb.Expression.Literal(null=types.to_proto(wanted.type)))
    else:
        name = quote_if_needed(source.name)
        value = pb.Expression(unresolved_attribute=pb.Expression.UnresolvedAttribute(unparsed_identifier=name))
    if source is None or not source.type.equals(wanted.type):
        value = pb.Expression(cast=pb.Expression.Cast(expr=value, type=types.to_proto(wanted.type)))
    return pb.Expression(alias=pb.Expression.Alias(expr=value, name=[wanted.name]))
