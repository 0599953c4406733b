"""CSV files whose reading Spark settles: how lines become values, values become types, and what is malformed."""

from __future__ import annotations

import gzip

from tests.unit.server.formats.oracle.case import Case, lines
from tests.unit.server.formats.oracle.json_cases import _TIMES

_VALUES = (
    "", "0", "-0", "1", "+1", "01", "-128", "127", "128", "-129", "32768", "2147483648", "9223372036854775807",
    "9223372036854775808", " 1", "1 ", "1.0", "1.5", ".5", "5.", "-1.5", "1e2", "1E2", "1e400", "-1e400", "1d", "1f",
    "1D", "1L", "0x10", "0x1p3", "1_000", "NaN", "nan", "Inf", "-Inf", "+Inf", "inf", "Infinity", "-Infinity",
    "+Infinity", "INF", "true", "True", "TRUE", "false", "tRuE", "t", "yes", "null", "NULL", "a", "1.005", "1.255",
    "-1.255", "999.994", "999.995", "1000", "16777217", "0.1", "3.4028236e38",
    "123456789012345678901234567890.123456789", " ", "é", "a b", "١", " 1.5 ", "1.5e-3", "1e-400", "+1.5", "--1", "-",
    "1.2.3", "$1",
)  # fmt: skip

_TYPES = (
    "BOOLEAN", "TINYINT", "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL(5,2)", "DECIMAL(38,18)", "STRING",
    "BINARY", "DATE", "TIMESTAMP", "TIMESTAMP_NTZ",
)  # fmt: skip

_LINES = (
    "1,a,x", "2,b", "3", "4,d,y,extra", "", "  ", "5,,", "6,,x", ",,", "x,e,y", '7,"f",x', '8,"g,h",x', '9,"i""j",x',
    '10,"k\\"l",x', '11,"m\\\\",x', '12,"n\\o",x', '13,p"q,x', '14,"r"s,x', '15,"t" ,x', '16, "u",x', '17,"",x',
    '18," ",x', '19,"v', "20,w,x", '"21","y","z"', "#22,c,x", "23,#,x", "24, a ,b ", "25,\\,x", '26,"\\",x',
    "27,a\\nb,x", "28,a\\,b,x", '29,"a\tb",x', "30,é,x", '31,"""a""",x', '32,"a"",b",x', '33,"a"b"c",x', '34,a"b"c,x',
    '35,"a",', '36,"a","', "37,a,x,", "38;a;x", "39\ta\tx", " 40,a,x", "41 ,a,x", '"42,a",x', '43,"a\\\\"b",x',
    '44,"\\"",x', '45,"""",x', '46,"" a,x', '47,"a" "b",x', '48,\'a,b\',x', "49,NULL,x", "50,-,x",
)  # fmt: skip

_SCHEMA = "a INT, b STRING, c STRING, _corrupt_record STRING"
_PLAIN = "a INT, b STRING, c STRING"


def _slug(text: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in text.lower())


def _each_value(kind: str) -> Case:
    return lines(
        f"values_{_slug(kind)}",
        f"i INT, v {kind}, z INT, _corrupt_record STRING",
        [f"{i},{v},9" for i, v in enumerate(_VALUES)],
    )


def _each_time(kind: str, name: str = "", **options: str) -> Case:
    rows = [f"{i},{v},9" for i, v in enumerate(_TIMES) if "," not in v and "\\" not in v]
    return lines(f"times_{_slug(kind)}{name}", f"i INT, v {kind}, z INT, _corrupt_record STRING", rows, **options)


_FORMATS = (
    "yyyy-MM-dd HH:mm:ss", "yyyy-MM-dd'T'HH:mm:ss.SSS", "yyyy-MM-dd'T'HH:mm:ss.SSSSSS", "yyyy-MM-dd HH:mm:ss.S",
    "y-M-d H:m:s", "dd/MM/yyyy HH:mm", "MM/dd/yy hh:mm a", "dd MMM yyyy", "dd MMMM yyyy HH:mm", "EEE dd MMM yyyy",
    "yyyyMMdd", "yyyyMMddHHmmss", "yyyy-MM-dd'T'HH:mm:ssXXX", "yyyy-MM-dd'T'HH:mm:ssX", "yyyy-MM-dd'T'HH:mm:ssZ",
    "yyyy-MM-dd'T'HH:mm:ssxx", "yyyy-MM-dd HH:mm:ss VV", "yyyy-MM-dd HH:mm:ss z", "yyyy-DDD",
    "yyyy-MM-dd[ HH:mm[:ss]]", "HH:mm", "yyyy",
)  # fmt: skip
_FORMATTED = (
    "2024-01-02 03:04:05", "2024-01-02T03:04:05.1", "2024-01-02T03:04:05.12", "2024-01-02T03:04:05.123",
    "2024-01-02T03:04:05.1234", "2024-01-02T03:04:05.123456", "2024-01-02 03:04:05.1", "2024-01-02 03:04:05.12",
    "2024-1-2 3:4:5", "02/01/2024 03:04", "01/02/24 03:04 PM", "01/02/24 12:04 am", "01/02/24 13:04 AM",
    "02 Jan 2024", "02 JAN 2024", "02 January 2024 03:04", "Tue 02 Jan 2024", "Mon 02 Jan 2024", "20240102",
    "20240102030405", "2024-01-02T03:04:05+02:00", "2024-01-02T03:04:05Z", "2024-01-02T03:04:05+02",
    "2024-01-02T03:04:05+0200", "2024-01-02 03:04:05 Europe/Paris", "2024-01-02 03:04:05 UTC",
    "2024-01-02 03:04:05 PST", "2024-01-02 03:04:05 +02:00", "2024-002", "2024-366", "2023-366", "2024-01-02",
    "2024-01-02 03:04", "03:04", "2024", "24", "12024", "0024-01-02 03:04:05", "2024-02-30 01:02:03",
    "2024-01-02 25:00:00", "-2024-01-02 03:04:05", "2024-01-02 03:04:05 ", " 2024-01-02 03:04:05",
    "10000-01-02 03:04:05", "+10000-01-02 03:04:05",
)  # fmt: skip


def _each_format() -> list[Case]:
    rows = [f"{i};{v};9" for i, v in enumerate(_FORMATTED)]
    cases = []
    for n, text in enumerate(_FORMATS):
        for kind, option in (
            ("DATE", "dateFormat"),
            ("TIMESTAMP", "timestampFormat"),
            ("TIMESTAMP_NTZ", "timestampNTZFormat"),
        ):
            cases.append(lines(f"format_{n}_{_slug(kind)}", f"i INT, v {kind}, z INT", rows, sep=";", **{option: text}))
    return cases


CASES: tuple[Case, ...] = (
    *[_each_value(kind) for kind in _TYPES],
    *[_each_time(kind) for kind in ("DATE", "TIMESTAMP", "TIMESTAMP_NTZ")],
    *_each_format(),
    lines("lines", _SCHEMA, _LINES),
    lines("lines_no_corrupt", _PLAIN, _LINES),
    lines("lines_drop", _PLAIN, _LINES, mode="DROPMALFORMED"),
    lines("lines_drop_corrupt", _SCHEMA, _LINES, mode="DROPMALFORMED"),
    lines("lines_failfast", _PLAIN, ["1,a,b", "x,a,b"], mode="FAILFAST"),
    lines("lines_failfast_short", _PLAIN, ["1,a,b", "1,a"], mode="FAILFAST"),
    lines("lines_corrupt_middle", "a INT, _corrupt_record STRING, b STRING, c STRING", _LINES),
    lines("lines_escape_quote", _SCHEMA, _LINES, escape='"'),
    lines("lines_escape_none", _SCHEMA, _LINES, escape=""),
    lines("lines_single_quote", _SCHEMA, _LINES, quote="'"),
    lines("lines_no_quote", _SCHEMA, _LINES, quote=""),
    lines("lines_comment", _SCHEMA, _LINES, comment="#"),
    lines("lines_null_value", _SCHEMA, _LINES, nullValue="NULL"),
    lines("lines_null_dash", _SCHEMA, _LINES, nullValue="-"),
    lines("lines_empty_value", _SCHEMA, _LINES, emptyValue="EMPTY"),
    lines("lines_null_empty", _SCHEMA, _LINES, nullValue="NULL", emptyValue="EMPTY"),
    lines("lines_trim", _SCHEMA, _LINES, ignoreLeadingWhiteSpace="true", ignoreTrailingWhiteSpace="true"),
    lines("lines_trim_left", _SCHEMA, _LINES, ignoreLeadingWhiteSpace="true"),
    lines("lines_trim_right", _SCHEMA, _LINES, ignoreTrailingWhiteSpace="true"),
    lines("lines_semicolon", _SCHEMA, _LINES, sep=";"),
    lines("lines_tab", _SCHEMA, _LINES, delimiter="\\t"),
    lines("lines_multi_char_sep", _SCHEMA, ["1||a||x", "2||b|c||x", '3||"a||b"||x', "4||a"], sep="||"),
    lines("lines_escape_escape", _SCHEMA, _LINES, charToEscapeQuoteEscaping="\\"),
    lines("lines_escape_escape_other", _SCHEMA, _LINES, escape="\\", charToEscapeQuoteEscaping="#"),
    lines("lines_multiline_option", _SCHEMA, [x for x in _LINES if x not in ('19,"v', '36,"a","')], multiLine="true"),
    lines("lines_multiline_all", _SCHEMA, _LINES, multiLine="true"),
    lines("header", _PLAIN, ["a,b,c", "1,x,y", "2,z,w"], header="true"),
    lines("header_other_names", _PLAIN, ["p,q,r", "1,x,y"], header="true"),
    lines("header_other_order", _PLAIN, ["b,a,c", "1,x,y"], header="true"),
    lines("header_enforced", _PLAIN, ["b,a,c", "1,x,y"], header="true", enforceSchema="false"),
    lines("header_enforced_case", _PLAIN, ["A,B,C", "1,x,y"], header="true", enforceSchema="false"),
    lines("header_enforced_short", _PLAIN, ["a,b", "1,x"], header="true", enforceSchema="false"),
    lines("header_after_blank", _PLAIN, ["", "  ", "a,b,c", "1,x,y"], header="true"),
    lines("header_after_comment", _PLAIN, ["# c", "a,b,c", "1,x,y"], header="true", comment="#"),
    lines("header_only", _PLAIN, ["a,b,c"], header="true"),
    lines("header_repeated", _PLAIN, ["a,b,c", "1,x,y", "a,b,c"], header="true"),
    Case("header_multiline", _PLAIN, b'a,b,c\n1,"x\ny",z\n', {"header": "true", "multiLine": "true"}),
    Case("empty_file", _PLAIN, b"", {"header": "true"}),
    Case("crlf", _PLAIN, b"1,a,b\r\n2,c,d\r\n"),
    Case("cr", _PLAIN, b"1,a,b\r2,c,d\r"),
    Case("no_final_newline", _PLAIN, b"1,a,b\n2,c,d"),
    Case("bom", _PLAIN, b"\xef\xbb\xbf1,a,b\n2,c,d\n"),
    Case("bom_header", _PLAIN, b"\xef\xbb\xbfa,b,c\n2,c,d\n", {"header": "true", "enforceSchema": "false"}),
    Case("quoted_newline", _PLAIN, b'1,"a\nb",c\n2,d,e\n'),
    Case("quoted_newline_multiline", _PLAIN, b'1,"a\nb",c\n2,d,e\n', {"multiLine": "true"}),
    Case("quoted_crlf_multiline", _PLAIN, b'1,"a\r\nb",c\r\n2,d,e\r\n', {"multiLine": "true"}),
    Case("blank_lines_multiline", _PLAIN, b"1,a,b\n\n  \n2,c,d\n", {"multiLine": "true"}),
    Case("invalid_utf8", _PLAIN, b"1,\xff,b\n2,\xc3,d\n3,\xe2\x82,x\n4,\xed\xa0\x80,y\n"),
    Case("latin1", _PLAIN, "1,é,b\n".encode("latin-1"), {"encoding": "ISO-8859-1"}),
    Case("utf16", _PLAIN, "1,é,b\n2,c,d\n".encode("utf-16-le"), {"encoding": "UTF-16LE"}),
    Case("line_sep", _PLAIN, b"1,a,b;2,c\n,d;", {"lineSep": ";"}),
    Case("nul", _PLAIN, b"1,a\x00b,c\n2,\x00,d\n"),
    Case("gzip", _PLAIN, gzip.compress(b"1,a,b\n", mtime=0), suffix=".gz"),
    lines("one_column", "a STRING", ["x", "", " ", '""', '" "', "y,z"]),
    lines("one_column_int", "a INT", ["1", "", "x", '"2"', "3,4"]),
    lines("trailing_sep", _PLAIN, ["1,a,b,", "2,a,b"]),
    lines(
        "nan_options",
        "a DOUBLE, b DOUBLE, c DOUBLE",
        ["nix,oo,-oo", "NaN,Inf,-Inf", "Infinity,-Infinity,1"],
        nanValue="nix",
        positiveInf="oo",
        negativeInf="-oo",
    ),
    lines("no_columns_match", "p STRING, q STRING", ["1,2,3"]),
    lines("array_type", "a ARRAY<INT>", ["1"]),
    lines("infer_strings", None, ["a,b", "1,x", "2,y"], header="true"),
    lines("infer_no_header", None, ["1,x", "2,y"]),
    lines(
        "infer_types",
        None,
        [
            "i,l,d,s,b,dt,ts,n,dec,mix",
            "1,3000000000,1.5,x,true,2024-01-01,2024-01-01T10:00:00,,12345678901234567890,1",
            "2,4,2,y,false,2024-01-02,2024-01-02 11:00,,1,x",
        ],
        header="true",
        inferSchema="true",
    ),
    lines(
        "infer_mixed",
        None,
        ["a,b,c,d,e,f", "1,1,2024-01-01,true,1.5,2024-01-01", "2.5,x,2024-01-01 10:00:00,1,99999999999999999999,1"],
        header="true",
        inferSchema="true",
    ),
    lines("infer_no_prefer_date", None, ["a", "2024-01-01"], header="true", inferSchema="true", preferDate="false"),
    lines("infer_special", None, ["a,b,c,d", "NaN,Inf,1e5,1d", "1,2,3,4"], header="true", inferSchema="true"),
    lines("infer_duplicate", None, ["a,a,,B,b", "1,2,3,4,5"], header="true"),
    lines("infer_ragged", None, ["a,b", "1", "1,2,3"], header="true", inferSchema="true"),
    lines("infer_empty_names", None, ["a,,c", "1,2,3"], header="true"),
    lines("infer_null_value", None, ["a", "NULL", "1"], header="true", inferSchema="true", nullValue="NULL"),
)
