"""Values of one type as text, as Java prints them: what JSON, CSV and the names of partition folders have in common."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from riacho.server.formats.write.moments import MomentPattern

_NAMED: Final = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


@dataclass(frozen=True)
class Moment:
    """How dates and times are spelled. `zone`: the one in which TIMESTAMPs are shown, as the engine calls it."""

    date: MomentPattern
    timestamp: MomentPattern
    timestamp_ntz: MomentPattern
    zone: str


def scalar_text(column: pa.Array, moment: Moment, binary: Callable[[bytes], str]) -> pa.Array:
    """A column of no nested type as text, null where it is. `binary`: how bytes are spelled."""
    arrow = column.type
    if pa.types.is_string(arrow):
        return column
    if pa.types.is_floating(arrow):
        return floats(column)
    if pa.types.is_date(arrow):
        return moment.date.dates(column)
    if pa.types.is_timestamp(arrow):
        pattern = moment.timestamp if arrow.tz is not None else moment.timestamp_ntz
        return pattern.timestamps(column, moment.zone)
    if pa.types.is_binary(arrow):
        return pa.array([None if value is None else binary(value) for value in column.to_pylist()], pa.string())
    if pa.types.is_duration(arrow):
        return intervals(column)
    if pa.types.is_null(arrow):
        return pa.nulls(len(column), pa.string())
    return column.cast(pa.string())


def base64_text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def hex_text(value: bytes) -> str:
    """`[41 FF]`, as Spark shows bytes."""
    return f"[{value.hex(' ').upper()}]"


def floats(column: pa.Array) -> pa.Array:
    """FLOATs and DOUBLEs as Java prints them: `1.0`, `1.0E20`, `NaN`."""
    text = column.cast(pa.string())
    values = np.asarray(pc.fill_null(column, 0.0))
    size = np.abs(values)
    plain = ((size >= 1e-3) & (size < 1e7)) | (size == 0)
    whole = plain & (values == np.trunc(values))
    if whole.any():
        text = _replaced(text, whole, lambda part: pc.binary_join_element_wise(part, ".0", ""))
    if not plain.all():
        text = _replaced(text, ~plain, _scientific)
    return text


def _replaced(text: pa.Array, where: npt.NDArray[np.bool_], change: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """`text` with the values at `where` changed; null stays null."""
    if where.all():
        return change(text)
    if not where.any():
        return text
    mask = pa.array(where)
    return pc.replace_with_mask(text, mask, change(text.filter(mask)))


def _scientific(text: pa.Array) -> pa.Array:
    """Numbers from 10⁷ and below 10⁻³ as `1.5E20`; they come as `1.5e+20`, `15000000`, `0.00015` or `nan`."""
    odd = np.asarray(pc.match_substring_regex(text, "^-?0|[^0-9.-]"))
    text = _replaced(text, ~odd, _large)
    return _replaced(text, odd, _odd) if odd.any() else text


def _large(text: pa.Array) -> pa.Array:
    """Numbers such as `-123456789.125`."""
    negative = pc.starts_with(text, "-")
    size = pc.utf8_ltrim(text, "-") if pc.any(negative).as_py() else text
    point = pc.find_substring(size, ".")
    power = pc.subtract(pc.if_else(pc.equal(point, -1), pc.binary_length(size), point), 1)
    digits = pc.utf8_rtrim(pc.replace_substring(size, ".", ""), "0")
    rest = pc.utf8_slice_codeunits(digits, 1)
    return pc.binary_join_element_wise(
        pc.if_else(negative, "-", ""),
        pc.utf8_slice_codeunits(digits, 0, 1),
        ".",
        pc.if_else(pc.equal(rest, ""), "0", rest),
        "E",
        power.cast(pa.string()),
        "",
    )


def _odd(text: pa.Array) -> pa.Array:
    """As `_scientific`, of any form."""
    for arrow, java in _NAMED.items():
        text = pc.if_else(pc.equal(text, arrow), java, text)
    named = pc.is_in(text, pa.array(list(_NAMED.values())))
    parts = pc.extract_regex(text, r"^(?P<sign>-?)(?P<whole>\d+)(?:\.(?P<fraction>\d*))?(?:e\+?(?P<exponent>-?\d+))?$")
    sign, whole, fraction, exponent = (pc.struct_field(parts, index) for index in range(4))
    digits = pc.binary_join_element_wise(whole, fraction, "")
    leading = pc.utf8_ltrim(digits, "0")
    zeros = pc.subtract(pc.utf8_length(digits), pc.utf8_length(leading))
    given = pc.if_else(pc.equal(exponent, ""), "0", exponent).cast(pa.int32())
    power = pc.add(given, pc.subtract(pc.subtract(pc.utf8_length(whole), zeros), 1))
    rest = pc.utf8_rtrim(pc.utf8_slice_codeunits(leading, 1), "0")
    shown = pc.binary_join_element_wise(
        sign,
        pc.utf8_slice_codeunits(leading, 0, 1),
        ".",
        pc.if_else(pc.equal(rest, ""), "0", rest),
        "E",
        power.cast(pa.string()),
        "",
    )
    return pc.if_else(named, text, shown)


def intervals(column: pa.Array) -> pa.Array:
    """Intervals of days and times as SQL has them: `INTERVAL '1 02:03:04.5' DAY TO SECOND`. Rare, so one by one."""
    return pa.array([None if us is None else _interval(us) for us in column.cast(pa.int64()).to_pylist()], pa.string())


def _interval(micros: int) -> str:
    seconds, fraction = divmod(abs(micros), 1_000_000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    day, hour = divmod(hours, 24)
    shown = f".{fraction:06}".rstrip("0") if fraction else ""
    return f"INTERVAL '{'-' if micros < 0 else ''}{day} {hour:02}:{minute:02}:{second:02}{shown}' DAY TO SECOND"
