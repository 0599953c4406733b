"""How the table of late rows is laid out."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riacho.errors import AnalysisError
from riacho.server.streaming.operators.late import NOTE, lay_out


def of(*names: str) -> pa.Schema:
    return pa.schema([pa.field(name, pa.int64()) for name in names])


def test_inputs_share_the_columns_that_they_both_have() -> None:
    schema, names = lay_out([of("k", "v"), of("K", "u")])
    assert schema.names == ["k", "v", "u"]
    assert names == [["k", "v"], ["k", "u"]]


def test_a_name_given_twice_is_numbered() -> None:
    assert lay_out([of("k", "v", "k", "K", "k_2")])[1] == [["k", "v", "k_2", "K_3", "k_2_2"]]


def test_the_note_keeps_its_name() -> None:
    assert lay_out([of(NOTE, "_LATE")])[1] == [["_late_2", "_LATE_3"]]


def test_a_required_column_may_be_missing_in_other_inputs() -> None:
    schema, _ = lay_out([pa.schema([pa.field("k", pa.int64(), nullable=False)]), of("v")])
    assert schema.field("k").nullable


def test_two_types_under_one_name_are_refused() -> None:
    with pytest.raises(AnalysisError, match="columns of that name with the types BIGINT and STRING") as caught:
        lay_out([of("v"), pa.schema([("V", pa.string())])])
    assert caught.value.condition == "DELTA_FAILED_TO_MERGE_FIELDS"


@given(st.lists(st.lists(st.sampled_from(["a", "A", "b", "a_2", NOTE]), max_size=6), max_size=4))
def test_every_column_has_a_place_of_its_own(inputs: list[list[str]]) -> None:
    schema, names = lay_out([of(*columns) for columns in inputs])
    assert len({name.lower() for name in schema.names} | {NOTE}) == len(schema.names) + 1
    for columns, places in zip(inputs, names, strict=True):
        assert len(places) == len(columns)
        assert len(set(places)) == len(places)
        assert set(places) <= set(schema.names)
