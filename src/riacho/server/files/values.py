"""Partition values as the names of folders show them: what Spark's CAST to STRING gives."""

from __future__ import annotations

import pyarrow as pa

from riacho.server.formats.write.moments import DEFAULT_DATE, compile_moments
from riacho.server.formats.write.spelling import Moment, scalar_text

_NULL: frozenset[str] = frozenset({"", "__HIVE_DEFAULT_PARTITION__"})
_TIMES = compile_moments("yyyy-MM-dd HH:mm:ss.SSSSSS")


def partition_text(value: pa.Scalar, zone: str) -> str | None:
    """The text of a value, TIMESTAMPs in `zone`; None for NULL and for text that is empty."""
    moment = Moment(compile_moments(DEFAULT_DATE), _TIMES, _TIMES, zone)
    column = pa.array([value.as_py()], value.type)
    text: str | None = scalar_text(column, moment, lambda data: data.decode("utf-8", "replace"))[0].as_py()
    if text is not None and pa.types.is_timestamp(value.type):
        text = text.rstrip("0").rstrip(".") if "." in text else text
    return None if text in _NULL else text
