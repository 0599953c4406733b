"""The option tables of `docs/delta.md` and `docs/streaming.md` are those of the code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from riacho.options import Option
from riacho.server.catalog import change_feed, write
from riacho.server.delta.maintenance import MaintenancePolicy
from riacho.server.streaming.sinks import console
from riacho.server.streaming.sinks import delta as sink
from riacho.server.streaming.sources import rate
from riacho.server.streaming.sources.delta import options as source

DOCS = Path(__file__).parent.parent.parent / "docs"
PAGE = (DOCS / "delta.md").read_text(encoding="utf-8")
STREAMING = (DOCS / "streaming.md").read_text(encoding="utf-8")
TABLES = {
    "source": (source.OPTIONS, PAGE),
    "sink": (sink.OPTIONS, PAGE),
    "write": (write.OPTIONS, PAGE),
    "change feed": (change_feed.OPTIONS, PAGE),
    "rate": (rate.RATE_OPTIONS, STREAMING),
    "rate-micro-batch": (rate.RATE_PER_BATCH_OPTIONS, STREAMING),
    "console": (console.OPTIONS, STREAMING),
}


@pytest.mark.parametrize(("options", "page"), TABLES.values(), ids=TABLES)
def test_every_option_has_its_row(options: Sequence[Option], page: str) -> None:
    rows = [
        f"| `{option.name}` | {option.default or ''} | {'' if option.supported else '*refused*: '}{option.help} |"
        for option in options
    ]
    assert "\n".join(["| option | default | what it does |", "|---|---|---|", *rows]) in page


def test_the_policy_is_the_one_described() -> None:
    policy = MaintenancePolicy()
    assert f"every {policy.interval_versions} versions" in PAGE
    assert f"{policy.compact_after_files} files below {policy.small_file_bytes >> 20} MiB" in PAGE
    assert f"files of up to {policy.target_file_bytes >> 20} MiB" in PAGE
