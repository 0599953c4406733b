from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riacho.server.formats.casts import UNSAFE, cast_text, castable
from riacho.server.formats.datetimes import Datetimes
from riacho.server.formats.fixed_patterns import fixed_pattern
from riacho.server.formats.patterns import compile_pattern
from riacho.types import TIMESTAMP

FIXED = ["dd/MM/yyyy", "yyyyMMdd", "yyyy-MM-dd HH:mm", "MM.dd.yyyy 'at' HH:mm:ss", "yyyyMMddHHmmss"]


@pytest.mark.parametrize("pattern", FIXED)
def test_positions_are_found(pattern: str) -> None:
    assert fixed_pattern(pattern) is not None


@pytest.mark.parametrize(
    "pattern",
    [
        "d/M/yyyy",
        "dd/MM/yy",
        "MM/dd",
        "yyyy-MM-dd HH",
        "yyyy-MM-dd[ HH:mm]",
        "yyyy-MM-dd HH:mm:ss.SSS",
        "MM/dd/yyyy hh:mm a",
        "yyyyMMddXXX",
        "yyyy-MM-dd yyyy",
    ],
)
def test_other_patterns_are_left_alone(pattern: str) -> None:
    assert fixed_pattern(pattern) is None


@given(
    st.sampled_from(FIXED),
    st.lists(st.text("0123456789/-.: at", max_size=22) | st.datetimes().map(lambda d: f"{d:%d/%m/%Y}"), max_size=5),
    st.datetimes(min_value=datetime(1000, 1, 1)),  # noqa: DTZ001  Python writes earlier years in fewer digits
)
def test_both_readers_of_a_pattern_agree(pattern: str, texts: list[str], moment: object) -> None:
    form = pattern
    for letters, directive in (
        ("yyyy", "%Y"),
        ("MM", "%m"),
        ("dd", "%d"),
        ("HH", "%H"),
        ("mm", "%M"),
        ("ss", "%S"),
        ("'at'", "at"),
    ):
        form = form.replace(letters, directive)
    good = format(moment, form)
    exact = compile_pattern(pattern)
    for arrow, parse in ((pa.date32(), exact.days), (TIMESTAMP, lambda text: exact.micros(text, "UTC"))):
        datetimes = Datetimes(date_pattern=exact, timestamp_pattern=exact)
        if not castable(arrow, datetimes):
            continue
        for text in [*texts, good]:
            found = cast_text(pa.chunked_array([pa.array([text])]), arrow, datetimes)
            if found is UNSAFE:
                assert text != good, "what the pattern itself writes need not be read again"
            else:
                assert found[0].value == parse(text)
