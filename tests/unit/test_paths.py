from __future__ import annotations

from pathlib import Path

import pytest

from riacho.errors import IllegalArgumentError, UnsupportedOperationError
from riacho.paths import local_path, path_in_name
from riacho.storage import delta_place


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/a/b", "/a/b"),
        ("/a//b/./c/../d/", "/a/b/d"),
        ("//a", "/a"),
        ("file:/a", "/a"),
        ("file:///a", "/a"),
        ("FILE:/a%20b c", "/a%20b c"),
        ("/a:b/c", "/a:b/c"),
    ],
)
def test_a_path_is_plain_or_a_uri_and_nothing_is_decoded(text: str, path: str) -> None:
    assert local_path(text) == Path(path)


def test_a_relative_path_starts_where_the_server_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert local_path("a/b:c") == tmp_path / "a" / "b:c"


@pytest.mark.parametrize("text", ["s3://bucket/x", "dbfs:/x", "a:b/c"])
def test_other_schemes_are_refused(text: str) -> None:
    with pytest.raises(UnsupportedOperationError, match="No FileSystem for scheme"):
        local_path(text)


@pytest.mark.parametrize("text", ["", "file:x", "file://host/x"])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(IllegalArgumentError):
        local_path(text)


def test_paths_as_names() -> None:
    assert path_in_name(("JSON", "/Data/x")) == ("json", "/Data/x")
    assert path_in_name(("bronze", "events")) is None
    assert delta_place(("delta", "file:/Data/x")) == Path("/Data/x")
    assert delta_place(("text", "/Data/x")) is None
