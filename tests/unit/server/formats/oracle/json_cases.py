"""JSON files whose reading Spark settles: what is accepted, what becomes NULL, what is corrupt."""

from __future__ import annotations

import gzip

from tests.unit.server.formats.oracle.case import Case, lines

# Every text form that a JSON value can take, to be tried on every type.
_VALUES = (
    "null", "true", "false", "0", "-0", "1", "12", "-128", "127", "128", "200", "255", "256", "-129", "32767",
    "32768", "65536", "2147483647", "2147483648", "-2147483649", "9223372036854775807", "9223372036854775808",
    "-9223372036854775809", "1.0", "1.5", "-1.5", "0.1", "1e2", "1E2", "1e400", "-1e400", "1e-400",
    "0.30000001192092896", "16777217", "16777217.0", "3.4028236e38", "1.17549429e-38",
    "123456789012345678901234567890.123456789", "100000000000000000000000000000000000000", "1.005", "1.255", "-1.255",
    "999.994", "999.995", "999.999", "1000", "0.001", "NaN", "Infinity", "-Infinity", "+Infinity", "INF", "-INF",
    "+INF", '"NaN"', '"Infinity"', '"-Infinity"', '"+Infinity"', '"INF"', '"+INF"', '"-INF"', '"nan"', '"inf"', '""',
    '" "', '"a"', '"12"', '" 12 "', '"1.5"', '"1,000"', '"1e3"', '"+5"', '"1_000"', '"1.005"', '".5"', '"5."',
    '"true"', '"TRUE"', '"null"', '"AQID"', '"AQI="', '"AQI"', '"AQ ID"', '"AQ-_"', '"AQID\\nAQID"', '"0xFF"', '"é"',
    '"\\u00e9"', '"\\ud83d\\ude00"', '"\\ud83d"', '"a\\u0000b"', '"a\\/b"', '"\\q"', '"tab\tx"', "[]", "[1]", '["a"]',
    "[1,2.5]", "[null]", "[[1]]", '["a",1]', '[{"x":1}]', '{}', '{"x":1}', '{"x":"s"}', '{"x":null}', '{"x":1,"x":2}',
    '{"x":1,"y":"b"}', '{"y":"b","x":1.5}', '{"y": {"z": [1, 2 ]}, "x" : 1.50}', '{"k":1,"l":2}', '{"k":1,"k":2}',
    '{"k":"v"}', '{"k":null}', '[ 1 , 2 ]', '1.50', '1e2 ', '{"x" :1e2}', "01", "+1", ".5", "1.", "-", "--1", "0x10",
    "tru", "nul", "'a'", "'a\"b'", '"a\'b"', "abc", '"unclosed', "[1", '{"x":1', "1 2", '"a" "b"',
)  # fmt: skip

_TIMES = (
    "2024-01-02T03:04:05Z", "2024-01-02T03:04:05", "2024-01-02 03:04:05", "2024-01-02T03:04:05.1",
    "2024-01-02T03:04:05.123", "2024-01-02T03:04:05.123456", "2024-01-02T03:04:05.1234567",
    "2024-01-02T03:04:05.123456789Z", "2024-01-02T03:04:05.123+02:00", "2024-01-02T03:04:05+02:00",
    "2024-01-02T03:04:05+0200", "2024-01-02T03:04:05+02", "2024-01-02T03:04:05+2", "2024-01-02T03:04:05+2:00",
    "2024-01-02T03:04:05+02:3", "2024-01-02T03:04:05-18:00", "2024-01-02T03:04:05+18:01", "2024-01-02T03:04:05+19:00",
    "2024-01-02T03:04:05 +02:00", "2024-01-02T03:04:05 UTC", "2024-01-02T03:04:05 Europe/Paris",
    "2024-01-02T03:04:05Europe/Paris", "2024-01-02T03:04:05 GMT+2", "2024-01-02T03:04:05UTC+2",
    "2024-01-02T03:04:05 PST", "2024-01-02T03:04:05 CST", "2024-01-02T03:04:05 EST", "2024-01-02T03:04:05 CTT",
    "2024-01-02T03:04:05z", "2024-01-02T03:04:05 Nowhere/City", "2024-01-02T03:04:05+020000",
    "2024-01-02T03:04:05+02:00:30", "2024-07-02T03:04:05 America/Sao_Paulo", "2024-03-10T02:30:00 America/New_York",
    "2024-11-03T01:30:00 America/New_York", "2024-01-02", "2024-01-02T", "2024-01-02 ", "2024-01-02T03",
    "2024-01-02T03:04", "2024-01-02T03:04Z", "2024-01-02T03:04:", "2024-01-02T3:4:5", "2024-1-2", "2024-1-2T3:4:5.6",
    "2024-01", "2024", "2024-01-02T24:00:00", "2024-01-02T23:59:60", "2024-01-02T23:60:00", "2024-02-29",
    "2023-02-29", "2024-13-01", "2024-00-01", "2024-01-32", "2024-02-30T01:02:03", "03:04:05", "T03:04:05",
    "0001-01-01", "0001-01-01T00:00:00Z", "0000-01-01", "-0001-01-01", "+2024-01-02", "9999-12-31T23:59:59.999999Z",
    "10000-01-01", "12024-01-02", "123456-01-01", "1234567-01-01", "1582-10-04", "1582-10-10", "1500-01-01T00:00:00",
    "1899-12-31T23:59:59.5", "1969-12-31T23:59:59.999999", " 2024-01-02 ", "\\t2024-01-02T03:04:05\\n", "20240102",
    "2024/01/02", "01/02/2024", "now", "today", "epoch", "", " ", "2024-01-02T03:04:05.", "2024-01-02T03:04:05.Z",
    "2024-01-02T03:04:05,123", "2024-01-02T03-04-05", "1704164645", "19724", "2024-01-02x", "2024-01-02 x",
    "2024-01-02Tx", "2024-01-02T03:04:05 x", "2024-01-02T03:04:05GMT", "2024-01-02T03:04:05 GMT",
    "2024-01-02T03:04:05GMT2024", "202401", "2024-001", "2024-01-02T03:04:05[UTC]", "2024-01-02T03:04:05Z[UTC]",
    "2024-01-02T03:04:05+00:00", "2024-01-02T03:04:05-00:00", "2024-01-02T03:04:05-03:30",
)  # fmt: skip

_TYPES = (
    "BOOLEAN", "TINYINT", "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL(5,2)", "DECIMAL(38,18)",
    "DECIMAL(20,0)", "STRING", "BINARY", "DATE", "TIMESTAMP", "TIMESTAMP_NTZ", "ARRAY<INT>", "ARRAY<STRING>",
    "ARRAY<ARRAY<INT>>", "ARRAY<STRUCT<x: INT>>", "STRUCT<x: INT, y: STRING>", "MAP<STRING, INT>",
    "MAP<STRING, STRING>",
)  # fmt: skip


def _slug(text: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in text.lower())


def _each_value(kind: str) -> Case:
    rows = [f'{{"i":{i},"v":{value},"z":9}}' for i, value in enumerate(_VALUES)]
    return lines(f"values_{_slug(kind)}", f"i INT, v {kind}, z INT, _corrupt_record STRING", rows)


def _each_time(kind: str, name: str = "", **options: str) -> Case:
    rows = [f'{{"i":{i},"v":"{value}","z":9}}' for i, value in enumerate(_TIMES)]
    rows += [
        f'{{"i":{i},"v":{value},"z":9}}'
        for i, value in enumerate(("0", "1704164645", "-1", "1704164645123", "9223372036854", "1.5", "true"))
    ]
    return lines(f"times_{_slug(kind)}{name}", f"i INT, v {kind}, z INT, _corrupt_record STRING", rows, **options)


_RECORDS = (
    '{"a":1,"b":"x"}', ' {"a":2,"b":"x"} ', '{"a":3}', '{"b":"x"}', "{}", "", "   ", "\t", '{"A":4}', '{"a":5,"a":6}',
    '{"a":7,"c":[1,{"d":2}]}', '{"a":8} trailing', '{"a":9}{"a":10}', '{"a":11},', '[{"a":12},{"a":13}]', "[]",
    '[{"a":14},1]', "[1]", "[null]", "null", "1", '"s"', "true", "{", "}", '{"a":', '{"a":15', '{"a":16,',
    '{"a":17,}', "{,}", '{"a"}', '{"a" 18}', "{a:19}", "{'a':20}", "{'a':'21'}", '{"b":\'it\'}', '{"a":22 /* c */}',
    "// c", "# c", '{"a":23}//c', '{"b":"x\\qy"}', '{"b":"tab\there"}', '{"a":024}', '{"a":NaN}', '{"\\u0061":25}',
    '{"":26}', '{"a.b":27}', '{"a":{"b":28}}', '{"a":[29],"b":"after"}', '{"b":"before","a":[1,x],"z":1}',
    '{"a":[1,2,"b":3}', '{"z":tru,"a":30}', '{"a":31,"z":[1,2}', '{"a":32,"z":{"q":}}', '{"z":01,"a":33}',
    '{"z":"\\u12","a":34}', '{"z":"\\ud800","a":35}', "junk", '{"a":36,"b":null}', '{"a":null,"b":1}', '{"a":"37"}',
    '{"b":true}', '{"b":1.50}', '{"b":[1, 2]}', '{"b":{"x" : 1}}', '\ufeff{"a":38}', '\u00a0{"a":39}',
    '{"a":40}\u0000', '{"a":41}\u00a0', '{"b":"\u2028"}', '{"a":\u00a042}', '{"b":"x"', '{"b":"x', '{"a":43}]',
    '[{"a":44}', '[{"a":45},', '[{"a":46}]x', '[{"a":"47"},{"a":48}]', '{"_corrupt_record":"mine","a":49}',
    '{"a":50,"b":[}', '{"a":1.5,"b":"ok"}',
)  # fmt: skip

_NESTED = (
    "s STRUCT<x: INT, t: STRUCT<y: INT, z: STRING>>, l ARRAY<INT>, m MAP<STRING, INT>, "
    "ls ARRAY<STRUCT<x: INT, d: DATE>>, mm MAP<STRING, ARRAY<INT>>, e INT, _corrupt_record STRING"
)
_NESTED_ROWS = (
    '{"s":{"x":1,"t":{"y":2,"z":"q"}},"l":[1,2],"m":{"a":1},"ls":[{"x":1,"d":"2024-01-01"}],"mm":{"k":[1]},"e":1}',
    '{"s":{"x":"bad","t":{"y":2,"z":"q"}},"e":2}', '{"s":{"x":1,"t":{"y":"bad","z":"q"}},"e":3}',
    '{"s":{"x":1,"t":[]},"e":4}', '{"s":[1],"e":5}', '{"s":"str","e":6}', '{"l":[1,"bad",3],"e":7}',
    '{"l":[1,null,3],"e":8}', '{"l":{"a":1},"e":9}', '{"l":[],"e":10}', '{"m":{"a":"bad","b":2},"e":11}',
    '{"m":{"a":null},"e":12}', '{"m":[1],"e":13}', '{"m":{},"e":14}', '{"m":{"a":1,"a":2},"e":15}',
    '{"ls":[{"x":"bad","d":"2024-01-01"},{"x":2,"d":"bad"}],"e":16}',
    '{"ls":[{"x":1},null,{"d":"2024-02-02"}],"e":17}', '{"ls":[1],"e":18}', '{"ls":{"x":1},"e":19}',
    '{"mm":{"k":[1,"bad"]},"e":20}', '{"mm":{"k":1,"j":[2]},"e":21}', '{"mm":{"k":[1],"k":[2]},"e":22}',
    '{"s":{"x":1,"x":2},"e":23}', '{"s":{"X":1},"e":24}', '{"s":null,"l":null,"m":null,"ls":null,"mm":null,"e":25}',
    '{"s":{},"e":26}', '{"l":[1.0],"e":27}', '{"l":[1,[2]],"e":28}', '{"l":["1"],"e":29}',
    '{"s":{"x":1,"t":{"y":1,"z":[1, {"a": 2}]}},"e":30}', '{"s":{"x":1,"t":{"y":1,"z":1.50}},"e":31}', '{"l":[1,2}',
    '{"s":{"x":1,"q":tru},"e":32}', '{"s":{"x":tru},"e":33}', '{"l":[tru],"e":34}', '{"m":{"a":tru},"e":35}',
)  # fmt: skip

_AB = "a INT, b STRING, _corrupt_record STRING"

CASES: tuple[Case, ...] = (
    *[_each_value(kind) for kind in _TYPES],
    *[_each_time(kind) for kind in ("DATE", "TIMESTAMP", "TIMESTAMP_NTZ")],
    _each_time("DATE", "_format", dateFormat="dd/MM/yyyy"),
    _each_time("TIMESTAMP", "_format", timestampFormat="yyyy-MM-dd HH:mm:ss"),
    _each_time("TIMESTAMP", "_format_zone", timestampFormat="yyyy-MM-dd'T'HH:mm:ss[.SSS]XXX"),
    _each_time("TIMESTAMP_NTZ", "_format", timestampNTZFormat="yyyy-MM-dd HH:mm:ss"),
    _each_time("DATE", "_iso_format", dateFormat="yyyy-MM-dd"),
    lines("records", _AB, _RECORDS),
    lines("records_no_corrupt", "a INT, b STRING", _RECORDS),
    lines("records_dropmalformed", "a INT, b STRING", _RECORDS, mode="DROPMALFORMED"),
    lines("records_dropmalformed_corrupt", _AB, _RECORDS, mode="dropMalformed"),
    lines("records_failfast_good", "a INT, b STRING", ['{"a":1}', "", '{"a":2,"b":3}'], mode="FAILFAST"),
    lines("records_failfast_malformed", "a INT, b STRING", ['{"a":1}', "junk"], mode="FAILFAST"),
    lines("records_failfast_field", "a INT, b STRING", ['{"a":1}', '{"a":"x"}'], mode="FAILFAST"),
    lines("records_unknown_mode", "a INT, b STRING", ['{"a":1}', '{"a":"x"}'], mode="LENIENT"),
    lines("records_corrupt_name", "a INT, bad STRING", _RECORDS, columnNameOfCorruptRecord="bad"),
    lines("records_corrupt_type", "a INT, _corrupt_record INT", ['{"a":1}', "x"]),
    lines("records_corrupt_first", "_corrupt_record STRING, a INT", _RECORDS),
    lines("records_comments", _AB, _RECORDS, allowComments="true"),
    lines("records_unquoted", _AB, _RECORDS, allowUnquotedFieldNames="true"),
    lines("records_no_single_quotes", _AB, _RECORDS, allowSingleQuotes="false"),
    lines("records_leading_zeros", _AB, _RECORDS, allowNumericLeadingZeros="true"),
    lines(
        "records_no_nan",
        "a DOUBLE, b STRING, _corrupt_record STRING",
        [*_RECORDS, '{"a":"NaN"}', '{"a":Infinity}'],
        allowNonNumericNumbers="false",
    ),
    lines(
        "records_nan",
        "a DOUBLE, b STRING, _corrupt_record STRING",
        [*_RECORDS, '{"a":"NaN"}', '{"a":Infinity}', '{"b":NaN}', '{"b":-Infinity}', '{"b":-INF}'],
    ),
    lines("records_backslash", _AB, _RECORDS, allowBackslashEscapingAnyCharacter="true"),
    lines("records_control", _AB, _RECORDS, allowUnquotedControlChars="true"),
    lines("records_primitives", _AB, _RECORDS, primitivesAsString="true"),
    lines("nested", _NESTED, _NESTED_ROWS),
    lines("nested_dropmalformed", _NESTED, _NESTED_ROWS, mode="DROPMALFORMED"),
    Case("crlf", _AB, b'{"a":1}\r\n{"a":2}\r{"a":3}\n\r\n{"a":\r4}\r\nx\r\n'),
    Case("no_final_newline", _AB, b'{"a":1}\n{"a":2}'),
    Case("empty_file", _AB, b""),
    Case("bom", _AB, b'\xef\xbb\xbf{"a":1}\n\xef\xbb\xbf{"a":2}\n'),
    Case(
        "invalid_utf8",
        "a INT, b STRING",
        b'{"a":1,"b":"\xff"}\n{"a":2,"b":"\xc3"}\n{"a":3,"b":"\xe2\x82"}\n{"a":4,"\xff":1}\n{"a":5}\xff\n{"a":6,"b":"\xed\xa0\x80"}\n{"a":7,"b":"\xf8\x88\x80\x80\x80"}\n\xff\n{"a":8,"z":"\xff"}\n{"a":9,"b":"\xc0\x80"}\n',
    ),
    Case("line_sep", _AB, b'{"a":1}|{"a":2,"b":"x\\ny"}|{"a":\n3}|', {"lineSep": "|"}),
    Case("line_sep_long", _AB, b'{"a":1}||{"a":2}||x', {"lineSep": "||"}),
    Case("gzip", _AB, gzip.compress(b'{"a":1}\n{"a":2}\nx\n', mtime=0), suffix=".gz"),
    Case("multiline_object", _AB, b'{\n "a": 1,\n "b": "x"\n}\n', {"multiLine": "true"}),
    Case("multiline_array", _AB, b'[\n {"a": 1},\n {"a": "x", "b":"y"}, {"a":3}\n]\n', {"multiLine": "true"}),
    Case("multiline_array_good", _AB, b'[\n {"a": 1},\n {"a": 2, "b":"y"}, {"a":3}\n]\n', {"multiLine": "true"}),
    Case("multiline_two_objects", _AB, b'{"a":1}\n{"a":2}\n', {"multiLine": "true"}),
    Case("multiline_bad", _AB, b'{"a":1,\n', {"multiLine": "true"}),
    Case("multiline_empty", _AB, b"", {"multiLine": "true"}),
    Case("multiline_empty_array", _AB, b"[]", {"multiLine": "true"}),
    Case("multiline_scalar", _AB, b"12", {"multiLine": "true"}),
    Case("multiline_drop", _AB, b'[{"a":1},{"a":"x"}]', {"multiLine": "true", "mode": "DROPMALFORMED"}),
    Case("latin1", _AB, '{"a":1,"b":"é"}\n'.encode("latin-1"), {"encoding": "ISO-8859-1", "lineSep": "\n"}),
    Case("latin1_no_line_sep", _AB, '{"a":1,"b":"é"}\n'.encode("latin-1"), {"encoding": "ISO-8859-1"}),
    Case("utf16_multiline", _AB, '{"a":1,"b":"é"}\n'.encode("utf-16"), {"encoding": "UTF-16", "multiLine": "true"}),
    lines(
        "failfast_text",
        "a STRING, b DOUBLE, c TIMESTAMP",
        ['{"a":"x","b":"y","c":"2024-01-02T03:04:05Z"}'],
        mode="FAILFAST",
    ),
    lines("infer_simple", None, ['{"a":1,"b":"x","c":1.5,"d":true,"e":null}', '{"a":2,"f":[1,2],"g":{"x":1}}']),
    lines(
        "infer_mixed",
        None,
        ['{"a":1,"b":1,"c":true,"d":[1],"e":{"x":1},"f":1}', '{"a":1.5,"b":"x","c":1,"d":["x"],"e":{"y":"z"},"f":[1]}'],
    ),
    lines(
        "infer_big",
        None,
        [
            '{"a":9223372036854775808,"b":12345678901234567890123456789012345678901,"c":1e400,"d":1}',
            '{"a":1,"d":12345678901234567890}',
        ],
    ),
    lines("infer_empty", None, ['{"a":"","b":{},"c":[],"d":null,"e":[null],"f":[{}]}']),
    lines("infer_corrupt", None, ['{"a":1}', "junk", '{"b":2}']),
    lines("infer_corrupt_drop", None, ['{"a":1}', "junk", '{"b":2}'], mode="DROPMALFORMED"),
    lines("infer_primitives", None, ['{"a":1,"b":true,"c":1.5,"d":[1]}'], primitivesAsString="true"),
    lines("infer_decimal", None, ['{"a":1.50,"b":"2.5","c":1}'], prefersDecimal="true"),
    lines(
        "infer_timestamp",
        None,
        ['{"a":"2024-01-01T00:00:00Z","b":"2024-01-01","c":"x","d":"2024-01-01 10:00"}'],
        inferTimestamp="true",
    ),
    lines("infer_array_root", None, ['[{"a":1},{"b":"x"}]', '{"c":1}']),
    lines("infer_order", None, ['{"b":1,"a":1,"C":1,"B":2}']),
    lines("infer_scalar_root", None, ["1", '{"a":1}']),
    lines("infer_case", None, ['{"a":1,"A":"x"}']),
    lines("infer_nothing", None, [""]),
    lines("infer_drop_null", None, ['{"a":null,"b":[],"c":{"d":null},"e":1}'], dropFieldIfAllNull="true"),
)
