"""`riacho demo crypto`, as a newcomer types it, twice, in a narrow terminal."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from deltalake import DeltaTable

from riacho.testing.servers import outer_environment

LIMIT_S = 240
WIDTH = 80


def demo(folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "riacho", "demo", "crypto"],
        check=False, cwd=folder, env={**outer_environment(), "COLUMNS": str(WIDTH)}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def rows(folder: Path, table: str) -> int:
    database, name = table.split(".")
    return DeltaTable(folder / "demo" / "warehouse" / f"{database}.db" / name).count()


def sent(told: str) -> int:
    """What it says that it sent: the history and what was collected."""
    found = re.findall(r"([\d,]+) quotes (?:of the last|collected meanwhile)", told)
    assert len(found) == 2, told
    return sum(int(number.replace(",", "")) for number in found)


def test_it_answers_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    first = demo(tmp_path)
    quotes = sent(first)
    assert rows(tmp_path, "bronze.quotes") == quotes > 9_000
    for number in range(1, 5):
        assert f"\n{number}. " in first  # an answer's title
    assert "one answer was 429 (wait), one was cut off: both were asked for again" in first
    assert "of the last 2 hours" in first
    assert "Try next" in first
    assert "Ctrl-C" not in first
    tables = first.partition("The answers")[2].partition("Delta Lake, in")[0]
    assert max(map(len, tables.splitlines())) <= WIDTH

    second = demo(tmp_path)
    assert rows(tmp_path, "bronze.quotes") == quotes + sent(second)
    valid, aside = rows(tmp_path, "silver.valid_quotes"), rows(tmp_path, "silver.valid_quotes_quarantine")
    assert valid + aside == quotes + sent(second)
