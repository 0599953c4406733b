from __future__ import annotations

from collections.abc import Iterator

import pytest

from riacho.engine.sail import SailEngine
from riacho.ids import SessionId, new_uuid
from tests.unit.pipelines.support import Pipelines


@pytest.fixture(scope="session")
def engine() -> Iterator[SailEngine]:
    started = SailEngine()
    yield started
    started.stop()


@pytest.fixture
def pipelines(engine: SailEngine) -> Pipelines:
    return Pipelines(engine.session(SessionId(new_uuid()), "tests"))
