"""What tests of the server half share: a warehouse of their own, an engine in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from riacho.server.catalog.warehouse import WarehouseCatalog
from riacho.testing import FakeEngine


@pytest.fixture
def warehouse(tmp_path: Path) -> WarehouseCatalog:
    return WarehouseCatalog(tmp_path / "warehouse")


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    engine = FakeEngine()
    yield engine
    engine.stop()
