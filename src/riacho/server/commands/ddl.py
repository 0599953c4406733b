"""The statements that create, drop, alter and list databases, tables and views."""

from __future__ import annotations

import pyarrow as pa

from riacho import types
from riacho.conf import SOURCES_DEFAULT
from riacho.errors import AnalysisError
from riacho.identifiers import quote_if_needed
from riacho.server.catalog import failures
from riacho.server.catalog.base import Table, TableName, View
from riacho.server.catalog.names import database_name, full
from riacho.server.catalog.write import TableWrite
from riacho.server.commands.context import SqlContext, nothing, query, rows
from riacho.server.commands.patterns import matches
from riacho.server.delta.options import option
from riacho.server.plan.failures import unresolved_column
from riacho.server.plan.from_sql.select_items import unnamed_column
from riacho.server.sql.statements import (
    AddColumns,
    AlterColumn,
    ColumnDefinition,
    Comment,
    CreateDatabase,
    CreateTable,
    CreateView,
    Drop,
    DropDatabase,
    RenameTable,
    SetProperties,
    ShowDatabases,
    ShowTables,
    Truncate,
    Use,
)
from riacho.storage import Place, place_of


def create_database(statement: CreateDatabase, context: SqlContext) -> pa.Table:
    """Raises as `database_name`, and what the catalog raises."""
    context.catalog.create_database(
        database_name(statement.name), if_not_exists=statement.if_not_exists, comment=statement.comment
    )
    return nothing()


def drop_database(statement: DropDatabase, context: SqlContext) -> pa.Table:
    """Raises as `database_name`, and what the catalog raises."""
    context.catalog.drop_database(
        database_name(statement.name), if_exists=statement.if_exists, cascade=statement.cascade
    )
    return nothing()


def use(statement: Use, context: SqlContext) -> pa.Table:
    """Raises SCHEMA_NOT_FOUND, and as `database_name`."""
    database = database_name(statement.name)
    context.catalog.database_location(database)
    context.session.use(database)
    return nothing()


def show_databases(statement: ShowDatabases, context: SqlContext) -> pa.Table:
    found = [name for name in context.catalog.databases() if matches(name, statement.pattern)]
    return rows(("namespace",), [(name,) for name in found])


def show_tables(statement: ShowTables, context: SqlContext) -> pa.Table:
    """Raises SCHEMA_NOT_FOUND, and as `database_name`."""
    database = context.current_database if statement.database is None else database_name(statement.database)
    kind = "viewName" if statement.views_only else "tableName"
    found = [
        {"namespace": name.database, kind: name.table, "isTemporary": False}
        for name in context.catalog.tables(database)
        if matches(name.table, statement.pattern) and not (statement.views_only and context.catalog.view(name) is None)
    ]
    found += [
        {"namespace": "", kind: name, "isTemporary": True}
        for name in sorted(context.temporary_views)
        if "." not in name and matches(name, statement.pattern)
    ]
    fields = [("namespace", pa.string()), (kind, pa.string()), ("isTemporary", pa.bool_())]
    return pa.Table.from_pylist(found, pa.schema(fields))


def create_table(statement: CreateTable, context: SqlContext) -> pa.Table:
    """Raises TABLE_OR_VIEW_ALREADY_EXISTS, TABLE_OR_VIEW_NOT_FOUND, and what the catalog and the query raise."""
    name = context.qualify(statement.name)
    existing = context.catalog.table(name)
    if statement.must_exist and existing is None:
        raise failures.table_not_found(name)
    if existing is not None and not statement.replace:
        if statement.if_not_exists:
            return nothing()
        raise failures.already_exists(name)
    if statement.query is not None:
        _create_as(statement, name, existing, context)
        return nothing()
    schema = _schema(statement, context)
    options, location = _options(statement)
    properties = {
        **statement.properties,
        **{f"delta.constraints.{key.lower()}": value for key, value in statement.constraints.items()},
    }
    if existing is not None:
        context.catalog.replace_table(
            name, schema, partition_by=statement.partition_by, comment=statement.comment, properties=properties
        )
        return nothing()
    context.catalog.create_table(
        name,
        schema,
        format=statement.format or SOURCES_DEFAULT.read(context.session.get_conf),
        partition_by=statement.partition_by,
        comment=statement.comment,
        properties=properties,
        location=location,
        options=options,
    )
    return nothing()


def _options(statement: CreateTable) -> tuple[dict[str, str], Place | None]:
    """The options of a table, and where it lies if it says so, by LOCATION or an option."""
    options = {key: value for key, value in statement.options.items() if key.lower() != "path"}
    given = statement.location or option(statement.options, "path")
    return options, None if given is None else place_of(given)


def _create_as(statement: CreateTable, name: TableName, existing: Table | None, context: SqlContext) -> None:
    """CREATE TABLE AS SELECT."""
    assert statement.query is not None, "asked before"
    if statement.columns:
        raise AnalysisError(
            "Operation not allowed: Schema may not be specified in a Create Table As Select (CTAS) statement"
        )
    options = dict(statement.options)
    if statement.location is not None:
        options["path"] = statement.location
    write = TableWrite(
        context.query(statement.query),
        "overwrite" if existing is not None else "errorifexists",
        table=name,
        format=statement.format,
        options=options,
        partition_by=statement.partition_by or None,
        redefine=True,
        properties=statement.properties,
        comment=statement.comment,
    )
    context.writes.run(context.session, write)


def _schema(statement: CreateTable, context: SqlContext) -> pa.Schema:
    if statement.like is not None:
        return context.table(statement.like, "CREATE TABLE LIKE").schema
    return columns(statement.columns, context)


def columns(definitions: tuple[ColumnDefinition, ...], context: SqlContext) -> pa.Schema:
    """The columns that definitions mean; the engine knows the types. Raises ParseError."""
    if not definitions:
        return pa.schema([])
    text = ", ".join(f"{quote_if_needed(column.name)} {column.type}" for column in definitions)
    parsed = context.session.parse_ddl(text)
    return pa.schema(
        [
            types.with_comment(pa.field(column.name, field.type, column.nullable), column.comment)
            for column, field in zip(definitions, parsed, strict=True)
        ]
    )


def create_view(statement: CreateView, context: SqlContext) -> pa.Table:
    """Raises CREATE_VIEW_COLUMN_ARITY_MISMATCH, and what the catalog and the query raise."""
    name = context.qualify(statement.name)
    if statement.if_not_exists and context.catalog.view(name) is not None:
        return nothing()
    schema = context.session.schema(query(statement.query))  # what cannot be analysed is no view
    text = statement.query
    unnamed = unnamed_column(text)
    if unnamed is not None:
        raise _without_alias(name, unnamed)
    if statement.columns:
        if len(statement.columns) != len(schema):
            raise _column_count(name, statement.columns, schema)
        listed = ", ".join(quote_if_needed(column) for column in statement.columns)
        text = f"SELECT * FROM ({text}) AS v({listed})"  # noqa: S608 (the user's own query)
    context.catalog.create_view(View(name, text, statement.comment), replace=statement.replace)
    return nothing()


def _without_alias(name: TableName, column: str) -> AnalysisError:
    return AnalysisError.of(
        "CREATE_PERMANENT_VIEW_WITHOUT_ALIAS",
        f"Not allowed to create the permanent view {full(name)} without explicitly assigning an alias for the "
        f'expression "{column}".',
        sql_state="0A000",
        name=full(name),
        attr=f'"{column}"',
    )


def _column_count(name: TableName, wanted: tuple[str, ...], schema: pa.Schema) -> AnalysisError:
    reason = "NOT_ENOUGH_DATA_COLUMNS" if len(schema) < len(wanted) else "TOO_MANY_DATA_COLUMNS"
    listed, given = (", ".join(f"`{column}`" for column in names) for names in (wanted, schema.names))
    return AnalysisError.of(
        f"CREATE_VIEW_COLUMN_ARITY_MISMATCH.{reason}",
        f"Cannot create view {full(name)}, the reason is {reason.lower().replace('_', ' ')}:\nView columns: {listed}."
        f"\nData columns: {given}.",
        sql_state="21S01",
        viewName=full(name),
        viewColumns=listed,
        dataColumns=given,
    )


def drop(statement: Drop, context: SqlContext) -> pa.Table | None:
    """None for a temporary view, which the engine drops. Raises what the catalog raises."""
    if context.is_temporary(statement.name):
        return None
    name = context.qualify(statement.name)
    if statement.view:
        context.catalog.drop_view(name, if_exists=statement.if_exists)
    else:
        context.catalog.drop_table(name, if_exists=statement.if_exists)
    return nothing()


def truncate(statement: Truncate, context: SqlContext) -> pa.Table:
    """Raises as `SqlContext.table`, and what the catalog raises."""
    context.catalog.truncate(context.table(statement.table, "TRUNCATE TABLE").name)
    return nothing()


def set_properties(statement: SetProperties, context: SqlContext) -> pa.Table:
    """Raises as `SqlContext.table`, and what the catalog raises."""
    table = context.table(statement.table, "ALTER TABLE ... SET TBLPROPERTIES")
    operation = "SET TBLPROPERTIES" if statement.set else "UNSET TBLPROPERTIES"
    comment = statement.set.get("comment")
    context.catalog.evolve(
        table.name, comment=comment, properties=statement.set, unset=statement.unset, operation=operation
    )
    return nothing()


def add_columns(statement: AddColumns, context: SqlContext) -> pa.Table:
    """Raises FIELD_ALREADY_EXISTS."""
    table = context.table(statement.table, "ALTER TABLE ... ADD COLUMNS")
    added = columns(statement.columns, context)
    known = {field.name.lower() for field in table.schema}
    for field in added:
        if field.name.lower() in known:
            text = f'"{types.type_to_ddl(pa.struct(list(table.schema)))}"'
            raise AnalysisError.of(
                "FIELD_ALREADY_EXISTS",
                f"Cannot add column, because `{field.name}` already exists in {text}.",
                sql_state="42710",
                op="add",
                fieldNames=f"`{field.name}`",
                struct=text,
            )
    context.catalog.evolve(table.name, pa.schema([*table.schema, *added]), operation="ADD COLUMNS")
    return nothing()


def alter_column(statement: AlterColumn, context: SqlContext) -> pa.Table:
    """Raises UNRESOLVED_COLUMN."""
    table = context.table(statement.table, "ALTER TABLE ... ALTER COLUMN")
    index = next((i for i, f in enumerate(table.schema) if f.name.lower() == statement.column.lower()), None)
    if index is None:
        raise unresolved_column(statement.column, table.schema.names)
    field = table.schema.field(index)
    if statement.comment is not None:
        field = types.with_comment(field, statement.comment)
    if statement.drop_not_null:
        field = field.with_nullable(True)
    context.catalog.evolve(table.name, table.schema.set(index, field), operation="CHANGE COLUMN")
    return nothing()


def rename(statement: RenameTable, context: SqlContext) -> pa.Table:
    """Raises as `SqlContext.table`, and what the catalog raises."""
    table = context.table(statement.table, "ALTER TABLE ... RENAME TO")
    context.catalog.rename_table(table.name, context.qualify(statement.to))
    return nothing()


def comment(statement: Comment, context: SqlContext) -> pa.Table:
    """Raises as `database_name` or `SqlContext.table`, and what the catalog raises."""
    if statement.database:
        context.catalog.set_database_comment(database_name(statement.name), statement.comment)
    else:
        table = context.table(statement.name, "COMMENT ON TABLE")
        context.catalog.evolve(table.name, comment=statement.comment)
    return nothing()
