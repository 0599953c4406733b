"""Cutting what a TCP server sends into lines."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riacho.errors import IllegalStateError
from riacho.ids import Offset
from riacho.server.streaming.sources.base import ReadLimit
from riacho.server.streaming.sources.socket import LineCutter, SocketReader, SocketSource
from riacho.testing.clock import ManualClock


def cut(*chunks: bytes) -> list[bytes]:
    cutter = LineCutter()
    return [line for chunk in chunks for line in cutter.cut(chunk)] + cutter.rest()


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([b"a\nb\r\nc\rd"], [b"a", b"b", b"c", b"d"]),
        ([b"a\r", b"\nb\n"], [b"a", b"b"]),
        ([b"a\r", b"\n", b"\nb"], [b"a", b"", b"b"]),
        ([b"a\r", b"b\n"], [b"a", b"b"]),
        ([b"\n\n"], [b"", b""]),
        ([b"a\x0bb\x0cc\x1cd\xc2\x85e\n"], [b"a\x0bb\x0cc\x1cd\xc2\x85e"]),
        ([b"\xc3", b"\xa9\n"], ["é".encode()]),
        ([b"\xff\n\xc3\n"], ["\ufffd".encode(), "\ufffd".encode()]),
        ([], []),
    ],
)
def test_lines(chunks: list[bytes], lines: list[bytes]) -> None:
    assert cut(*chunks) == lines


@given(st.binary(max_size=30).map(lambda data: data.replace(b"\xff", b"\n").replace(b"\xfe", b"\r")), st.data())
def test_it_does_not_matter_how_the_bytes_come(data: bytes, draw: st.DataObject) -> None:
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=4)))
    chunks = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    assert cut(*chunks) == cut(data)


def test_lines_are_kept_until_they_are_committed() -> None:
    ours, theirs = socket.socketpair()
    reader = SocketReader(SocketSource("here", 1), theirs, ManualClock())
    with ours:
        ours.sendall(b"a\nb\nc\n")
        ours.shutdown(socket.SHUT_WR)
        reader._thread.join()
        end = reader.latest_offset(None, ReadLimit())
        assert end == "2"
        for _ in range(2):
            assert values(reader, None, "2") == ["a", "b", "c"]
        assert values(reader, "0", "1") == ["b"]
        reader.commit(Offset("0"))
        assert values(reader, "0", "2") == ["b", "c"]
        reader.commit(Offset("2"))
        assert not reader._kept
        with pytest.raises(IllegalStateError, match="out of order: 7 followed by 2"):
            reader.read(Offset("2"), Offset("7"))
    reader.stop()


def values(reader: SocketReader, start: str | None, end: str) -> list[str]:
    data = reader.read(None if start is None else Offset(start), Offset(end))
    return [value for rows in data.batches for value in rows["value"].to_pylist()]
