"""XML documents: how elements, attributes and text become rows, what is malformed, and which schema they have."""

# ruff: noqa: E501 - a document a line
from __future__ import annotations

from typing import Final

from tests.unit.server.formats.oracle.case import Case


def _doc(*rows: str, head: str = "", root: str = "rows") -> bytes:
    return (head + f"<{root}>" + "\n".join(rows) + f"</{root}>").encode()


def case(name: str, schema: str | None, content: bytes | str, **options: str) -> Case:
    """A case whose rows are `<r>`, unless `rowTag` says something else."""
    data = content.encode() if isinstance(content, str) else content
    return Case(name, schema, data, {"rowTag": "r", **options})


_BOOKS: Final = _doc(
    '<r id="1" lang="en"><title>One &amp; all</title><price cur="EUR">1.50</price><tag>a</tag><tag>b</tag></r>',
    "<r id='2'><title/><price>2</price><tag> c </tag><in><x>1</x><y>t</y></in><!-- no --></r>",
    "<r><title><![CDATA[<b>bold</b>]]></title><in><x>z</x></in></r>",
    "<r/>",
    head='<?xml version="1.0" encoding="UTF-8"?>\n<!-- head -->\n',
)
_BOOK_SCHEMA: Final = (
    "_id INT, _lang STRING, title STRING, price STRUCT<_VALUE: DOUBLE, _cur: STRING>, tag ARRAY<STRING>, "
    "in STRUCT<x: INT, y: STRING>, _corrupt_record STRING"
)
_VALUES: Final = (
    "1", "-5", "+7", " 3 ", "1.5", "1e3", "1d", "NaN", "Infinity", "-INF", "true", "TRUE", "1,000", "0", "t", "",
    "null", "2024-01-02", "2024-01-02T03:04:05", "2024-01-02 03:04:05", "2024-01-02T03:04:05Z",
    "2024-01-02T03:04:05.123456+02:00", "2024-1-2", "99999999999999999999", "128", "abc", "0.1234567890123456789",
    "12:30", "١", "é",
)  # fmt: skip
_TYPES: Final = (
    "BOOLEAN", "TINYINT", "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL(5,2)", "DECIMAL(30,10)", "STRING",
    "DATE", "TIMESTAMP", "TIMESTAMP_NTZ", "ARRAY<INT>", "ARRAY<STRING>", "STRUCT<_VALUE: INT>", "STRUCT<x: INT>",
    "MAP<STRING, INT>",
)  # fmt: skip


def _slug(text: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in text.lower())


_NESTED: Final = _doc(
    "<r><a><b><c>1</c></b></a></r>",
    "<r><a><b><c>2</c><c>3</c></b><b><c>4</c></b></a></r>",
    "<r><a>text<b>x</b>more</a></r>",
    "<r><a k='v'/></r>",
    "<r>loose<a/>words</r>",
    "<r><a><a>deep</a></a></r>",
)
_MIXED: Final = "<rows><r>1</r><r>two</r><r a='x'>3</r><r><b>4</b></r><r> </r><r></r></rows>"

CASES: tuple[Case, ...] = (
    case("books", _BOOK_SCHEMA, _BOOKS),
    case("books_infer", None, _BOOKS),
    case("books_infer_text", None, _BOOKS, inferSchema="false"),
    case("books_drop", _BOOK_SCHEMA, _BOOKS, mode="DROPMALFORMED"),
    case("books_failfast", _BOOK_SCHEMA, _BOOKS, mode="FAILFAST"),
    case("books_no_corrupt_column", _BOOK_SCHEMA.rpartition(",")[0], _BOOKS),
    case("books_prefix", "`@id` INT, title STRING", _BOOKS, attributePrefix="@"),
    case("books_prefix_infer", None, _BOOKS, attributePrefix="@", valueTag="#v"),
    case("books_no_attributes", None, _BOOKS, excludeAttribute="true"),
    case("books_no_attributes_schema", "_id INT, title STRING, price STRING", _BOOKS, excludeAttribute="true"),
    case("books_spaces", None, _BOOKS, ignoreSurroundingSpaces="false"),
    case("books_spaces_schema", "tag ARRAY<STRING>, title STRING", _BOOKS, ignoreSurroundingSpaces="false"),
    case("books_null_value", "title STRING, tag ARRAY<STRING>, price STRING", _BOOKS, nullValue=""),
    case("books_null_value_a", "title STRING, tag ARRAY<STRING>, _id STRING", _BOOKS, nullValue="a"),
    case("books_empty_null", "title STRING, tag ARRAY<STRING>", _BOOKS, treatEmptyValuesAsNulls="true"),
    case("books_empty_null_infer", None, _BOOKS, treatEmptyValuesAsNulls="true"),
    case("books_price_text", "price STRING, in STRING", _BOOKS),
    case("books_price_double", "price DOUBLE", _BOOKS),
    case("books_price_array", "price ARRAY<DOUBLE>", _BOOKS),
    case("books_tag_single", "tag STRING", _BOOKS),
    case("books_in_map", "in MAP<STRING, STRING>", _BOOKS),
    case("books_in_array", "in ARRAY<STRUCT<x: INT, y: STRING>>", _BOOKS),
    case("books_title_only", "title STRING", _BOOKS),
    case("books_tags", "_VALUE STRING", _BOOKS, rowTag="tag"),
    case("books_tags_infer", None, _BOOKS, rowTag="tag"),
    case("books_root_infer", None, _BOOKS, rowTag="rows"),
    case("books_missing_tag", "title STRING", _BOOKS, rowTag="nothing"),
    case("books_missing_tag_infer", None, _BOOKS, rowTag="nothing"),
    case("books_upper", "TITLE STRING, _ID INT", _BOOKS),
    Case("no_row_tag", "title STRING", _BOOKS),
    case("empty_row_tag", "title STRING", _BOOKS, rowTag=""),
    case("angle_row_tag", "title STRING", _BOOKS, rowTag="<r>"),
    case("wildcard", "title STRING, xs_any STRING", _BOOKS),
    case("wildcard_array", "title STRING, xs_any ARRAY<STRING>", _BOOKS),
    case("wildcard_named", "title STRING, rest ARRAY<STRING>", _BOOKS, wildcardColName="rest"),
    case("nested_infer", None, _NESTED),
    case("nested", "a STRUCT<b: STRUCT<c: INT>>, _VALUE STRING, _corrupt_record STRING", _NESTED),
    case("nested_arrays", "a STRUCT<b: ARRAY<STRUCT<c: ARRAY<INT>>>>, _corrupt_record STRING", _NESTED),
    case("nested_value", "a STRUCT<_VALUE: STRING, _k: STRING, b: STRING, a: STRING>", _NESTED),
    case("nested_values", "a STRUCT<_VALUE: ARRAY<STRING>>, _VALUE ARRAY<STRING>", _NESTED),
    case("nested_text", "a STRING", _NESTED),
    case("nested_map", "a MAP<STRING, STRING>", _NESTED),
    case("mixed", "_VALUE STRING, _a STRING, b INT", _MIXED),
    case("mixed_infer", None, _MIXED),
    case("mixed_int", "_VALUE INT, _corrupt_record STRING", _MIXED),
    *[
        case(f"values_{_slug(kind)}", f"v {kind}, n INT, _corrupt_record STRING",
             _doc(*(f"<r><n>{i}</n><v>{text}</v></r>" for i, text in enumerate(_VALUES))))
        for kind in _TYPES
    ],
    *[
        case(f"attributes_{_slug(kind)}", f"_v {kind}, n INT, _corrupt_record STRING",
             _doc(*(f"<r v='{text}'><n>{i}</n></r>" for i, text in enumerate(_VALUES))))
        for kind in ("BOOLEAN", "INT", "DOUBLE", "DECIMAL(5,2)", "STRING", "DATE", "TIMESTAMP")
    ],
    *[
        case(f"infer_{i}", None, _doc(*(f"<r><v>{text}</v></r>" for text in texts)))
        for i, texts in enumerate([
            ["1", "2"], ["1", "2.5"], ["1", "99999999999"], ["99999999999999999999", "1"], ["true", "false"],
            ["1", "0"], ["true", "1"], ["2024-01-02", "2024-01-03"], ["2024-01-02T03:04:05", "2024-01-02T03:04:05Z"],
            ["2024-01-02", "2024-01-02T03:04:05"], ["2024-01-02T03:04:05Z"], ["1", "a"], ["", "1"], ["", ""],
            ["null", "1"], ["1d"], ["1.5f"], ["NaN", "1"], ["1,000"], [" 1 ", "2"], ["12:30"], ["1e5"], ["+1"], ["-"],
            ["007"], ["0x10"], ["Infinity"], ["2024-01-02 03:04:05"],
        ])
    ],
    case("infer_decimal", None, _doc("<r><v>1.25</v><w>99999999999999999999</w></r>"), prefersDecimal="true"),
    case("infer_date_format", None, _doc("<r><v>02/01/2024</v></r>"), dateFormat="dd/MM/yyyy"),
    case("infer_ts_format", None, _doc("<r><v>02/01/2024 03:04</v></r>"), timestampFormat="dd/MM/yyyy HH:mm"),
    case("date_format", "v DATE", _doc("<r><v>02/01/2024</v></r>", "<r><v>2024-01-02</v></r>"), dateFormat="dd/MM/yyyy"),
    case("ts_format", "v TIMESTAMP", _doc("<r><v>02/01/2024 03:04</v></r>"), timestampFormat="dd/MM/yyyy HH:mm"),
    case("ntz_format", "v TIMESTAMP_NTZ", _doc("<r><v>02/01/2024 03:04</v></r>"), timestampNTZFormat="dd/MM/yyyy HH:mm"),
    case("time_zone", "v TIMESTAMP", _doc("<r><v>2024-01-02T03:04:05</v></r>"), timeZone="America/Sao_Paulo"),
    case("infer_order", None, _doc("<r><b>1</b><a>1</a></r>", "<r><c>1</c><a x='1'>1</a><A>2</A></r>")),
    case("infer_repeated", None, _doc("<r><b>1</b></r>", "<r><b>1</b><b>x</b></r>", "<r><b><c>1</c></b></r>")),
    case("infer_repeated_struct", None, _doc("<r><b k='1'>1</b><b>2</b></r>", "<r><b><c>1</c></b></r>")),
    case("infer_empty", None, "<rows></rows>"),
    case("infer_corrupt", None, "<rows><r><a>1</a></r><r><a>2</b></r></rows>"),
    case("infer_corrupt_drop", None, "<rows><r><a>1</a></r><r><a>2</b></r></rows>", mode="DROPMALFORMED"),
    case("infer_corrupt_fail", None, "<rows><r><a>1</a></r><r><a>2</b></r></rows>", mode="FAILFAST"),
    case("namespaces", "a STRING, `n:b` STRING, b STRING, `_n:c` STRING, _c STRING",
         "<rows xmlns:n='u'><r n:c='1'><a>1</a><n:b>2</n:b></r><n:r><a>3</a></n:r></rows>"),
    case("namespaces_ignored", "a STRING, `n:b` STRING, b STRING, `_n:c` STRING, _c STRING",
         "<rows xmlns:n='u'><r n:c='1'><a>1</a><n:b>2</n:b></r><n:r><a>3</a></n:r></rows>", ignoreNamespace="true"),
    case("namespaces_infer", None, "<rows xmlns:n='u'><r n:c='1' xmlns='d'><a>1</a><n:b>2</n:b></r></rows>"),
    case("namespaces_infer_ignored", None,
         "<rows xmlns:n='u'><r n:c='1' xmlns='d'><a>1</a><n:b>2</n:b></r></rows>", ignoreNamespace="true"),
    case("namespace_row_tag", "a STRING", "<rows xmlns:n='u'><n:r><a>3</a></n:r></rows>", rowTag="n:r"),
    case("unbound_prefix", "a STRING, `n:b` STRING", "<rows><r><a>1</a><n:b>2</n:b></r></rows>"),
    case("malformed_middle", "a INT, _corrupt_record STRING", "<rows><r><a>1</a></r><r><a>2</b></r><r><a>3</a></r></rows>"),
    case("malformed_middle_drop", "a INT", "<rows><r><a>1</a></r><r><a>2</b></r><r><a>3</a></r></rows>",
         mode="DROPMALFORMED"),
    case("malformed_middle_fail", "a INT", "<rows><r><a>1</a></r><r><a>2</b></r><r><a>3</a></r></rows>", mode="FAILFAST"),
    case("malformed_start", "a INT, _corrupt_record STRING", "<rows><x></y><r><a>1</a></r></rows>"),
    case("malformed_end", "a INT, _corrupt_record STRING", "<rows><r><a>1</a></r>"),
    case("malformed_cut", "a INT, _corrupt_record STRING", "<rows><r><a>1</a></r><r><a>2"),
    case("malformed_text", "a INT, _corrupt_record STRING", "no XML at all"),
    case("malformed_after", "a INT, _corrupt_record STRING", "<rows><r><a>1</a></r></rows>trailing"),
    case("malformed_ampersand", "a STRING, _corrupt_record STRING", "<rows><r><a>1 & 2</a></r><r><a>3</a></r></rows>"),
    case("malformed_attribute", "_a STRING, _corrupt_record STRING", "<rows><r a=1><b/></r><r a='2'/></rows>"),
    case("malformed_less", "a STRING, _corrupt_record STRING", "<rows><r><a>1 < 2</a></r><r><a>3</a></r></rows>"),
    case("two_roots", "a INT, _corrupt_record STRING", "<r><a>1</a></r><r><a>2</a></r>"),
    case("no_root", "a INT, _corrupt_record STRING", "<r><a>1</a></r>"),
    case("empty_file", "a INT", ""),
    case("blank_file", "a INT", " \n"),
    case("bom", "a INT, b STRING", b"\xef\xbb\xbf<rows><r><a>1</a><b>\xc3\xa9</b></r></rows>"),
    case("latin1", "b STRING", "<rows><r><b>é</b></r></rows>".encode("latin-1"), charset="ISO-8859-1"),
    case("latin1_declared", "b STRING",
         '<?xml version="1.0" encoding="ISO-8859-1"?><rows><r><b>é</b></r></rows>'.encode("latin-1")),
    case("latin1_undeclared", "b STRING, _corrupt_record STRING", "<rows><r><b>é</b></r></rows>".encode("latin-1")),
    case("utf16", "b STRING", "<rows><r><b>é</b></r></rows>".encode("utf-16"), charset="UTF-16"),
    case("same_tag_inside", "a STRING, r STRING", "<rows><r><a>1</a><r><a>2</a></r></r></rows>"),
    case("same_tag_inside_struct", "a STRING, r STRUCT<a: STRING>", "<rows><r><a>1</a><r><a>2</a></r></r></rows>"),
    case("tag_in_comment", "a STRING", "<rows><!-- <r><a>0</a></r> --><r><a>1</a></r></rows>"),
    case("tag_in_cdata", "a STRING", "<rows><x><![CDATA[<r><a>0</a></r>]]></x><r><a>1</a></r></rows>"),
    case("tag_with_longer_name", "a STRING", "<rows><rr><a>0</a></rr><r ><a>1</a></r ><r\n><a>2</a></r></rows>"),
    case("comment_inside_text", "a STRING, b INT", "<rows><r><a>x<!-- c -->y</a><b>1<!-- c -->2</b></r></rows>"),
    case("cdata_inside_text", "a STRING, b INT", "<rows><r><a>x<![CDATA[ & ]]>y</a><b>1<![CDATA[2]]></b></r></rows>"),
    case("references", "a STRING, _b STRING", "<rows><r b='&#233;&lt;'><a>&lt;&#x41;&gt;</a></r></rows>"),
    case("processing", "a STRING", "<rows><r><?pi x?><a>1</a></r></rows>"),
    case("line_ends", "a STRING", "<rows><r><a>x\r\ny\n z</a></r></rows>"),
    case("line_ends_kept", "a STRING", "<rows><r><a>x\r\ny\n z</a></r></rows>", ignoreSurroundingSpaces="false"),
    case("entity", "a STRING, _corrupt_record STRING",
         "<!DOCTYPE r [<!ENTITY e 'secret'>]><rows><r><a>&e;</a></r></rows>"),
    case("external_entity", "a STRING, _corrupt_record STRING",
         "<!DOCTYPE r [<!ENTITY e SYSTEM 'file:///etc/hostname'>]><rows><r><a>&e;</a></r></rows>"),
    case("doctype", "a STRING, _corrupt_record STRING", "<!DOCTYPE rows><rows><r><a>1</a></r></rows>"),
    case("unknown_entity", "a STRING, _corrupt_record STRING", "<rows><r><a>&nope;</a></r><r><a>2</a></r></rows>"),
    case("only_corrupt", "_corrupt_record STRING", _BOOKS),
    case("corrupt_named", "title INT, bad STRING", _BOOKS, columnNameOfCorruptRecord="bad"),
    case("dots_and_dashes", "`a-b` INT, `c.d` INT", "<rows><r><a-b>1</a-b><c.d>2</c.d></r></rows>"),
    case("dots_and_dashes_infer", None, "<rows><r><a-b>1</a-b><c.d>2</c.d></r></rows>"),
    case("single_line", "a INT, _corrupt_record STRING", "<r><a>1</a></r>\n<r><a>2</a></r>\n", multiLine="false"),
    case("single_lines", "a INT, _corrupt_record STRING", "<x>\n<r><a>1</a></r><r><a>2</a></r>\n<r><a>3\n</a></r>\n<r><a>x</a></r>\n<r><a>5</b></r>\n<r><a>6</a></r></x>", multiLine="false"),
    case("single_lines_infer", None, "<r><a>1</a></r>\n<r><a>2</a></r>\n", multiLine="false"),
    case("mistake_behind_field", "z INT, a INT, _corrupt_record STRING", "<x><r><z>1</z><a>2</b></r><r><z>1</z></r></x>"),
    case("mistake_in_row_text", "a INT, _VALUE STRING, _corrupt_record STRING", "<x><r>1 & 2<a>1</a></r><r><a>1</a></r></x>"),
    case("sampling", None, _doc("<r><v>1</v></r>"), samplingRatio="0.5"),
    case("sampling_bad", None, _doc("<r><v>1</v></r>"), samplingRatio="0"),
    case("gzip_like_name", "a INT", "<rows><r><a>1</a></r></rows>", compression="gzip"),
    *[
        case(name, f"{schema}, _corrupt_record STRING", _doc(*rows))
        for name, schema, rows in (
            ("bad_then_field", "v INT, n INT", ["<r><v>x</v><n>1</n></r>", "<r><v>2</v><n>2</n></r>"]),
            ("bad_in_struct", "a STRUCT<v: INT, n: INT>, n INT", ["<r><a><v>x</v><n>7</n></a><n>1</n></r>", "<r><a><v>1</v><n>2</n></a><n>2</n></r>"]),
            ("bad_in_array", "v ARRAY<INT>, n INT", ["<r><v>1</v><v>x</v><v>2</v><n>1</n></r>"]),
            ("bad_in_array_of_struct", "a ARRAY<STRUCT<v: INT>>, n INT", ["<r><a><v>x</v></a><a><v>2</v></a><n>1</n></r>"]),
            ("bad_attribute_inside", "a STRUCT<_k: INT, n: INT>, n INT", ["<r><a k='x'><n>1</n></a><n>1</n></r>", "<r><a k='1'><n>2</n></a><n>2</n></r>"]),
            ("bad_with_elements", "v INT, n INT", ["<r><v>x<q>1</q></v><n>1</n></r>", "<r><n>2</n></r>"]),
            ("bad_text_in_struct", "v STRUCT<_VALUE: INT>, n INT", ["<r><v>q</v><n>1</n></r>", "<r><v>3</v><n>1</n></r>"]),
            ("elements_for_a_number", "v INT, n INT", ["<r><v><a>5</a></v><n>1</n></r>", "<r><v> <a>5</a></v><n>1</n></r>", "<r><v>7<a>5</a></v><n>1</n></r>"]),
            ("map_with_attributes", "v MAP<STRING, STRING>, n INT", ["<r><v k='1'><a>5</a></v><n>1</n></r>", "<r><v k='1'/><n>1</n></r>"]),
            ("map_of_numbers", "v MAP<STRING, INT>, n INT", ["<r><v k='1'>5</v><n>1</n></r>", "<r><v><a>x</a><b>2</b></v><n>1</n></r>"]),
            ("map_of_structs", "m MAP<STRING, STRUCT<a: INT>>", ["<r><m><k><a>1</a></k><l><a>2</a></l></m></r>"]),
            ("source_text", "v STRING", ["<r><v k='1'><a j='2'>5</a><!-- c --><b/> z <![CDATA[<&>]]> &lt;</v></r>"]),
            ("empty_elements", "v INT, w ARRAY<INT>, u DOUBLE, n INT", ["<r><v/><w></w><u> </u><n>1</n></r>"]),
            ("empty_texts", "v ARRAY<STRING>", ["<r><v/><v> </v><v>x</v></r>"]),
            ("empty_structs", "v STRUCT<a: INT>, w STRUCT<a: STRING>", ["<r><v/><w><a/></w></r>"]),
            ("empty_structs_in_array", "v ARRAY<STRUCT<a: INT, _k: INT>>", ["<r><v/><v k='1'/></r>"]),
            ("given_twice", "a INT", ["<r><a>1</a><a>2</a></r>"]),
            ("two_mistakes", "a STRING, b INT", ["<r><a>1 & 2</a><b>1</b></r>", "<r><a>3</a><b>2 & 3</b></r>", "<r><a>5</a></r>"]),
            ("mistake_between", "a STRING", ["<r><a>1</a></r> & <r><a>3</a></r>", "<r><a>4</a></r>"]),
            ("mistake_in_inner_tag", "a STRING, b INT", ["<r><a k=1>1</a><b>1</b></r>", "<r><a>3</a><b>2</b></r>"]),
            ("mistake_in_attribute", "a STRING, _k STRING", ["<r k='1 & 2'><a>1</a></r>", "<r><a>3</a></r>"]),
            ("control_character", "a STRING", ["<r><a>1\x01</a></r>", "<r><a>3</a></r>"]),
            ("attribute_twice", "a STRING", ["<r k='1' k='2'><a>1</a></r>", "<r><a>3</a></r>"]),
            ("end_of_cdata", "a STRING", ["<r><a>1]]></a></r>", "<r><a>3</a></r>"]),
            ("bad_name", "a STRING", ["<r><1a>1</1a></r>", "<r><a>3</a></r>"]),
        )
    ],
    *[
        case(f"infer_more_{i}", None, _doc(*rows), **options)
        for i, (rows, options) in enumerate([
            (["<r><a/></r>", "<r><a><b>1</b></a></r>"], {}),
            (["<r><a>1</a></r>", "<r><a><b>1</b></a></r>"], {}),
            (["<r><a k='1'>1</a></r>", "<r><a>2</a></r>"], {}),
            (["<r><a><b>1</b><b>2</b></a><a><b>3</b></a></r>"], {}),
            (["<r><a>1.25</a></r>", "<r><a>123.5</a></r>", "<r><a>1</a></r>"], {"prefersDecimal": "true"}),
            (["<r><a>1</a></r>", "<r><a>99999999999999999999</a></r>"], {"prefersDecimal": "true"}),
            (["<r><a>1</a><A>2</A></r>"], {}),
            (["<r><v> </v></r>", "<r><v><w> </w> </v></r>"], {}),
            (["<r><v k='1'/></r>"], {}),
            (["<r><v k=''> </v><w k='1'>2</w></r>"], {}),
            (["<r><v>1<b>2</b></v></r>", "<r><v>7</v></r>"], {}),
            (["<r><v>NA</v></r>", "<r><v>7</v></r>"], {"nullValue": "NA"}),
            (["<r k=''><v></v></r>"], {"nullValue": ""}),
        ])
    ],
    case("entity_in_attribute", "a STRING, _k STRING", "<!DOCTYPE r [<!ENTITY e 's'>]><x><r k='&e;'><a>1</a></r><r><a>3</a></r></x>"),
    case("entity_not_used", "a STRING", "<!DOCTYPE r [<!ENTITY e 's'>]><x><r><a>1</a></r></x>"),
)  # fmt: skip
