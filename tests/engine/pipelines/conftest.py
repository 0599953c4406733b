from __future__ import annotations

import pytest

from riacho.engine.sail import SailEngine
from riacho.ids import SessionId, new_uuid
from tests.engine.pipelines.support import Pipelines


@pytest.fixture
def pipelines(engine: SailEngine) -> Pipelines:
    return Pipelines(engine.session(SessionId(new_uuid()), "tests"))
