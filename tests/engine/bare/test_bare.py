"""Where the bare engine gives the answer of Spark, riacho gives it too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from riacho.server.engine.sail.child import EngineChild
from riacho.testing.servers import riacho_server
from tests.engine.bare.corpus import ask, questions, session


@pytest.fixture
def riacho(tmp_path: Path) -> Iterator[SparkSession]:
    with riacho_server(tmp_path / "riacho") as server, session(server.url) as spark:
        yield spark


@pytest.fixture
def bare() -> Iterator[SparkSession]:
    child = EngineChild()
    try:
        with session(f"sc://127.0.0.1:{child.port()}") as spark:
            yield spark
    finally:
        child.stop()


@pytest.mark.timeout(300)
def test_riacho_answers_what_the_bare_engine_does(riacho: SparkSession, bare: SparkSession, tmp_path: Path) -> None:
    known = questions()
    spoilt = []
    for question, wanted in known.items():
        given = ask(riacho, question, tmp_path)
        if given != wanted and ask(bare, question, tmp_path) == wanted:
            spoilt.append(f"{question}\n    Spark, engine: {wanted}\n    riacho:        {given}")
    assert not spoilt, "\n".join(spoilt)
    assert all(known.values()), "record the answers that are missing"
