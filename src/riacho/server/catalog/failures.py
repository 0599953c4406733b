"""The catalog's errors, each with Spark's own condition and text."""

from __future__ import annotations

from riacho.errors import AnalysisError
from riacho.identifiers import quoted
from riacho.server.catalog.base import CATALOG_NAME, TableName
from riacho.server.catalog.names import full, short
from riacho.storage import Place


def table_not_found(name: TableName) -> AnalysisError:
    """No table and no view has that name."""
    relation, path = full(name), f"[{quoted((name.catalog, name.database))}]"
    return AnalysisError.of(
        "TABLE_OR_VIEW_NOT_FOUND",
        f"The table or view {relation} cannot be found. Verify the spelling and correctness of the schema and "
        f"catalog.\nSearch path: {path}.\nIf you did not qualify the name with a schema, verify the current_schema() "
        "output, or qualify the name with the correct schema and catalog.\nTo tolerate the error on drop use DROP VIEW "
        "IF EXISTS or DROP TABLE IF EXISTS.",
        sql_state="42P01",
        relationName=relation,
        searchPath=path,
    )


def already_exists(name: TableName) -> AnalysisError:
    """The name is taken."""
    relation = short(name)
    return AnalysisError.of(
        "TABLE_OR_VIEW_ALREADY_EXISTS",
        f"Cannot create table or view {relation} because it already exists.\nChoose a different name, drop or replace "
        "the existing object, or add the IF NOT EXISTS clause to tolerate pre-existing objects.",
        sql_state="42P07",
        relationName=relation,
    )


def schema_not_found(database: str) -> AnalysisError:
    """There is no such database."""
    name = quoted((CATALOG_NAME, database))
    return AnalysisError.of(
        "SCHEMA_NOT_FOUND",
        f"The schema {name} cannot be found. Verify the spelling and correctness of the schema and catalog.\nIf you "
        "did not qualify the name with a catalog, verify the current_schema() output, or qualify the name with the "
        "correct catalog.\nTo tolerate the error on drop use DROP SCHEMA IF EXISTS.",
        sql_state="42704",
        schemaName=name,
    )


def schema_already_exists(database: str) -> AnalysisError:
    """There is a database of that name."""
    name = quoted((database,))
    return AnalysisError.of(
        "SCHEMA_ALREADY_EXISTS",
        f"Cannot create schema {name} because it already exists.\nChoose a different name, drop the existing schema, "
        "or add the IF NOT EXISTS clause to tolerate pre-existing schema.",
        sql_state="42P06",
        schemaName=name,
    )


def schema_not_empty(database: str) -> AnalysisError:
    """A database with tables in it is only dropped with CASCADE."""
    name = quoted((database,))
    return AnalysisError.of(
        "SCHEMA_NOT_EMPTY",
        f"Cannot drop a schema {name} because it contains objects.\nUse DROP SCHEMA ... CASCADE to drop the schema "
        "and all its objects.",
        sql_state="2BP01",
        schemaName=name,
    )


def expect_table(operation: str, name: TableName, *, temporary: bool = False) -> AnalysisError:
    """The operation needs a table and the name is a view's, perhaps a temporary one's."""
    shown = quoted((name.table,)) if temporary else full(name)
    return AnalysisError.of(
        "EXPECT_TABLE_NOT_VIEW.NO_ALTERNATIVE",
        f"'{operation}' expects a table but {shown} is a view.",
        sql_state="42809",
        operation=operation,
        viewName=shown,
    )


def expect_view(operation: str, name: TableName) -> AnalysisError:
    """The operation needs a view and the name is a table's."""
    return AnalysisError.of(
        "EXPECT_VIEW_NOT_TABLE.NO_ALTERNATIVE",
        f"The table {full(name)} does not support {operation}.",
        sql_state="42809",
        tableName=full(name),
        operation=operation,
    )


def drop_view_of_table(name: TableName) -> AnalysisError:
    """DROP VIEW of a table."""
    return AnalysisError.of(
        "WRONG_COMMAND_FOR_OBJECT_TYPE",
        f"The operation DROP VIEW requires a VIEW or METRIC_VIEW. But {name} is a MANAGED. Use DROP TABLE instead.",
        sql_state="42809",
        operation="DROP VIEW",
        objectName=str(name),
        foundType="MANAGED",
        requiredType="VIEW or METRIC_VIEW",
        alternative="DROP TABLE",
    )


def not_delta(name: TableName, operation: str) -> AnalysisError:
    """The operation needs a Delta table."""
    return AnalysisError.of(
        "DELTA_TABLE_ONLY_OPERATION",
        f"{full(name)} is not a Delta table. {operation} is only supported for Delta tables.",
        sql_state="0AKDD",
        tableName=full(name),
        operation=operation,
    )


def path_not_found(shown: str) -> AnalysisError:
    """Nothing is there. `shown`: the path as Spark prints it."""
    return AnalysisError.of("PATH_NOT_FOUND", f"Path does not exist: {shown}.", sql_state="42K03", path=shown)


def path_given_twice() -> AnalysisError:
    """A reader has a path by its option and by the argument of `load`."""
    return AnalysisError(
        "There is a 'path' or 'paths' option set and load() is called with path parameters. Either remove the path "
        "option if it's the same as the path parameter, or add it to the load() parameter if you do want to read "
        "multiple paths.",
        condition="_LEGACY_ERROR_TEMP_1306",
    )


def missing_delta_table(path: Place) -> AnalysisError:
    """A statement is about a path where no Delta table is."""
    return AnalysisError.of(
        "DELTA_MISSING_DELTA_TABLE",
        f"{quoted((str(path),))} is not a Delta table.",
        sql_state="42P01",
        tableName=quoted((str(path),)),
    )


def delta_table_not_found(shown: str) -> AnalysisError:
    """There is a folder, and no Delta table in it. `shown`: the path as it was given."""
    return AnalysisError.of(
        "DELTA_TABLE_NOT_FOUND",
        f"Delta table {quoted((shown,))} doesn't exist.",
        sql_state="42P01",
        tableName=quoted((shown,)),
    )


def location_not_empty(name: TableName, folder: Place) -> AnalysisError:
    """A table cannot be made where other files lie."""
    return AnalysisError.of(
        "DELTA_CREATE_TABLE_WITH_NON_EMPTY_LOCATION",
        f"Cannot create table ('{full(name)}'). The associated location ('{folder}') is not empty and also not a "
        "Delta table.",
        sql_state="42601",
        tableId=full(name),
        tableLocation=str(folder),
    )
