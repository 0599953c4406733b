from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riacho.errors import UnsupportedOperationError
from riacho.server.formats import content
from riacho.server.formats.content import Lines, read_blocks, read_whole, split_records


@given(
    st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r", b"\r\n", b""]), max_size=30),
    st.integers(1, 8),
    st.integers(1, 8),
)
def test_lines_do_not_depend_on_where_blocks_end(parts: list[bytes], size: int, tail: int) -> None:
    data = b"".join(parts)
    expected = [line for line in data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n") if line]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "BLOCK_BYTES", size)
        patch.setattr(content, "_TAIL_BYTES", tail)
        path = Path(_temporary_file(data))
        found = [lines.line(i) for lines in map(Lines.of, read_blocks(str(path))) for i in range(len(lines))]
        path.unlink()
    assert found == expected


def _temporary_file(data: bytes) -> str:
    import tempfile

    with tempfile.NamedTemporaryFile(delete=False) as file:
        file.write(data)
        return file.name


def test_spans_are_not_copied() -> None:
    lines = Lines.of(b"ab\n\ncd\nef")
    assert bytes(lines.span(1, 3)) == b"cd\nef"
    assert [lines.line(i) for i in range(len(lines.after(0)))] != [b"ab"] * 2
    assert lines.after(0).line(0) == b"cd"


def test_files_are_decompressed_by_their_extension(tmp_path: Path) -> None:
    (tmp_path / "f.gz").write_bytes(gzip.compress(b"a\nb"))
    assert list(read_blocks(str(tmp_path / "f.gz"))) == [b"a\n", b"b"]
    assert read_whole(str(tmp_path / "f.gz")) == b"a\nb"


def test_a_compression_that_is_not_known_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f.snappy").write_bytes(b"x")
    with pytest.raises(UnsupportedOperationError, match="snappy"):
        list(read_blocks(str(tmp_path / "f.snappy")))


def test_records_end_where_the_separator_says(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes("é|b\n|".encode("latin-1"))
    assert split_records(str(tmp_path / "f"), "|", "latin-1") == ["é".encode(), b"b\n"]
