"""Data sources of installed packages: found by entry points and by Spark's names of modules."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from riacho.server.workers.sources import fork_server, registered
from riacho.testing.engine import FakeEngine

MODULE = """
from pyspark.sql.datasource import DataSource

class {cls}(DataSource):
    @classmethod
    def name(cls):
        return "{name}"

    def schema(self):
        return "x int"
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of packages, that are installed as far as Python knows."""
    monkeypatch.setattr(registered, "_found", None)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    fork_server.kill_all()
    yield tmp_path
    fork_server.kill_all()


def test_they_are_found(site: Path, caplog: pytest.LogCaptureFixture) -> None:
    (site / "pyspark_lake.py").write_text(MODULE.format(cls="DefaultSource", name="Lake"))
    (site / "pyspark_other.py").write_text("no_source_here = 1\n")
    (site / "rivers.py").write_text(MODULE.format(cls="River", name="river"))
    (site / "broken.py").write_text("raise RuntimeError('broken for good')\n")
    info = site / "rivers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rivers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[riacho.data_sources]\nriver = rivers:River\nbroken = broken:Source\n")
    session = FakeEngine().session("s", "u")  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING):
        for name in ("lake", "LAKE", "River"):
            found = registered.find(name, session)
            assert found is not None, name
            with registered.source_of(name, found, {}, session, pa.schema([("x", pa.int32())])).made():
                pass
    assert registered.find("sea", session) is None
    assert "broken:Source" in caplog.text
    assert "broken for good" in caplog.text
