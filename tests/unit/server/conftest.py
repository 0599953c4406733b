"""A warehouse of its own for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from riacho.server.catalog.warehouse import WarehouseCatalog


@pytest.fixture
def warehouse(tmp_path: Path) -> WarehouseCatalog:
    return WarehouseCatalog(tmp_path / "warehouse")
