"""`create_auto_cdc_flow` with all that Lakeflow has: SCD type 2, partial updates, truncates, flows that run once.

What Spark 4.2 can do is said in its own words, so such a flow runs there as well. The rest travels as an extension of
the same message, which Spark refuses.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import copy
from typing import Any, Literal

from google.protobuf.any_pb2 import Any as AnyMessage
from pyspark.errors import PySparkException, PySparkNotImplementedError, PySparkTypeError, PySparkValueError
from pyspark.pipelines.api import create_auto_cdc_flow as _create_auto_cdc_flow
from pyspark.pipelines.graph_element_registry import (
    get_active_graph_element_registry,
    graph_element_registration_context,
)
from pyspark.sql import Column

Columns = list[str] | list[Column] | None
Condition = str | Column | None

ARGUMENTS = "pipelines.autocdc.arguments"
"""Names the arguments, as JSON, for which the message has no field."""


def create_auto_cdc_flow(  # noqa: PLR0917 - Spark's own, in its order
    target: str,
    source: str,
    keys: list[str] | list[Column],
    sequence_by: str | Column,
    apply_as_deletes: Condition = None,
    column_list: Columns = None,
    except_column_list: Columns = None,
    stored_as_scd_type: Literal[1, 2, "1", "2"] | None = None,
    name: str | None = None,
    *,
    ignore_null_updates: bool = False,
    ignore_null_updates_column_list: Columns = None,
    ignore_null_updates_except_column_list: Columns = None,
    apply_as_truncates: Condition = None,
    track_history_column_list: Columns = None,
    track_history_except_column_list: Columns = None,
    once: bool = False,
) -> None:
    """Apply the events of `source`, which is read as a stream, to the streaming table `target`.

    The first nine arguments are those of `pyspark.pipelines.create_auto_cdc_flow`, and with these alone the flow runs
    on Spark 4.2 too. The others need riacho, as does `stored_as_scd_type=2`, which keeps all versions of a row:

    - `ignore_null_updates`: NULL in an event means that it says nothing of that column; with the lists, in these
      columns only, or in all but these.
    - `apply_as_truncates`: a condition for events that remove all rows whose events are older (type 1).
    - `track_history_column_list`, `track_history_except_column_list`: the columns whose changes make a new version of
      a row (type 2).
    - `once`: the source is read as a batch, one time in the life of the flow's checkpoint: for a first load.

    Raises PySparkTypeError, PySparkValueError for arguments that are wrong by themselves, PySparkNotImplementedError
    from a server that is not riacho, and what the server says of the rest.
    """
    _check_type("stored_as_scd_type", stored_as_scd_type, str(stored_as_scd_type) in ("None", "1", "2"), "1 or 2")
    for argument, value in (("ignore_null_updates", ignore_null_updates), ("once", once)):
        _check_type(argument, value, isinstance(value, bool), "bool")
    given = {
        **_lists("ignore_null_updates", ignore_null_updates_column_list, ignore_null_updates_except_column_list),
        **_lists("track_history", track_history_column_list, track_history_except_column_list),
    }
    if ignore_null_updates:
        given["ignore_null_updates"] = True
    if str(stored_as_scd_type) == "2":
        given["stored_as_scd_type"] = 2
    truncates = _condition("apply_as_truncates", apply_as_truncates)
    plain: Any = None if "stored_as_scd_type" in given else stored_as_scd_type
    registry: Any = get_active_graph_element_registry()
    if given or truncates is not None or once:
        registry = copy(registry)
        registry._client = _Extends(registry._client, given, truncates, once)  # noqa: SLF001 - there is no other way
    with graph_element_registration_context(registry):
        _create_auto_cdc_flow(
            target, source, keys, sequence_by, apply_as_deletes, column_list, except_column_list, plain, name
        )


class _Extends:
    """A client of a server: the AUTO CDC flow that goes through it gets more arguments."""

    def __init__(self, client: Any, given: dict[str, Any], truncates: Column | None, once: bool) -> None:
        self._client = client
        self._given = given
        self._truncates = truncates
        self._once = once

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def execute_command(self, command: Any, *arguments: Any, **options: Any) -> Any:
        flow = command.pipeline_command.define_flow
        inner = type(flow)(sql_conf={ARGUMENTS: json.dumps(self._given)})
        inner.auto_cdc_flow_details.CopyFrom(flow.auto_cdc_flow_details)
        if self._truncates is not None:
            inner.auto_cdc_flow_details.apply_as_truncates.CopyFrom(self._truncates.to_plan(self._client))  # type: ignore[operator]
        packed = AnyMessage()
        packed.Pack(inner)
        flow.extension.CopyFrom(packed)
        if self._once:
            flow.once = True
        try:
            return self._client.execute_command(command, *arguments, **options)
        except PySparkException as error:
            if comes_of_spark(error):
                raise PySparkNotImplementedError(
                    f"Spark cannot do this in an AUTO CDC flow, only riacho can: {', '.join(self._asked)}."
                ) from error
            raise

    @property
    def _asked(self) -> Sequence[str]:
        more = [("apply_as_truncates", self._truncates is not None), ("once", self._once)]
        return [
            *(f"{name}={value}" if isinstance(value, int) else name for name, value in self._given.items()),
            *(name for name, asked in more if asked),
        ]


def comes_of_spark(error: PySparkException) -> bool:
    """Whether a server says that it does not know such messages."""
    text = str(error)
    return "DefineFlow details case: EXTENSION" in text or "DEFINE_FLOW_ONCE_OPTION_NOT_SUPPORTED" in text


def _lists(kind: str, include: Any, exclude: Any) -> dict[str, Any]:
    """Columns that are named, or those that are not, by their names, which the server checks."""
    if include is not None and exclude is not None:
        raise PySparkValueError(f"At most one of {kind}_column_list and {kind}_except_column_list can be given.")
    if include is not None:
        names = _names(f"{kind}_column_list", include)
        if not names:
            raise PySparkValueError(f"{kind}_column_list is empty. Leave it out, or name at least one column.")
        return {f"{kind}_column_list": names}
    if exclude is None:
        return {}
    return {f"{kind}_except_column_list": _names(f"{kind}_except_column_list", exclude)}


def _names(argument: str, columns: Any) -> list[str]:
    """Columns by their names, which the server checks."""
    _check_type(argument, columns, isinstance(columns, list), "list[str] or list[Column]")
    names = []
    for column in columns:
        _check_type(argument, column, isinstance(column, str | Column), "list[str] or list[Column]")
        names.append(column if isinstance(column, str) else str(column._expr))  # noqa: SLF001
    return names


def _condition(argument: str, condition: Any) -> Column | None:
    from pyspark.sql.connect.functions.builtin import expr

    if isinstance(condition, str):
        return expr(condition)
    _check_type(argument, condition, condition is None or isinstance(condition, Column), "str or Column")
    return condition  # type: ignore[no-any-return]


def _check_type(argument: str, value: Any, fits: bool, expected: str) -> None:
    if not fits:
        raise PySparkTypeError(
            errorClass="NOT_EXPECTED_TYPE",
            messageParameters={"arg_name": argument, "expected_type": expected, "arg_type": type(value).__name__},
        )
