"""One engine for all tests of this layer that do not end it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from riacho.server.engine.sail.engine import SailEngine


@pytest.fixture(scope="session")
def engine() -> Iterator[SailEngine]:
    started = SailEngine()
    yield started
    started.stop()
