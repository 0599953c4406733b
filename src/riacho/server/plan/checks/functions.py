"""Functions that make no sense batch by batch: those over a window of rows, and row numbers."""

from __future__ import annotations

from collections.abc import Iterator

from riacho.errors import AnalysisError
from riacho.protos import pb
from riacho.server.plan.checks.refusal import refuse
from riacho.server.plan.facts import is_streaming
from riacho.server.plan.from_sql.expressions import structured
from riacho.server.plan.text import column_name
from riacho.server.plan.walk import expressions, top_expressions


def check_expressions(node: pb.Relation) -> None:
    """Raises AnalysisError if an expression of `node` has such a function."""
    for column in _columns(node):
        read = structured(column)
        for expression in [read, *expressions(read)]:
            if expression.HasField("window") and is_streaming(node):
                raise _row_window(expression.window, column)
            if expression.unresolved_function.function_name.lower() == "monotonically_increasing_id":
                text = (
                    "Expression(s): monotonically_increasing_id() is not supported with streaming DataFrames/Datasets"
                )
                raise refuse(text, node)


def _columns(node: pb.Relation) -> Iterator[pb.Expression]:
    """The expressions of a node, with their alias if they have one."""
    if node.WhichOneof("rel_type") == "with_columns":
        yield from (pb.Expression(alias=alias) for alias in node.with_columns.aliases)
    else:
        yield from top_expressions(node)


def _row_window(window: pb.Expression.Window, column: pb.Expression) -> AnalysisError:
    function = column_name(window.window_function)
    partition = ", ".join(column_name(e) for e in window.partition_spec)
    order = ", ".join(column_name(pb.Expression(sort_order=e)) for e in window.order_spec)
    spec = " ".join(
        [
            *([f"PARTITION BY {partition}"] if partition else []),
            *([f"ORDER BY {order}"] if order else []),
            _frame(window),
        ]
    )
    name = column.alias.name[0] if column.HasField("alias") else f"{function} OVER ({spec})"
    parameters = {
        "windowFunc": function.upper(),
        "columnName": f"`{name}`",
        "windowSpec": f"({spec.upper()})",
    }
    return AnalysisError.of(
        "NON_TIME_WINDOW_NOT_SUPPORTED_IN_STREAMING",
        f"Window function is not supported in {parameters['windowFunc']} (as column {parameters['columnName']}) on "
        "streaming DataFrames/Datasets.\nStructured Streaming only supports time-window aggregation using the WINDOW "
        f"function. (window specification: {parameters['windowSpec']})",
        sql_state="42KDE",
        **parameters,
    )


def _frame(window: pb.Expression.Window) -> str:
    """The frame as Spark completes it: rows for functions that number rows, else by range."""
    numbering = column_name(window.window_function).split("(")[0].lower()
    rows = numbering in ("row_number", "rank", "dense_rank", "ntile", "percent_rank", "cume_dist")
    if window.HasField("frame_spec"):
        rows = window.frame_spec.frame_type == pb.Expression.Window.WindowFrame.FRAME_TYPE_ROW
    elif not window.order_spec:
        return "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING"
    return f"{'ROWS' if rows else 'RANGE'} BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
