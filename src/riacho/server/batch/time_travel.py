"""Delta tables as they were: which version a read means, told to the engine by its number.

The engine takes a timestamp after the last version for the last version and has words of its own for what is not there.
So `versionAsOf`, `timestampAsOf`, `path@v3`, `VERSION AS OF` and `TIMESTAMP AS OF` are looked up in the log first.
Source: `DeltaTimeTravelSpec`, `DeltaHistoryManager`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import tzinfo

from riacho.errors import AnalysisError, IllegalArgumentError, SparkError
from riacho.protos import pb
from riacho.server.catalog.moments import timestamp_ms
from riacho.server.catalog.warehouse import WarehouseCatalog
from riacho.server.delta.delta_rs import open_table, translated
from riacho.server.delta.history import last_version_until, require_version
from riacho.server.delta.log import DeltaLog
from riacho.server.delta.state import load_state
from riacho.server.engine.base import Surroundings
from riacho.server.plan.walk import transform, walk
from riacho.server.sql.references import table_references
from riacho.server.sql.tokens import Edit, Token, parse_identifier, splice, string_value, tokenize
from riacho.storage import Place, place_of

_log = logging.getLogger(__name__)

_FIRST_OUT_OF_SIGHT = 2
"""For earlier versions the engine begins with the first commit anyway."""
_PLAIN = frozenset({"timestampNtz"})
"""Features of tables whose checkpoints are as simple as ever."""
_VERSION, _TIMESTAMP = "versionasof", "timestampasof"
_CLAUSES = {"VERSION": _VERSION, "SYSTEM_VERSION": _VERSION, "TIMESTAMP": _TIMESTAMP, "SYSTEM_TIME": _TIMESTAMP}


class TimeTravel:
    """A step of the preparation of plans, for one catalog."""

    def __init__(self, catalog: WarehouseCatalog) -> None:
        self._catalog = catalog

    def step(self, relation: pb.Relation, around: Surroundings) -> pb.Relation:
        """`relation` with versions by their numbers; the same object if it asks for none otherwise.

        Raises DELTA_VERSION_NOT_FOUND, DELTA_TIMESTAMP_EARLIER_THAN_COMMIT_RETENTION,
        DELTA_TIMESTAMP_GREATER_THAN_COMMIT, DELTA_TIMESTAMP_INVALID, DELTA_TIME_TRAVEL_INVALID_BEGIN_VALUE,
        DELTA_ONEOF_IN_TIMETRAVEL.
        """
        if not any(_may_travel(node) for node in walk(relation)):
            return relation
        return transform(relation, lambda node: self._right(node, around))

    def _right(self, node: pb.Relation, around: Surroundings) -> pb.Relation:
        if not _may_travel(node):
            return node
        if node.WhichOneof("rel_type") == "sql":
            node.sql.query = self._text(node.sql.query, around)
            return node
        zone = around.session.zone.tzinfo
        if node.read.HasField("named_table"):
            named = node.read.named_table
            folder = self._folder(parse_identifier(named.unparsed_identifier), around)
            if folder is None:
                return node
            options = _resolved(DeltaLog(folder), named.options, zone)
            node.read.data_source.CopyFrom(pb.Read.DataSource(format="delta", paths=[str(folder)], options=options))
            return node
        source = node.read.data_source
        path = source.paths[0] if source.paths else _lowered(source.options).get("path", "")
        given = dict(source.options)
        if source.paths and (version := _version_in(path)) is not None and not place_of(path).exists():
            path, given = path.rpartition("@")[0], {**given, "versionAsOf": version}
            source.paths[0] = path
        log = DeltaLog(place_of(path))
        if log.exists() and _asks(given):  # if there is no table, that is what is wrong
            options = _resolved(log, given, zone)
            source.options.clear()
            source.options.update(options)
        return node

    def _text(self, text: str, around: Surroundings) -> str:
        """SQL text with `VERSION AS OF number` for each clause that asks for a version in a literal."""
        tokens = tokenize(text)
        ends = {token.end: i for i, token in enumerate(tokens)}
        edits = []
        for found in table_references(text, tokens):
            clause = None if found.streaming else _clause(tokens, ends[found.end] + 1)
            folder = None if clause is None else self._folder(found.parts, around)
            if clause is not None and folder is not None:
                kind, value, first, behind = clause
                version = _version(DeltaLog(folder), kind, value, around.session.zone.tzinfo)
                edits.append(Edit(tokens[first].start, tokens[behind].end, f"VERSION AS OF {version}"))
        return splice(text, edits) if edits else text

    def _folder(self, parts: Sequence[str], around: Surroundings) -> Place | None:
        """Where the Delta table of that name lies; None for other names."""
        if len(parts) == 1 and parts[0].lower() in around.views:
            return None
        try:
            table = self._catalog.table(self._catalog.qualify(parts, around.current_database))
        except AnalysisError:
            return None
        return None if table is None or table.format != "delta" else table.location


def _may_travel(node: pb.Relation) -> bool:
    kind = node.WhichOneof("rel_type")
    if kind == "sql":
        words = node.sql.query.upper()
        return " OF" in words and any(word in words for word in _CLAUSES)
    if kind != "read" or node.read.is_streaming:
        return False
    named = node.read.HasField("named_table")
    if not named and node.read.data_source.format.lower() != "delta":
        return False
    if not named and any(_version_in(path) is not None for path in node.read.data_source.paths):
        return True
    return _asks(node.read.named_table.options if named else node.read.data_source.options)


def _asks(options: Mapping[str, str]) -> bool:
    return any(key.lower() in {_VERSION, _TIMESTAMP} for key in options)


def _version_in(path: str) -> str | None:
    """The version in a path such as `/lake/events@v3`."""
    _, mark, version = path.rpartition("@")
    return version[1:] if mark and version[:1] in "vV" and version[1:].isdigit() else None


def _clause(tokens: Sequence[Token], at: int) -> tuple[str, str, int, int] | None:
    """`[FOR] VERSION | TIMESTAMP AS OF literal` at `at`: the kind, the literal, its first and last token."""
    first = at
    at += at < len(tokens) and tokens[at].word == "FOR"
    words = [token.word for token in tokens[at : at + 3]]
    if len(words) < 3 or words[0] not in _CLAUSES or words[1:] != ["AS", "OF"] or at + 3 >= len(tokens):
        return None
    kind, value = _CLAUSES[words[0]], tokens[at + 3]
    if value.kind == "string":
        return kind, string_value(value), first, at + 3
    return (kind, value.text, first, at + 3) if kind == _VERSION and value.kind == "number" else None


def _resolved(log: DeltaLog, options: Mapping[str, str], zone: tzinfo) -> dict[str, str]:
    """The options of a read with the version that they mean as `versionAsOf`."""
    given = _lowered(options)
    if _VERSION in given and _TIMESTAMP in given:
        raise IllegalArgumentError.of(
            "DELTA_ONEOF_IN_TIMETRAVEL",
            "Please either provide 'timestampAsOf' or 'versionAsOf' for time travel.",
            sql_state="42601",
        )
    kind = _VERSION if _VERSION in given else _TIMESTAMP
    others = {key: value for key, value in options.items() if key.lower() not in {_VERSION, _TIMESTAMP}}
    return {**others, "versionAsOf": str(_version(log, kind, given[kind], zone))}


def _version(log: DeltaLog, kind: str, value: str, zone: tzinfo) -> int:
    version = _number(log, kind, value, zone)
    make_readable(log, version)
    return version


def make_readable(log: DeltaLog, version: int) -> None:
    """Write a checkpoint of an older version if the engine needs one.

    It looks for commits from the one before `version` on if a later version has a checkpoint, and says that the first
    are missing. A checkpoint of any version may be written at any time. Where that cannot be done, or riacho writes no
    checkpoints of such tables, the engine says what it says.
    """
    latest = log.latest_checkpoint()
    if latest is None or latest.version <= version or version < _FIRST_OUT_OF_SIGHT:
        return
    near = log.latest_checkpoint(at_most=version)
    if near is None or near.version < version - 1:
        try:
            if not load_state(log).protocol.reader_features <= _PLAIN:
                return
            with translated(log.table):
                open_table(log.table, version).create_checkpoint()
        except (SparkError, OSError) as error:
            _log.warning("Could not write a checkpoint of version %d of %s: %s", version, log.table, error)


def _number(log: DeltaLog, kind: str, value: str, zone: tzinfo) -> int:
    if kind == _TIMESTAMP:
        return last_version_until(log, timestamp_ms(value, zone))
    if not value.strip().removeprefix("-").isdigit():
        raise IllegalArgumentError.of(
            "DELTA_TIME_TRAVEL_INVALID_BEGIN_VALUE",
            "versionAsOf needs to be a valid begin value.",
            sql_state="42604",
            timeTravelKey="versionAsOf",
        )
    require_version(log, int(value))
    return int(value)


def _lowered(options: Mapping[str, str]) -> dict[str, str]:
    return {key.lower(): value for key, value in options.items()}
