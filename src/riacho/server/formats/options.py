"""The options of every file reader in one table each. `docs/file-sources.md` is checked against these tables."""

from __future__ import annotations

from typing import Final

from riacho.options import Option, Options, refused

# What is done with files that are gone or damaged, whatever their format.
DAMAGE: Final = (
    Option("ignoreMissingFiles", "false", "skip files that disappear between listing and reading"),
    Option("ignoreCorruptFiles", "false", "skip the rest of a damaged file (`cloudFiles` sets it aside instead)"),
)

# What decides which files are read, whatever their format.
LISTING: Final = (
    Option("path", None, "the folder, file or glob to read; `load(path)` sets it"),
    Option("pathGlobFilter", None, "only files whose name matches this glob"),
    Option("recursiveFileLookup", "false", "read every subfolder; `k=v` folders then do not become partition columns"),
    Option("basePath", None, "the folder below which `k=v` folders are partitions"),
    refused("modifiedBefore", None, "refused for streams, as in Spark"),
    refused("modifiedAfter", None, "refused for streams, as in Spark"),
    *DAMAGE,
)

# How a stream takes its files.
STREAM: Final = (
    Option("maxFilesPerTrigger", None, "the maximum number of new files in a batch"),
    Option("maxBytesPerTrigger", None, "stop adding files to a batch at this size; a batch has at least one file"),
    Option("latestFirst", "false", "newest files first; with a limit set, `maxFileAge` is then ignored"),
    Option("fileNameOnly", "false", "identify files by name alone, regardless of the folder"),
    Option("maxFileAge", "7d", "ignore and forget files older than the newest file by more than this"),
    Option("cleanSource", "off", "after the commit: `archive`, `delete` or `off`"),
    Option("sourceArchiveDir", None, "where `cleanSource=archive` moves files"),
    Option(
        "maxCachedFiles", "10000", "how many listed files are kept for later batches before the folder is listed again"
    ),
    Option(
        "discardCachedInputRatio", "0.2", "list the folder again when fewer files than this share of the limit remain"
    ),
)

_MODE = Option("mode", "PERMISSIVE", "`PERMISSIVE`, `DROPMALFORMED` or `FAILFAST`")
_CORRUPT = Option("columnNameOfCorruptRecord", "_corrupt_record", "the STRING column that receives malformed records")
_DATE_FORMAT = Option("dateFormat", None, "pattern of DATE text")
_TIMESTAMP_FORMAT = Option("timestampFormat", None, "pattern of TIMESTAMP text")
_NTZ_FORMAT = Option("timestampNTZFormat", None, "pattern of TIMESTAMP_NTZ text")
_TIME_ZONE = Option("timeZone", "UTC", "zone of timestamps that name none; unless given, the session's")
_LINE_SEP = Option("lineSep", None, "what ends a line; default `\\n`, `\\r\\n` or `\\r`")
_ENCODING = Option("encoding", "UTF-8", "encoding of the files", ("charset",))
_COMPRESSION = Option(
    "compression", None, "for writers; readers use the file's extension (`.gz`, `.bz2`, `.zst`, …)", ("codec",)
)
_LOCALE = refused("locale", "en-US", "language of month and day names and of decimal separators")
_FALLBACK = refused(
    "enableDateTimeParsingFallback", None, "reading dates as Spark 1 and 2 did even if a pattern is given"
)
_SAMPLING = refused("samplingRatio", "1.0", "schema inference reads all rows")

JSON: Final = (
    _MODE,
    _CORRUPT,
    _DATE_FORMAT,
    _TIMESTAMP_FORMAT,
    _NTZ_FORMAT,
    _TIME_ZONE,
    Option("multiLine", "false", "each file is one JSON document: an object, or an array with one row per element"),
    _LINE_SEP,
    _ENCODING,
    _COMPRESSION,
    Option("primitivesAsString", "false", "inference: numbers and booleans become STRING"),
    Option("prefersDecimal", "false", "inference: floating-point numbers become DECIMAL"),
    Option("inferTimestamp", "false", "inference: text that looks like a timestamp becomes TIMESTAMP"),
    Option("dropFieldIfAllNull", "false", "inference: omit columns without any value"),
    Option("allowComments", "false", "skip `/* */` and `//` comments"),
    Option("allowUnquotedFieldNames", "false", "field names without quotes"),
    Option("allowSingleQuotes", "true", "single quotes around names and text"),
    Option("allowNumericLeadingZeros", "false", "numbers such as 007"),
    Option("allowNonNumericNumbers", "true", "NaN, Infinity, -INF and similar as numbers"),
    Option("allowBackslashEscapingAnyCharacter", "false", "a backslash may stand before any character"),
    Option("allowUnquotedControlChars", "false", "control characters inside text"),
    _SAMPLING,
    _LOCALE,
    _FALLBACK,
    refused("singleVariantColumn", None, "the whole record as one VARIANT"),
)

CSV: Final = (
    _MODE,
    _CORRUPT,
    Option("header", "false", "the first line of each file names the columns"),
    Option("sep", ",", "what separates two values (one or more characters)", ("delimiter",)),
    Option("quote", '"', "the quote around values that contain the separator; empty: none"),
    Option("escape", "\\", "what stands before a quote inside a quoted value"),
    Option(
        "charToEscapeQuoteEscaping", None, "what stands before an escape; default: the escape if it is not the quote"
    ),
    Option("comment", None, "lines that start with this character are skipped"),
    Option("nullValue", "", "text that means NULL"),
    Option("emptyValue", "", "what an empty quoted value becomes"),
    Option("nanValue", "NaN", "text of a not-a-number"),
    Option("positiveInf", "Inf", "text of infinity"),
    Option("negativeInf", "-Inf", "text of negative infinity"),
    Option("ignoreLeadingWhiteSpace", "false", "strip white space before a value"),
    Option("ignoreTrailingWhiteSpace", "false", "strip white space after a value"),
    Option("multiLine", "false", "quoted values may contain line ends"),
    Option("enforceSchema", "true", "false: the header must name the schema's columns in order"),
    Option("inferSchema", "false", "inference: infer column types; otherwise all are STRING"),
    Option("preferDate", "true", "inference: prefer DATE to TIMESTAMP"),
    _DATE_FORMAT,
    _TIMESTAMP_FORMAT,
    _NTZ_FORMAT,
    _TIME_ZONE,
    _LINE_SEP,
    _ENCODING,
    _COMPRESSION,
    Option("maxColumns", "20480", "a line with more values is an error"),
    refused("maxCharsPerColumn", "-1", "values have no length limit"),
    refused("unescapedQuoteHandling", "STOP_AT_DELIMITER", "what happens to a quote inside an unquoted value"),
    Option("columnPruning", "true", "false: lines must have a value for every column, whether used or not"),
    Option("inputBufferSize", None, "accepted: no effect"),
    _SAMPLING,
    _LOCALE,
    _FALLBACK,
)

PARQUET: Final = (
    Option("mergeSchema", "false", "inference: merge the columns of all files instead of using one file"),
    Option("compression", None, "for writers; files state their own compression"),
    refused("datetimeRebaseMode", "CORRECTED", "dates before 1582 written by Spark 2"),
    refused("int96RebaseMode", "CORRECTED", "INT96 timestamps before 1900 written by Spark 2"),
)

ORC: Final = (
    Option(
        "mergeSchema",
        "false",
        "inference: merge the columns of all files instead of using one file; unless given, the session's "
        "`spark.sql.orc.mergeSchema`",
    ),
    Option("compression", None, "for writers; files state their own compression", ("orc.compress",)),
)

AVRO: Final = (
    Option("avroSchema", None, "the schema to read with, if it is not the one that wrote; what it adds has defaults"),
    Option("positionalFieldMatching", "false", "find columns by their position, not by their name"),
    Option("ignoreExtension", "true", "false: files that are not called `….avro` have no rows"),
    Option("enableStableIdentifiersForUnionType", "false", "name the fields of a union after its types"),
    Option("stableIdentifierPrefixForUnionType", "member_", "what these names begin with"),
    Option("recursiveFieldMaxDepth", "-1", "how deep to read a schema that contains itself, 1 to 15"),
    Option("datetimeRebaseMode", "CORRECTED", "CORRECTED, or EXCEPTION for an error for dates before 1582-10-15"),
    *(Option(name, None, "for writers") for name in ("compression", "recordName", "recordNamespace")),
    refused("avroSchemaUrl", None, "read the file, and give its text as avroSchema"),
)

TEXT: Final = (
    Option("wholetext", "false", "each file is one row"),
    _LINE_SEP,
    _ENCODING,
    _COMPRESSION,
)

BINARY: Final = (
    Option(
        "maxLength",
        "2147483647",
        "a longer file is an error, in bytes; unless given, the session's `spark.sql.sources.binaryFile.maxLength`",
    ),
)

XML: Final = (
    Option("rowTag", None, "the name of the elements that are rows; required"),
    _MODE,
    _CORRUPT,
    Option("attributePrefix", "_", "what the names of columns for attributes begin with"),
    Option("valueTag", "_VALUE", "the column for the text of an element that has attributes or elements too"),
    Option("excludeAttribute", "false", "leave attributes out"),
    Option("nullValue", None, "text that means NULL"),
    Option("treatEmptyValuesAsNulls", "false", "blank text means NULL"),
    Option("ignoreSurroundingSpaces", "true", "strip white space around values"),
    Option("ignoreNamespace", "false", "leave the prefixes of names out"),
    Option("wildcardColName", "xs_any", "the column (STRING or ARRAY) for elements that have none"),
    Option("inferSchema", "true", "inference: infer types; otherwise all are STRING"),
    Option("prefersDecimal", "false", "inference: floating-point numbers become DECIMAL"),
    Option("dateFormat", None, "pattern of DATE text; default `yyyy-MM-dd`"),
    _TIMESTAMP_FORMAT,
    _NTZ_FORMAT,
    _TIME_ZONE,
    Option("encoding", None, "encoding of the files; default: what they say themselves, else UTF-8", ("charset",)),
    _COMPRESSION,
    Option("samplingRatio", "1.0", "accepted: schema inference reads all rows"),
    Option("multiLine", "true", "false: each line is a document of its own, with one row"),
    *(
        Option(name, None, "for writers")
        for name in ("rootTag", "declaration", "arrayElementName", "indent", "validateName")
    ),
    refused("rowValidationXSDPath", None, "rows are not checked against an XSD"),
    _LOCALE,
    refused("singleVariantColumn", None, "the whole record as one VARIANT"),
)

READERS: Final[dict[str, tuple[Option, ...]]] = {
    "json": JSON,
    "csv": CSV,
    "parquet": PARQUET,
    "avro": AVRO,
    "orc": ORC,
    "text": TEXT,
    "binaryfile": BINARY,
    "xml": XML,
}


def ignores_damage(options: Options) -> bool:
    """Whether damaged files are skipped; only readers of folders have that option."""
    return any(option.name == "ignoreCorruptFiles" for option in options.table) and options.flag("ignoreCorruptFiles")
