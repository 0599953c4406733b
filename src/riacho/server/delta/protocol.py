"""Which tables riacho reads and writes itself, and what protocol a new table asks of others.

Source: "Table Features" and "Valid Feature Names" in Delta's PROTOCOL.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

import pyarrow as pa

from riacho import __version__
from riacho.errors import UnsupportedOperationError
from riacho.server.delta.actions import Metadata, Protocol
from riacho.server.delta.schema import has_column_metadata
from riacho.storage import Place

CHANGE_FEED = "delta.enableChangeDataFeed"
APPEND_ONLY = "delta.appendOnly"
DELETION_VECTORS = "delta.enableDeletionVectors"
_COLUMN_MAPPING = "delta.columnMapping.mode"
_CONSTRAINT = "delta.constraints."
_FEATURE = "delta.feature."
_UNSUPPORTED_PROPERTIES = {
    _COLUMN_MAPPING: "none",
    "delta.enableRowTracking": "false",
    "delta.enableInCommitTimestamps": "false",
    "delta.enableIcebergCompatV1": "false",
    "delta.enableIcebergCompatV2": "false",
    "delta.checkpointPolicy": "classic",
}
"""Properties that ask for more than riacho writes, with the value that asks for nothing."""

_READABLE = frozenset(
    {
        "timestampNtz",
        "deletionVectors",
        "vacuumProtocolCheck",
        "v2Checkpoint",
        "columnMapping",  # as long as no column is mapped
        "typeWidening",
        "typeWidening-preview",
    }
)
# A feature may be listed and not be in use. Those in use need more of an append than the files: see `append_route`.
_APPENDABLE = _READABLE | {
    "appendOnly",
    "invariants",
    "checkConstraints",
    "changeDataFeed",
    "generatedColumns",
    "identityColumns",
    "allowColumnDefaults",
    "domainMetadata",
    "clustering",
}


class AppendRoute(Enum):
    """How rows get into a table."""

    DIRECT = auto()
    """The files are written by the engine, which checks the rows (see `rules`), and committed by us."""
    COMPUTED = auto()
    """The engine computes generated columns, and we write the files."""


def enabled(configuration: Mapping[str, str], key: str) -> bool:
    """Whether a table property is set to true."""
    return configuration.get(key, "false").lower() == "true"


def require_readable(table: Place, protocol: Protocol, metadata: Metadata) -> None:
    """Raises DELTA_UNSUPPORTED_FEATURES_FOR_READ for a table whose files do not mean what they seem to."""
    unknown = protocol.reader_features - _READABLE if protocol.min_reader >= 3 else frozenset()
    if metadata.configuration.get(_COLUMN_MAPPING, "none") != "none":
        unknown |= {"columnMapping"}
    if unknown:
        raise _unsupported("READ", "reader", table, unknown)


def append_route(table: Place, protocol: Protocol, metadata: Metadata) -> AppendRoute:
    """How to append to a table. Raises DELTA_UNSUPPORTED_FEATURES_FOR_WRITE if we may not."""
    unknown = protocol.writer_features - _APPENDABLE if protocol.min_writer >= 7 else frozenset()
    if metadata.configuration.get(_COLUMN_MAPPING, "none") != "none":
        unknown |= {"columnMapping"}
    if has_column_metadata(metadata.schema_json, "delta.identity"):
        unknown |= {"identityColumns"}
    if unknown:
        raise _unsupported("WRITE", "writer", table, unknown)
    if has_column_metadata(metadata.schema_json, "delta.generationExpression"):
        return AppendRoute.COMPUTED
    return AppendRoute.DIRECT


def protocol_for(schema: pa.Schema, configuration: Mapping[str, str]) -> Protocol:
    """The least protocol that a new table of this schema and these properties needs, as Delta on Spark chooses it.

    Raises DELTA_UNSUPPORTED_FEATURES_IN_CONFIG for properties that ask for what riacho cannot keep up.
    """
    _require_supported(configuration)
    features = set(_LEGACY_WRITER_FEATURES[2])
    if enabled(configuration, CHANGE_FEED):
        features.add("changeDataFeed")
    if any(key.startswith(_CONSTRAINT) for key in configuration):
        features.add("checkConstraints")
    readers: set[str] = set()
    if _holds_ntz(pa.struct(list(schema))):
        readers.add("timestampNtz")
    if enabled(configuration, DELETION_VECTORS):
        readers.add("deletionVectors")
    if readers:
        return Protocol(3, 7, frozenset(readers), frozenset(features | readers))
    if len(features) > len(_LEGACY_WRITER_FEATURES[2]):
        return Protocol(1, 7, writer_features=frozenset(features))
    return Protocol(1, 2)


def _require_supported(configuration: Mapping[str, str]) -> None:
    asked = [key for key, off in _UNSUPPORTED_PROPERTIES.items() if configuration.get(key, off).lower() != off]
    asked += [
        key for key in configuration if key.startswith(_FEATURE) and key.removeprefix(_FEATURE) not in _APPENDABLE
    ]
    if asked:
        names = ", ".join(f"{key}={configuration[key]}" for key in asked)
        raise UnsupportedOperationError.of(
            "DELTA_UNSUPPORTED_FEATURES_IN_CONFIG",
            f"Table features configured in the following properties are not supported by riacho: {names}. "
            "Leave them out.",
            sql_state="56038",
            configs=names,
        )


def upgraded(current: Protocol, needed: Protocol) -> Protocol:
    """`current` with what `needed` adds; the same value if that is nothing."""
    if needed.min_writer < 7:
        return current if current.min_writer >= needed.min_writer else needed
    readers = _reader_features(current) | needed.reader_features
    writers = _writer_features(current) | needed.writer_features
    if current.min_writer >= 7 and readers == current.reader_features and writers == current.writer_features:
        return current
    return Protocol(3 if readers else max(current.min_reader, needed.min_reader), 7, readers, writers)


def _reader_features(protocol: Protocol) -> frozenset[str]:
    if protocol.min_reader >= 3:
        return protocol.reader_features
    return frozenset({"columnMapping"}) if protocol.min_reader == 2 else frozenset()


_LEGACY_WRITER_FEATURES = {
    2: ("appendOnly", "invariants"),
    3: ("checkConstraints",),
    4: ("changeDataFeed", "generatedColumns"),
    5: ("columnMapping",),
    6: ("identityColumns",),
}


def _writer_features(protocol: Protocol) -> frozenset[str]:
    """The features that a protocol stands for; before version 7 each version implied some."""
    if protocol.min_writer >= 7:
        return protocol.writer_features
    implied = (names for version, names in _LEGACY_WRITER_FEATURES.items() if version <= protocol.min_writer)
    return frozenset(name for names in implied for name in names)


def _holds_ntz(arrow: pa.DataType) -> bool:
    if pa.types.is_timestamp(arrow):
        return arrow.tz is None
    return any(_holds_ntz(arrow.field(index).type) for index in range(arrow.num_fields))


def _unsupported(what: str, role: str, table: Place, features: frozenset[str]) -> UnsupportedOperationError:
    names = ", ".join(sorted(features))
    return UnsupportedOperationError.of(
        f"DELTA_UNSUPPORTED_FEATURES_FOR_{what}",
        f'Unsupported Delta {what.lower()} feature: table "{table}" requires {role} table feature(s) that are '
        f'unsupported by riacho "{__version__}": {names}.',
        sql_state="56038",
        tableNameOrPath=str(table),
        unsupported=names,
    )
