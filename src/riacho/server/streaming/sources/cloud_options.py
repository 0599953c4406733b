"""The options of `cloudFiles`: what is honoured, what changes nothing here, what is refused.

The names are Auto Loader's. An option without the prefix goes to the reader of the files' format.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from riacho.errors import AnalysisError, IllegalArgumentError
from riacho.options import Option, Options, refused
from riacho.server.formats.options import LISTING
from riacho.server.streaming.sources.file_options import StreamOptions
from riacho.server.streaming.sources.seen_files import AGELESS

PREFIX: Final = "cloudFiles."
CLOUD_FORMATS: Final = ("avro", "binaryFile", "csv", "json", "orc", "parquet", "text")
SELF_DESCRIBING: Final = frozenset({"avro", "binaryfile", "orc", "parquet", "text"})
"""Formats whose columns have types, whatever `inferColumnTypes` says."""
FIXED_COLUMNS: Final = frozenset({"binaryfile", "text"})
"""Formats whose columns are always the same: nothing is inferred, remembered or rescued."""


CLOUD: Final = (
    Option(
        "cloudFiles.format",
        None,
        "the format of the files: `avro`, `binaryFile`, `csv`, `json`, `orc`, `parquet` or `text`; required",
    ),
    Option(
        "cloudFiles.schemaLocation",
        None,
        "where the inferred schema and its changes are kept; required to infer, but in pipelines, which have a place",
        aliases=("schemaLocation",),
    ),
    Option(
        "cloudFiles.schemaHints",
        None,
        "types (DDL) for some columns and their fields, overriding inference",
        aliases=("schemaHints",),
    ),
    Option(
        "cloudFiles.inferColumnTypes",
        "false",
        "infer types from JSON and CSV; otherwise their columns are STRING",
        aliases=("inferColumnTypes",),
    ),
    Option(
        "cloudFiles.schemaEvolutionMode",
        None,
        "how to handle a new column: `addNewColumns` (default if no schema is given), `rescue`, `failOnNewColumns`, "
        "`none` (default if a schema is given)",
        aliases=("schemaEvolutionMode",),
    ),
    Option(
        "cloudFiles.rescuedDataColumn",
        None,
        "the column for data outside the schema; `_rescued_data` if the schema is inferred and can evolve",
        aliases=("rescuedDataColumn",),
    ),
    Option(
        "cloudFiles.partitionColumns",
        None,
        "the `k=v` folders that become columns; default: all that are found",
        aliases=("partitionColumns",),
    ),
    Option(
        "cloudFiles.includeExistingFiles",
        "true",
        "false: never read files that exist at the first start",
        aliases=("includeExistingFiles",),
    ),
    Option("cloudFiles.allowOverwrites", "false", "true: read changed files again", aliases=("allowOverwrites",)),
    Option(
        "cloudFiles.maxFilesPerTrigger",
        "1000",
        "the maximum number of new files in a batch",
        aliases=("maxFilesPerTrigger",),
    ),
    Option(
        "cloudFiles.maxBytesPerTrigger",
        None,
        "stop adding files to a batch at this size; a batch has at least one file",
        aliases=("maxBytesPerTrigger",),
    ),
    Option(
        "cloudFiles.maxFileAge",
        None,
        "forget files older than the newest file by more than this; default: never",
        aliases=("maxFileAge",),
    ),
    Option("cloudFiles.fileNamePattern", None, "only files whose name matches this glob, like `pathGlobFilter`"),
    Option("cloudFiles.validateOptions", "true", "false: unknown `cloudFiles.` options are ignored"),
    Option(
        "cloudFiles.useIncrementalListing",
        "auto",
        "`true`: in a bucket, list only what comes behind the files taken so far, and all at every eighth listing",
    ),
    Option("cloudFiles.backfillInterval", None, "accepted: every trigger checks all folders"),
    Option("cloudFiles.useStrictGlobber", "false", "accepted: globs follow Spark's rules"),
    *(
        Option(f"cloudFiles.{name}", None, "accepted: new files are found by listing, whose result is the same")
        for name in (
            "useNotifications",
            "useManagedFileEvents",
            "fetchParallelism",
            "queueUrl",
            "region",
            "pathRewrites",
        )
    ),
    refused("cloudFiles.cleanSource", "OFF", "files stay where they are"),
    refused("cloudFiles.cleanSource.retentionDuration", None, "files stay where they are"),
    refused("cloudFiles.cleanSource.moveDestination", None, "files stay where they are"),
)


_ALIASES: Final = frozenset(alias.lower() for option in CLOUD for alias in option.aliases)
"""Names of own options without the prefix."""


class EvolutionMode(Enum):
    """What happens when a file has a column that the schema lacks."""

    ADD_NEW_COLUMNS = "addNewColumns"
    RESCUE = "rescue"
    FAIL_ON_NEW_COLUMNS = "failOnNewColumns"
    NONE = "none"


@dataclass(frozen=True)
class CloudOptions:
    """The checked options of one `cloudFiles` read. `files`: those of the reader of the format, and of listing."""

    format: str
    schema_location: str | None
    schema_hints: str | None
    infer_types: bool
    mode: EvolutionMode
    rescued_column: str | None
    partition_columns: tuple[str, ...] | None
    include_existing: bool
    allow_overwrites: bool
    name_pattern: str | None
    incremental: bool
    stream: StreamOptions
    files: Options

    @classmethod
    def of(
        cls, given: Mapping[str, str], reader_table: Mapping[str, tuple[Option, ...]], *, has_schema: bool
    ) -> CloudOptions:
        """Raises IllegalArgumentError, or UnsupportedOperationError for what riacho does not do.

        `reader_table`: the option tables of the formats. `has_schema`: the user gave a schema.
        """
        own = {name: value for name, value in given.items() if _is_own(name)}
        _refuse_unknown(own)
        options = Options.check("cloudFiles source", CLOUD, own)
        form = options.text("cloudFiles.format").lower()
        if form not in {name.lower() for name in CLOUD_FORMATS}:
            raise IllegalArgumentError(
                f"The option cloudFiles.format = {options.text('cloudFiles.format')!r} must name the format of the "
                f"files, one of {', '.join(CLOUD_FORMATS)}."
            )
        mode = EvolutionMode.NONE if form in FIXED_COLUMNS else _mode(options, has_schema=has_schema)
        rescued = None if form in FIXED_COLUMNS else options.maybe("cloudFiles.rescuedDataColumn")
        if rescued is None and not has_schema and mode is not EvolutionMode.NONE:
            rescued = "_rescued_data"
        columns = options.maybe("cloudFiles.partitionColumns")
        files = {name: value for name, value in given.items() if not _is_own(name)}
        if form == "csv" and not has_schema and "header" not in {name.lower() for name in files}:
            files["header"] = "true"  # what Databricks assumes where it infers the schema
        return cls(
            form,
            options.maybe("cloudFiles.schemaLocation"),
            options.maybe("cloudFiles.schemaHints"),
            options.flag("cloudFiles.inferColumnTypes"),
            mode,
            rescued,
            None if columns is None else tuple(name.strip() for name in columns.split(",") if name.strip()),
            options.flag("cloudFiles.includeExistingFiles"),
            options.flag("cloudFiles.allowOverwrites"),
            options.maybe("cloudFiles.fileNamePattern"),
            options.text("cloudFiles.useIncrementalListing").lower() == "true",
            _limits(options),
            Options.check(f"{form} reader of cloudFiles", (*reader_table[form], *LISTING), files),
        )


def _is_own(name: str) -> bool:
    return name.lower().startswith(PREFIX.lower()) or name.lower() in _ALIASES


def _refuse_unknown(own: Mapping[str, str]) -> None:
    known = {name.lower() for option in CLOUD for name in (option.name, *option.aliases)}
    validate = {name.lower(): value for name, value in own.items()}.get("cloudfiles.validateoptions", "true")
    unknown = [name for name in own if name.lower() not in known]
    if unknown and validate.lower() == "true":
        raise AnalysisError.of(
            "CF_UNKNOWN_OPTION_KEYS_ERROR",
            f"Found unknown option keys: {', '.join(sorted(unknown))}. Please make sure that all provided option keys "
            "are correct. If you want to skip the validation of your options and ignore these unknown options, you can "
            'set: .option("cloudFiles.validateOptions", "false")',
            sql_state="42616",
            optionList=", ".join(sorted(unknown)),
        )


def _mode(options: Options, *, has_schema: bool) -> EvolutionMode:
    text = options.maybe("cloudFiles.schemaEvolutionMode")
    if text is None:
        return EvolutionMode.NONE if has_schema else EvolutionMode.ADD_NEW_COLUMNS
    mode = next((mode for mode in EvolutionMode if mode.value.lower() == text.lower()), None)
    if mode is None:
        raise IllegalArgumentError(
            f"The option cloudFiles.schemaEvolutionMode = {text!r} must be one of "
            f"{', '.join(mode.value for mode in EvolutionMode)}."
        )
    if has_schema and mode is EvolutionMode.ADD_NEW_COLUMNS:
        raise AnalysisError.of(
            "CF_ADD_NEW_NOT_SUPPORTED",
            "Schema evolution mode addNewColumns is not supported when the schema is specified. To use this mode, you "
            "can provide the schema through cloudFiles.schemaHints instead.",
            sql_state="0A000",
        )
    return mode


def _limits(options: Options) -> StreamOptions:
    age_ms = options.duration_ms("cloudFiles.maxFileAge")
    return StreamOptions(
        max_files=options.positive("cloudFiles.maxFilesPerTrigger"),
        max_bytes=options.size_bytes("cloudFiles.maxBytesPerTrigger"),
        max_age_ms=AGELESS if age_ms is None else age_ms,
        latest_first=False,
        name_only=False,
        max_cached=10_000,
        discard_ratio=0.2,
    )
