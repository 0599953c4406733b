"""The tables in bench/README.md. Each benchmark writes its own anew, between two marks that bear its name."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

PAGE = Path(__file__).parent / "README.md"


def write(benchmark: str, table: str, how: str) -> None:
    """Put `table` in the place of the one there; `how` says how it was measured. Raises ValueError without marks."""
    mark = f"<!-- {benchmark} -->"
    parts = PAGE.read_text(encoding="utf-8").split(mark)
    if len(parts) != 3:
        raise ValueError(f"{PAGE} must have two lines {mark} to put the table between; it has {len(parts) - 1}.")
    parts[1] = f"\n\n{table}\n\n{datetime.now(tz=UTC):%Y-%m-%d}, {how}.\n\n"
    PAGE.write_text(mark.join(parts), encoding="utf-8")


def number(value: float) -> str:
    """Three digits tell enough."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2f}"
