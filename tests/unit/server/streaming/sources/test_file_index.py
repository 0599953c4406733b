from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from riacho.errors import SparkRuntimeError
from riacho.server.streaming.sources.file_index import FileIndex, Rules, index


def found(path: Path, **rules: object) -> FileIndex:
    return index([str(path)], Rules(**rules))  # type: ignore[arg-type]


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_a_flat_folder_is_plain(tmp_path: Path) -> None:
    put(tmp_path, "a", "b", "_c", "_d/e")
    assert found(tmp_path).folder == str(tmp_path)
    assert found(tmp_path, wanted=lambda path: path.endswith("a")).folder is None


@pytest.mark.parametrize("other", ["deeper/c", "x._COPYING_", "_k=1/c", "k=v"])
def test_a_folder_that_others_read_otherwise_is_not(tmp_path: Path, other: str) -> None:
    put(tmp_path, "a", other)
    assert found(tmp_path).folder is None


def test_partitions_that_show_themselves_are_plain(tmp_path: Path) -> None:
    put(tmp_path, "p=1/q=x/a", "p=2/q=y/b")
    whole = found(tmp_path)
    assert whole.folder == str(tmp_path)
    assert whole.partitions == pa.schema([("p", pa.int32()), ("q", pa.string())])
    assert list(whole.files) == [("1", "x"), ("2", "y")]
    assert found(tmp_path, base=str(tmp_path)).folder == str(tmp_path)
    assert found(tmp_path / "p=1").partitions.names == ["q"]
    assert found(tmp_path / "p=1", base=str(tmp_path)).files == {("1", "x"): [str(tmp_path / "p=1/q=x/a")]}
    assert found(tmp_path, recursive=True).partitions.names == []


def test_partitions_with_other_files_are_not(tmp_path: Path) -> None:
    put(tmp_path, "p=1/a", "p=1/deeper/b", "top")
    whole = found(tmp_path)
    assert (whole.folder, whole.paths) == (None, [str(tmp_path / "p=1/a"), str(tmp_path / "p=1/deeper/b")])


def test_declared_partitions_need_no_one_form(tmp_path: Path) -> None:
    put(tmp_path, "P=1/a", "deeper/b", "q=1/c")
    with pytest.raises(SparkRuntimeError, match="CONFLICTING_DIRECTORY_STRUCTURES"):
        found(tmp_path)
    assert found(tmp_path, declared=["p"]).files == {("1",): [str(tmp_path / "P=1/a")]}
    assert found(tmp_path, declared=[]).files == {}
