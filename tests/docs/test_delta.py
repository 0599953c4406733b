"""The option tables of `docs/delta.md` are those of the code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from riacho.server.catalog import write
from riacho.server.catalog.options import OptionHelp
from riacho.server.delta.maintenance import MaintenancePolicy
from riacho.server.streaming.sinks import delta as sink
from riacho.server.streaming.sources.delta import options as source

PAGE = (Path(__file__).parent.parent.parent / "docs" / "delta.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("options", [source.OPTIONS, sink.OPTIONS, write.OPTIONS], ids=["source", "sink", "write"])
def test_every_option_has_its_row(options: Sequence[OptionHelp]) -> None:
    rows = [f"| `{option.name}` | {option.default} | {option.help} |" for option in options]
    assert "\n".join(["| option | default | what it does |", "|---|---|---|", *rows]) in PAGE


def test_the_policy_is_the_one_described() -> None:
    policy = MaintenancePolicy()
    assert f"every {policy.interval_versions} versions" in PAGE
    assert f"{policy.compact_after_files} files below {policy.small_file_bytes >> 20} MiB" in PAGE
    assert f"files of up to {policy.target_file_bytes >> 20} MiB" in PAGE
