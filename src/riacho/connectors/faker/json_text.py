"""Columns as JSON texts, a row each, with what may be wrong in them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from riacho.connectors.faker.makers import iso

_ESCAPES = (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"))
_CONTROL = r"[\x00-\x1f]"


def objects(names: Sequence[str], columns: Sequence[pa.Array], missing: np.ndarray, wrong: np.ndarray) -> pa.Array:
    """An object for each row. `missing`, `wrong`: which field of a row is left out or of another type, -1 for none."""
    parts: list[pa.Array] = []
    for place, (name, column) in enumerate(zip(names, columns, strict=True)):
        value = fragments(column)
        if (mask := wrong == place).any():
            value = pc.if_else(pa.array(mask), _of_another_type(column.type), value)
        key = json.dumps(name, ensure_ascii=False)
        part = pc.binary_join_element_wise(f",{key}:", value, "")
        if (mask := missing == place).any():
            part = pc.if_else(pa.array(mask), "", part)
        parts.append(part)
    whole = pc.binary_join_element_wise(*parts, "")
    return pc.binary_join_element_wise("{", pc.utf8_slice_codeunits(whole, start=1), "}", "")


def _of_another_type(kind: pa.DataType) -> str:
    """What a program that expects this type cannot use."""
    return "[]" if pa.types.is_string(kind) else '"n/a"'


def fragments(column: pa.Array) -> pa.Array:
    """Each value as JSON, `null` for none."""
    kind = column.type
    if pa.types.is_string(kind):
        text = column
        for plain, escaped in _ESCAPES:
            text = pc.replace_substring(text, plain, escaped)
        if pc.any(pc.match_substring_regex(text, _CONTROL)).as_py():
            return _one_by_one(column)
        found = pc.binary_join_element_wise('"', text, '"', "")
    elif pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        found = pc.cast(column, pa.string())
    elif pa.types.is_floating(kind):
        found = pc.if_else(pc.is_finite(column), pc.cast(column, pa.string()), pa.scalar(None, pa.string()))
    elif pa.types.is_timestamp(kind):
        found = pc.binary_join_element_wise('"', iso(column), '"', "")
    elif pa.types.is_date(kind):
        found = pc.binary_join_element_wise('"', pc.cast(column, pa.string()), '"', "")
    elif pa.types.is_struct(kind):
        none = np.full(len(column), -1)
        fields = [pc.struct_field(column, place) for place in range(kind.num_fields)]
        found = objects([field.name for field in kind], fields, none, none)
        found = pc.if_else(pc.is_null(column), pa.scalar(None, pa.string()), found)
    elif pa.types.is_list(kind) and not column.null_count:
        inside = pa.ListArray.from_arrays(column.offsets, fragments(column.values))
        found = pc.binary_join_element_wise("[", pc.binary_join(inside, ","), "]", "")
    else:
        return _one_by_one(column)
    return pc.fill_null(found, "null")


def _one_by_one(column: pa.Array) -> pa.Array:
    """For what is rare: bytes, maps, control characters."""
    texts = [
        json.dumps(value, ensure_ascii=False, default=_plain, separators=(",", ":")) for value in column.to_pylist()
    ]
    return pa.array(texts, pa.string())


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value.hex() if isinstance(value, bytes) else str(value)


def cut_short(texts: pa.Array, mask: np.ndarray) -> pa.Array:
    """Texts of which those in `mask` end in the middle."""
    if not mask.any():
        return texts
    chosen = texts.filter(pa.array(mask)).to_pylist()
    return pc.replace_with_mask(texts, pa.array(mask), pa.array([text[: max(len(text) // 2, 1)] for text in chosen]))
