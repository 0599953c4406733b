"""Errors that more than one part raises about names in a plan or in SQL, with Spark's conditions and texts."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.message import Message

from riacho.errors import AnalysisError
from riacho.identifiers import last_part
from riacho.server.plan.walk import children, expressions, walk


def unresolved_column(name: str, known: Iterable[str]) -> AnalysisError:
    """There is no column of that name; `known` are those that there are."""
    proposal = ", ".join(f"`{column}`" for column in known)
    return AnalysisError.of(
        "UNRESOLVED_COLUMN.WITH_SUGGESTION",
        f"A column, variable, or function parameter with name `{name}` cannot be resolved. Did you mean one of the "
        f"following? [{proposal}].",
        sql_state="42703",
        objectName=f"`{name}`",
        proposal=proposal,
    )


def told_of_dataframe(error: AnalysisError, request: Message) -> AnalysisError:
    """`error`, in other words if it is of a column that the request takes from a DataFrame: `df.k`, not `"k"`."""
    if not (error.condition or "").startswith("UNRESOLVED_COLUMN"):
        return error
    name = last_part(error.parameters.get("objectName", ""))
    columns = (e.unresolved_attribute for top in children(request) for node in walk(top) for e in expressions(node))
    if not any(each.HasField("plan_id") and last_part(each.unparsed_identifier) == name for each in columns):
        return error
    return AnalysisError.of(
        "CANNOT_RESOLVE_DATAFRAME_COLUMN",
        f'Cannot resolve dataframe column "{name}". It\'s probably because of illegal references like '
        '`df1.select(df2.col("a"))`.',
        sql_state="42704",
        name=f'"{name}"',
    )
