"""What is wrong with an update, and what is not; see tests/systems for the rest."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from rich.console import Console

from riacho.cli.status import show
from riacho.event_log import FlowFacts, RuleFacts, UpdateFacts, table_of

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def update(state: str, *flows: FlowFacts, rules: tuple[RuleFacts, ...] = ()) -> UpdateFacts:
    return UpdateFacts("0123456789", "shop", state, NOW, NOW, None, flows, rules)


@pytest.mark.parametrize(
    ("state", "flow", "well"),
    [
        ("COMPLETED", FlowFacts("f", "COMPLETED"), True),
        ("RUNNING", FlowFacts("f", "IDLE"), True),
        ("CANCELED", FlowFacts("f", "STOPPED"), True),
        ("FAILED", FlowFacts("f", "COMPLETED"), False),
        ("RUNNING", FlowFacts("f", "FAILED"), False),
        ("COMPLETED", FlowFacts("f", "COMPLETED", unbalanced=1), False),
    ],
)
def test_what_is_wrong(state: str, flow: FlowFacts, well: bool) -> None:
    assert update(state, flow).is_well is well


@pytest.mark.parametrize("width", [80, 100, 120, 160])
def test_large_numbers_and_long_names_have_room(width: int) -> None:
    rows: dict[str, int | None] = dict.fromkeys(
        ("rows_in", "out", "quarantined", "dropped", "late", "duplicate", "rescued", "filtered"), 123_456_789
    )
    flow = FlowFacts(
        "spark_catalog.silver.a_long_name_of_a_flow", "FAILED", "boom", 5, 9999, NOW, rows, 2, ("MISMATCH",)
    )
    rule = RuleFacts("spark_catalog.silver.events", "nearly_all", 999_999, 1)
    console = Console(width=width, record=True, color_system=None)
    with console.capture() as printed:
        show(update("FAILED", flow, rules=(rule,)), console, NOW.timestamp() + 90)
    lines = printed.get().splitlines()
    assert max(map(len, lines[1:])) <= width
    text = "\n".join(lines)
    for shown in ("✗ shop", "123 M", "✗ 2", "99.99 %", "do not add up", "silver.a_long_name_of_a"):
        assert shown in text, shown


def test_where_the_table_is() -> None:
    assert table_of("file:///data/shop/") == "file:///data/shop/system/events"
