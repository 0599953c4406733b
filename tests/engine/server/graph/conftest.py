from __future__ import annotations

import pytest

from riacho.ids import SessionId, new_uuid
from riacho.server.engine.sail.engine import SailEngine
from tests.engine.server.graph.support import Pipelines


@pytest.fixture
def pipelines(engine: SailEngine) -> Pipelines:
    return Pipelines(engine.session(SessionId(new_uuid()), "tests"))
