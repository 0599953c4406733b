"""CHECK constraints added and dropped. The engine looks at the rows that are there; `delta.rules` at those to come."""

from __future__ import annotations

import pyarrow as pa

from riacho.errors import AnalysisError
from riacho.protos import pb
from riacho.server.commands.context import SqlContext, nothing
from riacho.server.delta import tables
from riacho.server.delta.rules import CONSTRAINT, broken, parsed
from riacho.server.plan import build
from riacho.server.sql.statements import Constrain, Name
from riacho.storage import Place


def constrain(statement: Constrain, context: SqlContext) -> pa.Table:
    """`ALTER TABLE … ADD CONSTRAINT | DROP CONSTRAINT`. Raises SparkError."""
    folder = context.delta_folder(statement.table, "ALTER TABLE ... ADD CONSTRAINT")
    state = context.delta_state(folder)
    key = CONSTRAINT + statement.constraint.lower()
    known = next((found for found in state.metadata.configuration if found.lower() == key), None)
    if statement.condition is None:
        if known is not None:
            tables.alter(folder, context.clock, "DROP CONSTRAINT", unset=(known,))
        elif not statement.if_exists:
            raise _no_constraint(statement.constraint, ".".join(statement.table))
        return nothing()
    if known is not None:
        raise _constraint_exists(statement.constraint, state.metadata.configuration[known])
    _require_kept(statement.constraint, statement.condition, statement.table, folder, context)
    tables.alter(folder, context.clock, "ADD CONSTRAINT", properties={key: statement.condition})
    return nothing()


def _require_kept(constraint: str, condition: str, name: Name, folder: Place, context: SqlContext) -> None:
    """Raises DELTA_NON_BOOLEAN_CHECK_CONSTRAINT, DELTA_NEW_CHECK_CONSTRAINT_VIOLATION, and what the engine raises."""
    relation = pb.Relation()
    relation.read.data_source.format = "delta"
    relation.read.data_source.paths.append(str(folder))
    shown = build.project(relation, [build.alias(parsed(condition), "kept")])
    if not pa.types.is_boolean(context.session.schema(shown).types[0]):
        raise _not_boolean(constraint, condition)
    number = build.alias(build.call("count", build.integer(1)), "n")
    counted = build.group(build.where(relation, broken(condition)), [], [number])
    count = context.session.run(counted).column(0)[0].as_py()
    if count:
        raise _rows_violate(count, str(context.qualify(name)), condition)


def _no_constraint(constraint: str, table: str) -> AnalysisError:
    return AnalysisError.of(
        "DELTA_CONSTRAINT_DOES_NOT_EXIST",
        f"Cannot drop nonexistent constraint {constraint} from table {table}. To avoid throwing an error, provide the "
        "parameter IF EXISTS.",
        sql_state="42704",
        constraintName=constraint,
        tableName=table,
    )


def _constraint_exists(constraint: str, condition: str) -> AnalysisError:
    return AnalysisError.of(
        "DELTA_CONSTRAINT_ALREADY_EXISTS",
        f"Constraint '{constraint}' already exists. Please delete the old constraint first.\n"
        f"Old constraint:\n{condition}",
        sql_state="42710",
        constraintName=constraint,
        oldConstraint=condition,
    )


def _not_boolean(constraint: str, condition: str) -> AnalysisError:
    return AnalysisError.of(
        "DELTA_NON_BOOLEAN_CHECK_CONSTRAINT",
        f"CHECK constraint '{constraint}' ({condition}) should be a boolean expression.",
        sql_state="42621",
        name=constraint,
        expr=condition,
    )


def _rows_violate(count: int, table: str, condition: str) -> AnalysisError:
    return AnalysisError.of(
        "DELTA_NEW_CHECK_CONSTRAINT_VIOLATION",
        f"{count} rows in {table} violate the new CHECK constraint ({condition})",
        sql_state="23512",
        numRows=str(count),
        tableName=table,
        checkConstraint=condition,
    )
