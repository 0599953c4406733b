"""Text files: where lines end, what bytes become."""

from __future__ import annotations

import gzip

from tests.unit.server.formats.oracle.case import Case

CASES: tuple[Case, ...] = (
    Case("lines", "value STRING", b"a\n\nb\r\nc\rd\n"),
    Case("no_final_newline", "value STRING", b"a\nb"),
    Case("empty", "value STRING", b""),
    Case("one_newline", "value STRING", b"\n"),
    Case("bom", "value STRING", b"\xef\xbb\xbfa\n"),
    Case("unicode", "value STRING", "é\u2028x\u0085y\n".encode()),
    Case("whole", "value STRING", b"a\r\nb\n", {"wholetext": "true"}),
    Case("whole_empty", "value STRING", b"", {"wholetext": "true"}),
    Case("line_sep", "value STRING", b"a;b\n;c", {"lineSep": ";"}),
    Case("gzip", "value STRING", gzip.compress(b"a\nb\n", mtime=0), suffix=".gz"),
    Case("other_name", "line STRING", b"a\n"),
    Case("two_columns", "a STRING, b STRING", b"a\n"),
    Case("not_string", "a INT", b"1\n"),
)
