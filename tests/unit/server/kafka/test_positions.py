"""Offsets as text, and how a batch is limited."""

from __future__ import annotations

import pytest

from riacho.errors import IllegalArgumentError
from riacho.server.kafka import offsets, ranges
from riacho.server.kafka.offsets import TopicPartition

A0, A1, B0 = TopicPartition("a", 0), TopicPartition("a", 1), TopicPartition("b", 0)


def test_the_same_positions_have_the_same_text() -> None:
    text = '{"a":{"0":5,"1":7},"b":{"0":-2}}'
    assert offsets.to_json({B0: -2, A1: 7, A0: 5}) == text
    assert offsets.from_json(text) == {A0: 5, A1: 7, B0: -2}
    assert offsets.to_json({A0: 1, TopicPartition("a", 10): 2, TopicPartition("a", 9): 3}) == (
        '{"a":{"0":1,"9":3,"10":2}}'
    )
    assert offsets.partitions_from_json('{"a":[1,0],"b":[0]}') == [A1, A0, B0]
    assert offsets.as_set({A1, A0}) == "Set(a-0, a-1)"


@pytest.mark.parametrize(
    "text", ["", "x", "1", '["a"]', '{"a":1}', '{"a":{"x":1}}', '{"a":{"0":true}}', '{"a":{"0":1.5}}']
)
def test_what_is_no_position(text: str) -> None:
    with pytest.raises(IllegalArgumentError, match="Expected e.g."):
        offsets.from_json(text)


def test_a_limit_is_shared_out_by_how_much_there_is() -> None:
    start, latest = {A0: 0, A1: 10}, {A0: 80, A1: 30, B0: 5}
    assert ranges.limited(10, start, latest) == {A0: 8, A1: 12, B0: 5}
    assert ranges.limited(2, start, latest) == {A0: 1, A1: 11, B0: 5}, "nobody starves"
    assert ranges.limited(1000, start, latest) == latest, "never beyond the end"
    assert ranges.limited(5, {A0: 90}, {A0: 80}) == {A0: 80}, "what has shrunk is told of elsewhere"


def test_how_far_behind_a_batch_is() -> None:
    assert ranges.behind({A0: 1, A1: 4}, {A0: 2, A1: 4}) == {
        "minOffsetsBehindLatest": "0",
        "maxOffsetsBehindLatest": "1",
        "avgOffsetsBehindLatest": "0.5",
    }
    assert ranges.behind({}, {}) == {}
    assert ranges.new_messages({A0: 1}, {A0: 3, B0: 4}) == 6
