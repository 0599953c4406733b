"""The statements that change rows: INSERT, DELETE, UPDATE and MERGE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain

import pyarrow as pa

from riacho.conf import AUTO_MERGE
from riacho.errors import AnalysisError
from riacho.identifiers import quoted
from riacho.protos import pb
from riacho.server.catalog import failures, row_changes
from riacho.server.catalog.base import Table
from riacho.server.catalog.write import TableWrite, arity_mismatch, by_name
from riacho.server.commands.context import SqlContext, nothing, query
from riacho.server.engine.spool import FolderSpool
from riacho.server.files.path_writes import write_path
from riacho.server.formats.write.files import FORMATS
from riacho.server.sql.statements import (
    Delete,
    Insert,
    InsertDirectory,
    Merge,
    Name,
    Set,
    Update,
)
from riacho.storage import Place, delta_place

_WHERE = "SELECT 1 WHERE "


def insert(statement: Insert, context: SqlContext) -> pa.Table | None:
    """Raises EXPECT_TABLE_NOT_VIEW for a temporary view, and what the query and the write raise."""
    if context.is_temporary(statement.table):
        raise failures.expect_table("INSERT", context.qualify(statement.table), temporary=True)
    relation = context.query(statement.query)
    path = delta_place(statement.table)
    write = TableWrite(
        relation,
        "overwrite" if statement.overwrite else "append",
        path=path,
        table=None if path is not None else context.qualify(statement.table),
        by_position=not statement.by_name,
        create=False,
        assigns=True,
        where=statement.where,
    )
    if statement.columns:
        write = _with_columns(write, statement, context)
    if not write.by_position and write.table is not None:
        _require_columns(context.table(statement.table, "INSERT"), context.session.schema(write.relation))
    context.writes.run(context.session, write)
    return nothing()


def insert_directory(statement: InsertDirectory, context: SqlContext) -> pa.Table:
    """The same as `df.write.mode("overwrite").format(…).save(path)`."""
    command = pb.Command()
    write = command.write_operation
    write.input.CopyFrom(context.query(statement.query))
    write.source, write.path = statement.format, statement.path
    write.mode = pb.WriteOperation.SAVE_MODE_OVERWRITE
    write.options.update(statement.options)
    if write.source.lower() in FORMATS:
        write_path(context.session, write)
    elif not context.writes.write(context.session, write, context.current_database):
        context.session.execute(command)
    return nothing()


def _require_columns(table: Table, given: pa.Schema) -> None:
    """An INSERT by name never adds columns. Raises DELTA_MISSING_COLUMN."""
    known = {name.lower() for name in table.schema.names}
    missing = [name for name in given.names if name.lower() not in known]
    if missing:
        listed = ", ".join(table.schema.names)
        raise AnalysisError.of(
            "DELTA_MISSING_COLUMN",
            f"Cannot find {missing[0]} in table columns: {listed}",
            sql_state="42703",
            columnName=missing[0],
            columnList=listed,
        )


def _with_columns(write: TableWrite, statement: Insert, context: SqlContext) -> TableWrite:
    """INSERT with a list of columns: by name, after the query's columns were called so."""
    given = len(context.session.schema(write.relation))
    if given != len(statement.columns):
        raise arity_mismatch(".".join(statement.table), len(statement.columns), given)
    return replace(write, relation=by_name(write.relation, list(statement.columns)), by_position=False)


def delete(statement: Delete, context: SqlContext) -> pa.Table:
    """Raises as `target`, what the engine says of the condition, and what the change of the table raises."""
    folder, scope = target(statement.table, statement.alias, "DELETE", context)
    where = _condition(statement.where, context, scope)
    return _counts(row_changes.delete(context.changes, folder, scope, where, statement.where))


def update(statement: Update, context: SqlContext) -> pa.Table:
    """Raises as `target`, what the engine says of the expressions, and what the change of the table raises."""
    folder, scope = target(statement.table, statement.alias, "UPDATE", context)
    where = _condition(statement.where, context, scope)
    assignments = _assignments(statement.set, context, [scope])
    return _counts(row_changes.update(context.changes, folder, scope, assignments, where, statement.where))


def merge(statement: Merge, context: SqlContext) -> pa.Table:
    """Raises as `target`, what the engine says of the source and the expressions, and as `row_changes.merge`."""
    folder, own = target(statement.table, statement.alias, "MERGE", context)
    source, scope = _source(statement, context)
    both = [own, scope]
    clauses = tuple(
        row_changes.Clause(
            clause.match,
            clause.action,
            _condition(clause.condition, context, *both),
            None if clause.assignments is None else _assignments(clause.assignments, context, both),
        )
        for clause in statement.clauses
    )
    evolve = statement.evolve or AUTO_MERGE.read(context.session.get_conf)
    merging = row_changes.Merging(
        own, source, scope, _expression(statement.on, context, both), clauses, evolve, statement.on
    )
    return _counts(row_changes.merge(context.changes, folder, merging))


def target(name: Name, alias: str | None, operation: str, context: SqlContext) -> tuple[Place, row_changes.TableScope]:
    """The folder of the table whose rows a statement changes, and how its expressions call it.

    Raises as `SqlContext.delta_folder`.
    """
    folder = context.delta_folder(name, operation)
    if alias is not None:
        return folder, row_changes.TableScope((alias,))
    if delta_place(name) is not None:
        return folder, row_changes.TableScope(name)
    full = context.qualify(name)
    return folder, row_changes.TableScope((full.catalog, full.database, full.table))


def _source(statement: Merge, context: SqlContext) -> tuple[pb.Relation, row_changes.TableScope]:
    """The rows that a MERGE merges, and how its expressions call them."""
    if isinstance(statement.source, str):
        return context.query(statement.source), row_changes.TableScope(
            (statement.source_alias or "__auto_generated_subquery_name",)
        )
    given = context.inputs.get(statement.source[0]) if len(statement.source) == 1 else None
    if given is not None:
        return given.subquery_alias.input, row_changes.TableScope((statement.source_alias or statement.source[0],))
    relation = pb.Relation()
    relation.read.named_table.unparsed_identifier = quoted(statement.source)
    parts: Name = statement.source
    if not context.is_temporary(parts) and delta_place(parts) is None:
        full = context.qualify(parts)
        parts = (full.catalog, full.database, full.table)
    return relation, row_changes.TableScope((statement.source_alias,) if statement.source_alias else parts)


def _condition(text: str | None, context: SqlContext, *scopes: row_changes.TableScope) -> pb.Expression | None:
    return None if text is None else _expression(text, context, scopes)


def _assignments(
    given: Set, context: SqlContext, scopes: Sequence[row_changes.TableScope]
) -> tuple[row_changes.Assignment, ...]:
    return tuple(
        row_changes.Assignment(column, None if text.upper() == "DEFAULT" else _expression(text, context, scopes))
        for column, text in given
    )


def _expression(text: str, context: SqlContext, scopes: Sequence[row_changes.TableScope]) -> pb.Expression:
    """An expression of a statement. Its subqueries go the way of a query's: they know tables by any case of a name."""
    if "SELECT" in text.upper():
        text = _standing_alone(context.session.prepared(query(f"{_WHERE}{text}")), context).removeprefix(_WHERE)
    return row_changes.expression(text, scopes)


def _standing_alone(prepared: pb.Relation, context: SqlContext) -> str:
    """The text of a prepared query. The rows of relations beside it are views of the session until the statement ends:

    an expression can have none beside it. A relation that is qualified stands for a table that the engine knows.
    """
    if not prepared.HasField("with_relations"):
        return prepared.sql.query
    for reference in prepared.with_relations.references:
        alias = reference.subquery_alias
        if alias.qualifier:
            continue
        spool = FolderSpool("dml", zone=context.session.zone.engine)
        context.at_end.callback(spool.close)
        batches = context.session.stream(alias.input)
        first = next(batches)  # there is one, if without rows
        relation, _ = spool.put(chain([first], batches), first.schema)
        context.session.create_view(alias.alias, relation)
        context.at_end.callback(context.session.drop_view, alias.alias)
    return prepared.with_relations.root.sql.query


def _counts(counts: Mapping[str, int]) -> pa.Table:
    return pa.table({name: pa.array([count], pa.int64()) for name, count in counts.items()})
