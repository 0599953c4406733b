"""JSON values as columns: what no column can hold is said, whatever it is."""

from __future__ import annotations

import json

import pyarrow as pa

from riacho.connectors.values import as_json, column


def test_half_a_surrogate_pair_fits_no_text_and_breaks_nothing() -> None:
    """JSON can escape it, Arrow and UTF-8 cannot hold it: one record with it must not stop all others."""
    half, whole = json.loads(r'"a\ud800"'), json.loads(r'"\ud83d\ude00"')
    found, wrong = column(["x", half, whole], pa.string(), "s", empty_as_null=False)
    assert found.to_pylist() == ["x", None, "😀"]
    assert wrong == {1: r'field s: expected text in Unicode, got "a\ud800"'}
    for kind in (pa.int64(), pa.timestamp("us", "UTC"), pa.date32(), pa.binary(), pa.decimal128(5, 2), pa.float64()):
        found, wrong = column([half], kind, "n", empty_as_null=False)
        assert (found.to_pylist(), list(wrong)) == ([None], [0])
        assert wrong[0].encode()
    for kind in (pa.map_(pa.string(), pa.string()), pa.struct([("a", pa.string())])):
        found, wrong = column([{half: "x", "a": half}, {"a": "b"}], kind, "m", empty_as_null=False)
        assert (found.is_valid().to_pylist(), list(wrong)) == ([False, True], [0])
    # In the text of an object it stays escaped, as JSON has it.
    found, wrong = column([{"in": [half]}], pa.string(), "s", empty_as_null=False)
    assert (found.to_pylist(), wrong) == ([r'{"in":["a\ud800"]}'], {})
    assert as_json({"a": half, "é": 1}).encode() == r'{"a":"a\ud800","é":1}'.encode()
