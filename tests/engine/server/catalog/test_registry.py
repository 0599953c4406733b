"""Sessions of the engine see what the catalog has."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from riacho.errors import AnalysisError, EngineLost
from riacho.ids import SessionId, new_uuid
from riacho.server.catalog.base import View
from riacho.server.catalog.registry import SessionRegistry, qualified
from riacho.server.catalog.warehouse import WarehouseCatalog
from riacho.server.engine.base import EngineSession
from riacho.server.engine.sail.engine import SailEngine

ONE = pa.table({"a": pa.array([1], pa.int64())})


def values(session: EngineSession, text: str) -> list[int]:
    found: list[int] = session.sql(text).column(0).to_pylist()
    return found


def test_a_session_sees_what_comes_and_goes(warehouse: WarehouseCatalog, session: EngineSession) -> None:
    warehouse.create_database("b")
    table = warehouse.create_table(warehouse.qualify("b.t"), ONE.schema)
    assert values(session, "SELECT a FROM b.t") == []
    write_deltalake(str(table.location), ONE, mode="append")
    assert values(session, "SELECT a FROM spark_catalog.b.t") == [1]
    warehouse.drop_database("b", cascade=True)
    with pytest.raises(AnalysisError, match="TABLE_OR_VIEW_NOT_FOUND"):
        session.sql("SELECT a FROM b.t")


def test_a_table_that_was_made_anew_is_the_new_one(warehouse: WarehouseCatalog, session: EngineSession) -> None:
    name = warehouse.qualify("t")
    warehouse.create_table(name, ONE.schema)
    assert session.sql("SELECT * FROM t").column_names == ["a"]
    warehouse.drop_table(name)
    warehouse.create_table(name, pa.schema([("b", pa.string())]))
    assert session.sql("SELECT * FROM t").column_names == ["b"]


def test_views_find_tables_beside_them(warehouse: WarehouseCatalog, session: EngineSession) -> None:
    warehouse.create_database("b")
    write_deltalake(str(warehouse.warehouse / "b.db" / "t"), ONE)
    warehouse.create_view(View(warehouse.qualify("b.v"), "SELECT t.a + 1 FROM t"))
    warehouse.create_view(View(warehouse.qualify("w"), "SELECT * FROM b.v"))
    assert values(session, "SELECT * FROM w") == [2]


def test_a_view_that_is_broken_breaks_nothing_else(warehouse: WarehouseCatalog, session: EngineSession) -> None:
    warehouse.create_view(View(warehouse.qualify("broken"), "SELECT nope FROM nowhere"))
    write_deltalake(str(warehouse.warehouse / "t"), ONE)
    assert values(session, "SELECT a FROM t") == [1]
    write_deltalake(str(warehouse.warehouse / "nowhere"), pa.table({"nope": [7]}))
    assert values(session, "SELECT * FROM broken") == [7]


def test_a_new_process_of_the_engine_is_told_all(warehouse: WarehouseCatalog) -> None:
    write_deltalake(str(warehouse.warehouse / "t"), ONE)
    engine = SailEngine(before_call=SessionRegistry(warehouse).sync)
    try:
        session = engine.session(SessionId(new_uuid()), "test")
        assert values(session, "SELECT a FROM t") == [1]
        engine.replace()
        assert values(session, "SELECT a FROM t") == [1]
    finally:
        engine.stop()


def test_nothing_is_told_twice(
    warehouse: WarehouseCatalog, session: EngineSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_deltalake(str(warehouse.warehouse / "t"), ONE)
    assert values(session, "SELECT a FROM t") == [1]
    registry = SessionRegistry(warehouse)
    registry.sync(session)
    monkeypatch.setattr(session, "run", _fail)
    monkeypatch.setattr(session, "sql", _fail)
    registry.sync(session)


def _fail(*_: object) -> None:
    raise EngineLost("the engine was asked")


def test_folders_by_any_name(tmp_path: Path, engine: SailEngine) -> None:
    warehouse = WarehouseCatalog(tmp_path / "meus dados" / "ação 100%")
    write_deltalake(str(warehouse.warehouse / "t"), ONE)
    engine.before_call = SessionRegistry(warehouse).sync
    session = engine.session(SessionId(new_uuid()), "test")
    assert values(session, "SELECT a FROM t") == [1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT * FROM t", "SELECT * FROM `d`.`t`"),
        ("SELECT t.a FROM t JOIN x.u ON t.a = u.a", "SELECT t.a FROM `d`.`t` JOIN x.u ON t.a = u.a"),
        ("WITH c AS (SELECT 1) SELECT * FROM c, t", "WITH c AS (SELECT 1) SELECT * FROM c, `d`.`t`"),
    ],
)
def test_tables_without_a_database_are_the_views_own(text: str, expected: str) -> None:
    assert qualified(text, "d") == expected
