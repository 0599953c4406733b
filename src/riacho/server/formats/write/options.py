"""The options of every file writer in one table each. `docs/file-sinks.md` is checked against these tables."""

from __future__ import annotations

from typing import Final

from riacho.options import Option, refused

_DATE_FORMAT = Option("dateFormat", "yyyy-MM-dd", "pattern of DATE text")
_TIMESTAMP_FORMAT = Option(
    "timestampFormat", None, "pattern of TIMESTAMP text; default `yyyy-MM-dd'T'HH:mm:ss.SSSXXX`, with seconds of offset"
)
_NTZ_FORMAT = Option("timestampNTZFormat", "yyyy-MM-dd'T'HH:mm:ss.SSS", "pattern of TIMESTAMP_NTZ text")
_TIME_ZONE = Option("timeZone", None, "zone in which TIMESTAMPs are shown; unless given, the session's")
_LINE_SEP = Option("lineSep", None, "what ends a line; default `\\n`")
_ENCODING = Option("encoding", "UTF-8", "encoding of the files", ("charset",))
_TEXT_CODEC = Option(
    "compression",
    None,
    "`none`, `gzip`, `bzip2`, `deflate`, `lz4`, `snappy`, or Hadoop's class",
    ("codec",),
)
_LOCALE = refused("locale", "en-US", "language of month and day names")

JSON: Final = (
    _TEXT_CODEC,
    Option("ignoreNullFields", "true", "leave fields out that are null; `spark.sql.jsonGenerator.ignoreNullFields`"),
    _DATE_FORMAT,
    _TIMESTAMP_FORMAT,
    _NTZ_FORMAT,
    _TIME_ZONE,
    _LINE_SEP,
    _ENCODING,
    _LOCALE,
    refused("pretty", "false", "objects over several lines: JSON files have one object a line"),
    refused("writeNonAsciiCharacterAsCodePoint", "false", "escapes for all characters that are not ASCII"),
)

CSV: Final = (
    _TEXT_CODEC,
    Option("header", "false", "the first line of each file names the columns"),
    Option("sep", ",", "what separates two values (one or more characters)", ("delimiter",)),
    Option("quote", '"', "the quote around values that need one; empty: the character of code 0"),
    Option("escape", "\\", "what stands before a quote inside a quoted value"),
    Option(
        "charToEscapeQuoteEscaping", None, "what stands before an escape; default: the escape if it is not the quote"
    ),
    Option("escapeQuotes", "true", "values with quotes in them are quoted"),
    Option("quoteAll", "false", "all values are quoted"),
    Option("nullValue", "", "text of NULL"),
    Option("emptyValue", '""', "text of an empty value"),
    Option("ignoreLeadingWhiteSpace", "true", "strip white space before a value"),
    Option("ignoreTrailingWhiteSpace", "true", "strip white space after a value"),
    Option("comment", "#", "a line that would begin with this character has its first value quoted"),
    _DATE_FORMAT,
    _TIMESTAMP_FORMAT,
    _NTZ_FORMAT,
    _TIME_ZONE,
    _LINE_SEP,
    _ENCODING,
    _LOCALE,
)

TEXT: Final = (_TEXT_CODEC, _LINE_SEP)

PARQUET: Final = (
    Option(
        "compression",
        None,
        "`snappy`, `none`, `gzip`, `zstd`, `lz4`, `lz4_raw`, `brotli`; default `spark.sql.parquet.compression.codec`",
        ("parquet.compression",),
    ),
    Option("parquet.*", None, "sizes and encodings of Parquet's own: riacho chooses them"),
)

ORC: Final = (
    Option(
        "compression",
        None,
        "`zstd`, `none`, `zlib`, `snappy`, `lz4`; default `spark.sql.orc.compression.codec`",
        ("orc.compress",),
    ),
    Option("orc.*", None, "sizes and encodings of ORC's own: riacho chooses them"),
)

AVRO: Final = (
    Option(
        "compression",
        None,
        "`snappy`, `uncompressed`, `deflate`, `bzip2`, `xz`, `zstandard`; default `spark.sql.avro.compression.codec`",
    ),
    Option("avroSchema", None, "the schema to write in, as JSON; unless given, the one that Spark makes of the types"),
    Option("recordName", "topLevelRecord", "the name of the record in the schema"),
    Option("recordNamespace", "", "its namespace"),
    refused("positionalFieldMatching", "false", "fields are found by name"),
)

COMMON: Final = (
    Option("maxRecordsPerFile", "0", "most rows in a file; 0: no limit. `spark.sql.files.maxRecordsPerFile`"),
)
"""Of all formats."""

WRITERS: Final[dict[str, tuple[Option, ...]]] = {
    "json": JSON,
    "csv": CSV,
    "text": TEXT,
    "parquet": PARQUET,
    "orc": ORC,
    "avro": AVRO,
}
