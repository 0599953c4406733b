from __future__ import annotations

from pathlib import Path

import pytest

from riacho.errors import IllegalArgumentError, SparkError, UnsupportedOperationError
from riacho.server.graph.names import Identifier
from riacho.server.graph.storage import FlowCheckpoint, Storage
from tests.unit.server.graph.support import full


@pytest.mark.parametrize("uri", ["file:///tmp/a%20b", "file:/tmp/a b"])
def test_local_roots(uri: str) -> None:
    assert Storage.at(uri).root == Path("/tmp/a b")


@pytest.mark.parametrize("uri", ["/tmp/x", "tmp/x", "file:x"])
def test_roots_without_scheme_or_not_absolute(uri: str) -> None:
    with pytest.raises(SparkError) as caught:
        Storage.at(uri)
    assert caught.value.condition == "PIPELINE_STORAGE_ROOT_INVALID"


def test_no_root_and_one_of_an_unknown_kind() -> None:
    with pytest.raises(IllegalArgumentError, match="Storage must be specified to start a run"):
        Storage.at("")
    with pytest.raises(UnsupportedOperationError, match="hdfs://host/x"):
        Storage.at("hdfs://host/x")


def test_the_newest_generation_counts(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    directory = tmp_path / "_checkpoints" / "spark_catalog" / "default" / "t" / "f"
    assert storage.current(full("t"), full("f")) == (FlowCheckpoint(directory, 0), False)
    for name in ("0", "2", "10", "tmp"):
        (directory / name).mkdir(parents=True)
    checkpoint, exists = storage.current(full("t"), full("f"))
    assert exists
    assert checkpoint.path == directory / "10"
    assert checkpoint.next.path == directory / "11"


def test_sinks_have_one_level(tmp_path: Path) -> None:
    checkpoint, _ = Storage(tmp_path).current(Identifier(("out",)), Identifier(("f",)))
    assert checkpoint.path == tmp_path / "_checkpoints" / "out" / "f" / "0"
