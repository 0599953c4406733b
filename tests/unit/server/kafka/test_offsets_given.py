"""Offsets that a user gives: those that mean nothing are refused before anything is read."""

from __future__ import annotations

import pytest

from riacho.errors import IllegalArgumentError
from riacho.server.kafka.options import KafkaReadOptions

GIVEN = {"kafka.bootstrap.servers": "nowhere:1", "subscribe": "t"}


@pytest.mark.parametrize(("side", "stream"), [("starting", False), ("ending", False), ("starting", True)])
def test_an_offset_that_is_none(side: str, stream: bool) -> None:
    with pytest.raises(IllegalArgumentError, match=rf"{side}Offsets for t-0 is -3: give an offset from 0 on, -2"):
        KafkaReadOptions.of({**GIVEN, f"{side}Offsets": '{"t": {"0": -3, "1": 4}}'}, stream=stream)
    for offset in (0, 7, -2 if side == "starting" else -1):
        KafkaReadOptions.of({**GIVEN, f"{side}Offsets": f'{{"t": {{"0": {offset}}}}}'}, stream=stream)
