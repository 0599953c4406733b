from __future__ import annotations

import os
from pathlib import Path

import pytest

from riacho.options import Options
from riacho.server.formats.options import LISTING
from riacho.server.streaming.sources.globs import expand_braces, glob_expression
from riacho.server.streaming.sources.listing import FolderCache, is_hidden
from riacho.server.streaming.sources.object_listing import listing_for


def names(path: Path | str, **options: str) -> list[str]:
    listing = listing_for(str(path), Options.check("json", LISTING, options))
    return sorted(Path(found).name for found in listing.paths())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (
        "1.json",
        "2.csv",
        "_hidden",
        ".hidden",
        "x._COPYING_",
        "_a=1",
        "sub/3.json",
        "k=1/d=2/4.json",
        "k=1/_5",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_a_folder_gives_its_files_and_those_of_partitions(folder: Path) -> None:
    assert names(folder) == ["1.json", "2.csv", "4.json", "_a=1"]


def test_all_sub_folders_are_read_if_asked_for(folder: Path) -> None:
    assert names(folder, recursiveFileLookup="true") == ["1.json", "2.csv", "3.json", "4.json", "_a=1"]


def test_names_can_be_chosen(folder: Path) -> None:
    assert names(folder, pathGlobFilter="*.json") == ["1.json", "4.json"]


def test_a_path_may_be_a_file_or_a_glob(folder: Path) -> None:
    assert names(folder / "1.json") == ["1.json"]
    assert names(folder / "[12].*") == ["1.json", "2.csv"]
    assert names(folder / "{1.json,sub}") == ["1.json", "3.json"]
    assert names(folder / "*" / "*.json") == ["3.json"]
    assert names(folder / "no*such" / "x") == []


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert names(tmp_path / "later") == []


@pytest.mark.parametrize(
    ("name", "hidden"),
    [("a", False), ("_a", True), (".a", True), ("_k=1", False), ("a._COPYING_", True), ("_metadata", True)],
)
def test_hidden_names(name: str, hidden: bool) -> None:
    assert is_hidden(name) is hidden


def test_braces_nest() -> None:
    assert expand_braces("a{b,c{d,e}}f{g,h}") == ["abfg", "abfh", "acdfg", "acdfh", "acefg", "acefh"]
    assert expand_braces("a{b") == ["a{b"]


def test_a_glob_may_exclude() -> None:
    assert glob_expression("[^a]?").fullmatch("bx")
    assert not glob_expression("[^a]?").fullmatch("ax")


def test_an_unchanged_folder_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "1").touch()
    os.utime(tmp_path, (1_000_000, 1_000_000))
    cache = FolderCache()
    assert cache.names(str(tmp_path)) == ["1"]

    def refuse(folder: str) -> None:
        raise AssertionError(folder)

    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", refuse)
        assert cache.names(str(tmp_path)) == ["1"]
    (tmp_path / "2").touch()
    assert set(cache.names(str(tmp_path))) == {"1", "2"}


def test_a_folder_changed_just_now_is_read_again(tmp_path: Path) -> None:
    """Its time may not tell a file that came within the same tick of the clock."""
    (tmp_path / "1").touch()
    cache = FolderCache()
    cache.names(str(tmp_path))
    changed = tmp_path.stat().st_mtime_ns
    (tmp_path / "2").touch()
    os.utime(tmp_path, ns=(changed, changed))
    assert set(cache.names(str(tmp_path))) == {"1", "2"}


def test_the_folders_that_show_partitions(tmp_path: Path) -> None:
    for name in ("a=1/b=2/1.json", "a=1/b=3/_hidden", "a=2/b=4/c/1.json", "plain/a=9/1.json", "_a=5/1.json", ".a=6/1"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    listing = listing_for(str(tmp_path), Options.check("json", LISTING, {}))
    found = [folder.removeprefix(f"{tmp_path}/") for folder in listing.partition_folders()]
    assert sorted(found) == ["_a=5", "a=1/b=2"]
