"""Errors that more than one part raises about names in a plan or in SQL, with Spark's conditions and texts."""

from __future__ import annotations

from collections.abc import Iterable

from riacho.errors import AnalysisError


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
