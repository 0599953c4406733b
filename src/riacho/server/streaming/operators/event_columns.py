"""Which column of an operator's input carries its event time: Spark allows one, of those that are used.

Source: `WatermarkSupport.findEventTimeColumn`.
"""

from __future__ import annotations

from collections.abc import Iterable

from riacho.errors import AnalysisError
from riacho.protos import pb
from riacho.server.plan.column_names import output_name
from riacho.server.plan.event_time import Delays
from riacho.server.streaming.watermark import delay_ms


def check_columns(names: Iterable[str], marks: Delays) -> None:
    """Raises AnalysisError if more than one of these columns is marked. `names` in lower case, each column once."""
    marked = [name for name in names if name in marks]
    if len(marked) > 1:
        shown = f"({','.join(f'{name}-T{delay_ms(marks[name])}ms' for name in marked)})"
        raise AnalysisError(
            "More than one event time columns are available. Please ensure there is at most one event time column per "
            f"stream. event time columns: {shown}",
            condition="_LEGACY_ERROR_TEMP_3077",
            parameters={"eventTimeCols": shown},
        )


def check_keys(keys: Iterable[pb.Expression], marks: Delays) -> None:
    """The same for the keys of an aggregation, of which those that are the same expression are one.

    Raises as `check_columns`.
    """
    distinct: dict[bytes, str] = {}
    for key in keys:
        expression = key.alias.expr if key.HasField("alias") else key
        distinct.setdefault(expression.SerializeToString(deterministic=True), output_name(key))
    check_columns(distinct.values(), marks)
