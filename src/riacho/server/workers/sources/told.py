"""Errors of riacho's own that a worker raises, as they travel to the server: what a connector says is not wrapped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from riacho import errors
from riacho.errors import SparkError

_MODULE: Final = SparkError.__module__


def description(error: BaseException) -> dict[str, Any] | None:
    """What is told of an error; None for one that is not riacho's.

    Classes are known by their names: those of a connector that was sent by its code are not the ones of this process.
    """
    names = [cls.__name__ for cls in type(error).__mro__ if cls.__module__ == _MODULE]
    if SparkError.__name__ not in names:
        return None
    given: Any = error
    return {
        "classes": names,
        "message": given.message,
        "condition": given.condition,
        "sql_state": given.sql_state,
        "parameters": given.parameters,
    }


def error_of(described: Mapping[str, Any] | None) -> SparkError | None:
    """The error again. A class of a connector's own comes as the nearest one of `riacho.errors`."""
    if described is None:
        return None
    cls: type[SparkError] = next(getattr(errors, name) for name in described["classes"] if hasattr(errors, name))
    return cls(
        described["message"],
        condition=described["condition"],
        sql_state=described["sql_state"],
        parameters=described["parameters"],
    )
