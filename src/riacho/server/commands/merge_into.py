"""`df.mergeInto(…).merge()`: the message as a MERGE."""

from __future__ import annotations

from collections.abc import Sequence

from riacho.conf import AUTO_MERGE
from riacho.errors import InvalidPlanInputError
from riacho.protos import pb
from riacho.server.catalog import row_changes
from riacho.server.commands.context import SqlContext
from riacho.server.commands.dml import target
from riacho.server.sql.cursor import dotted_name

_ACTIONS = {
    pb.MergeAction.ACTION_TYPE_DELETE: "delete",
    pb.MergeAction.ACTION_TYPE_INSERT: "insert",
    pb.MergeAction.ACTION_TYPE_INSERT_STAR: "insert",
    pb.MergeAction.ACTION_TYPE_UPDATE: "update",
    pb.MergeAction.ACTION_TYPE_UPDATE_STAR: "update",
}
_STARS = {pb.MergeAction.ACTION_TYPE_INSERT_STAR, pb.MergeAction.ACTION_TYPE_UPDATE_STAR}


def merge_into(command: pb.MergeIntoTableCommand, context: SqlContext) -> None:
    """Run it; its relations have been prepared. Raises what MERGE raises."""
    folder, scope = target(tuple(dotted_name(command.target_table_name)), None, "MERGE", context)
    clauses = [
        *_clauses("matched", command.match_actions),
        *_clauses("not_matched", command.not_matched_actions),
        *_clauses("not_matched_by_source", command.not_matched_by_source_actions),
    ]
    evolve = command.with_schema_evolution or AUTO_MERGE.read(context.session.get_conf)
    source = command.source_table_plan
    merging = row_changes.Merging(
        scope, source, _source_scope(source, context), command.merge_condition, tuple(clauses), evolve
    )
    row_changes.merge(context.changes, folder, merging)


def _clauses(match: str, actions: Sequence[pb.Expression]) -> list[row_changes.Clause]:
    found = []
    for expression in actions:
        action = expression.merge_action
        assignments = tuple(
            row_changes.Assignment(_column(assignment.key), assignment.value) for assignment in action.assignments
        )
        found.append(
            row_changes.Clause(
                match,
                _ACTIONS[action.action_type],
                action.condition if action.HasField("condition") else None,
                None if action.action_type in _STARS else assignments,
            )
        )
    return found


def _column(key: pb.Expression) -> tuple[str, ...]:
    """The column that an assignment sets. Raises InvalidPlanInputError."""
    match key.WhichOneof("expr_type"):
        case "expression_string":
            parts = dotted_name(key.expression_string.expression)
        case "unresolved_attribute":
            parts = dotted_name(key.unresolved_attribute.unparsed_identifier)
        case kind:
            raise InvalidPlanInputError(f"A column of a merge must be given by its name, not as {kind}.")
    return tuple(parts)


def _source_scope(source: pb.Relation, context: SqlContext) -> row_changes.TableScope:
    """How the expressions may call the source: by its alias, or as the table that it is."""
    match source.WhichOneof("rel_type"):
        case "subquery_alias":
            return row_changes.TableScope((source.subquery_alias.alias,))
        case "read" if source.read.HasField("named_table"):
            parts = tuple(dotted_name(source.read.named_table.unparsed_identifier))
            if context.is_temporary(parts):
                return row_changes.TableScope(parts)
            full = context.qualify(parts)
            return row_changes.TableScope((full.catalog, full.database, full.table))
    return row_changes.TableScope(("__auto_generated_subquery_name",))
