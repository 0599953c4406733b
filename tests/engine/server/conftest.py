"""A warehouse and a session of its own for each test of the catalog with the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from riacho.ids import SessionId, new_uuid
from riacho.protos import pb
from riacho.server.catalog.registry import SessionRegistry
from riacho.server.catalog.warehouse import WarehouseCatalog
from riacho.server.commands import SqlContext, run
from riacho.server.engine.base import EngineSession
from riacho.server.engine.sail.engine import SailEngine
from riacho.server.engine.sail.session import SailSession
from riacho.server.sql.parse import parse

Rows = list[dict[str, Any]]


@pytest.fixture
def warehouse(tmp_path: Path) -> WarehouseCatalog:
    return WarehouseCatalog(tmp_path / "warehouse")


@pytest.fixture
def session(engine: SailEngine, warehouse: WarehouseCatalog) -> Iterator[EngineSession]:
    """A session of its own, that sees this test's warehouse."""
    sync = SessionRegistry(warehouse).sync

    def before_call(session: SailSession) -> None:
        sync(session)

    engine.before_call = before_call
    session_id = SessionId(new_uuid())
    yield engine.session(session_id, "test")
    engine.before_call = None
    engine.release(session_id, "test")


@pytest.fixture
def context(warehouse: WarehouseCatalog, session: EngineSession) -> SqlContext:
    return SqlContext(warehouse, session)


@pytest.fixture
def sql(context: SqlContext) -> Callable[[str], Rows]:
    """Run a statement as the server does: the catalog's own, else the engine's."""

    def answer(text: str) -> Rows:
        statement = parse(text)
        found = None if statement is None else run(statement, context)
        rows: Rows = (context.session.sql(text) if found is None else found).to_pylist()
        return rows

    return answer


@pytest.fixture
def frame(engine: SailEngine) -> Iterator[Callable[[pa.Table], pb.Relation]]:
    """A relation that reads Arrow data."""
    spool = engine.spool("test")
    yield lambda data: spool.put(data.to_batches(), data.schema)[0]
    spool.close()
