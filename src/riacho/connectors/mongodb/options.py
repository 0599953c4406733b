"""The options of MongoDB's connector: three places to give each, and which of them counts.

An option `x` may be `x`, `spark.mongodb.x`, or `spark.mongodb.read.x` and `spark.mongodb.write.x`, each stronger than
the one before where both are given; confs of the session are weaker than all options. A database and a collection in
the connection string are those of its level, unless that level names them itself.
Source: `com.mongodb.spark.sql.connector.config.{AbstractMongoConfig,ReadConfig,WriteConfig}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import unquote, urlsplit

from riacho.connectors import bad_records
from riacho.connectors.mongodb.collections import Collections
from riacho.errors import IllegalArgumentError
from riacho.options import Option, Options, refused

Usage = Literal["read", "write"]

PREFIX: Final = "spark.mongodb."
CONF: Final = "__conf."
"""Before what is a conf of the session and no option."""
_PREFIXES: Final[Mapping[Usage, tuple[str, str]]] = {
    "read": (f"{PREFIX}read.", f"{PREFIX}input."),
    "write": (f"{PREFIX}write.", f"{PREFIX}output."),
}
"""The second of each is that of the connector's old versions."""
DEFAULT_URI: Final = "mongodb://localhost:27017/"
PARTITIONERS: Final = "com.mongodb.spark.sql.connector.read.partitioner."

_CONNECTION: Final = (
    Option(
        "connection.uri",
        DEFAULT_URI,
        "where the servers are, as a connection string; may name the database and the collection (`/db.coll`)",
        ("uri",),
    ),
    Option("database", None, "the database"),
    Option("collection", None, "the collection; for streams also several (`a,b`) or all (`*`)"),
    Option("comment", None, "a comment for the server's profiler"),
    refused("mongoClientFactory", None, "it names a Java class"),
)
_HINT = "fields whose types are known, as DDL or JSON; the others are inferred; `` `a.b` `` is a nested one"
READ: Final = (
    *_CONNECTION,
    Option("sampleSize", "1000", "how many documents of a collection the schema is inferred from"),
    Option("schemaHints", None, _HINT),
    Option("sql.inferSchema.mapTypes.enabled", "true", "infer large documents as maps"),
    Option("sql.inferSchema.mapTypes.minimum.key.size", "250", "how many fields make a document large"),
    Option("aggregation.pipeline", None, "stages that the server applies first, as extended JSON: one or a list"),
    Option("aggregation.allowDiskUse", "true", "let the server use its disk for them"),
    Option("outputExtendedJson", "false", "write what has no type of Spark's own as extended JSON in text columns"),
    Option("mode", "FAILFAST", "documents that do not fit the schema: `FAILFAST`, `PERMISSIVE` or `DROPMALFORMED`"),
    Option("columnNameOfCorruptRecord", None, "with `PERMISSIVE`: a text column for the document that did not fit"),
    Option(
        "partitioner",
        f"{PARTITIONERS}AutoBucketPartitioner",
        "how a collection is cut up: `SinglePartitionPartitioner`, or any other of the connector's, which all mean "
        "ranges of `_id` here",
    ),
    Option(
        "partitioner.options.partition.size", "64", "megabytes of a range", ("partitioner.options.partition.chunkSize",)
    ),
    Option("partitioner.options.max.number.of.partitions", None, "no more ranges than that"),
    Option("partitioner.options.samples.per.partition", "10", "how many documents are looked at for each range"),
    Option("partitioner.options.*", None, "the others do not matter: it is always cut by `_id`"),
    Option("change.stream.publish.full.document.only", "false", "a stream of documents instead of events"),
    Option(
        "change.stream.lookup.full.document",
        "default",
        "the document in an update's event: `default`, `updateLookup`, `whenAvailable` or `required`",
    ),
    Option(
        "change.stream.lookup.full.document.before.change",
        "default",
        "the document before the change: `default`, `off`, `whenAvailable` or `required`",
    ),
    Option("change.stream.startup.mode", "latest", "where a new stream begins: `latest` or `timestamp`"),
    Option(
        "change.stream.startup.mode.timestamp.start.at.operation.time",
        "-1",
        "for `timestamp`: seconds since 1970, an instant in ISO 8601, or a BSON timestamp in extended JSON",
        ("change.stream.startup.mode.timestamp.startAtOperationTime",),
    ),
    Option(
        "change.stream.micro.batch.max.partition.count",
        "1",
        "accepted; a batch is one partition, in the order of events",
    ),
    Option("change.stream.micro.batch.max.rows", None, "no more events than that in a batch"),
    Option("forceDeleteTempCheckpointLocation", None, "Spark's, for a sink; it does not matter here"),
    *bad_records.OPTIONS,
)
WRITE: Final = (
    *_CONNECTION,
    Option("operationType", "replace", "`insert`, `replace` or `update`"),
    Option("idFieldList", "_id", "the fields by which a document is known, with commas between"),
    Option("upsertDocument", "true", "`replace` and `update` insert what is not there"),
    Option("ordered", "true", "stop at the first document that is refused"),
    Option("maxBatchSize", "512", "how many documents are sent at a time"),
    Option("convertJson", "false", "read text as extended JSON: `any`, `objectOrArrayOnly` or `false`"),
    Option("ignoreNullValues", "false", "leave fields out that are null, in arrays and nested documents too"),
    Option("ignoreDuplicatesOnInsert", "false", "with `insert` and not `ordered`: pass over documents that are there"),
    Option("truncateMode", "drop", "`overwrite`: `drop` the collection, or `truncate`, which keeps its indexes"),
    Option("writeConcern.w", None, "how many servers must have the write, or `majority`"),
    Option("writeConcern.journal", None, "whether it must be in the journal"),
    Option("writeConcern.wTimeoutMS", None, "how long to wait for that"),
    Option("checkpointLocation", None, "Spark's, for a stream"),
    Option("forceDeleteTempCheckpointLocation", None, "Spark's; it does not matter here"),
)


@dataclass(frozen=True)
class MongoOptions:
    """What a read or a write asks for. `options`: all of it, checked against the table; `given`: as it came."""

    options: Options
    given: Mapping[str, str]

    @classmethod
    def read(cls, given: Mapping[str, str]) -> MongoOptions:
        """Raises IllegalArgumentError, UnsupportedOperationError."""
        return cls(Options.check("MongoDB source", READ, resolved(given, "read")), dict(given))

    @classmethod
    def write(cls, given: Mapping[str, str]) -> MongoOptions:
        """Raises IllegalArgumentError, UnsupportedOperationError."""
        return cls(Options.check("MongoDB sink", WRITE, resolved(given, "write")), dict(given))

    @property
    def uri(self) -> str:
        return self.options.text("connection.uri")

    @property
    def database(self) -> str:
        """Raises IllegalArgumentError if there is none."""
        return self._needed("database")

    @property
    def collections(self) -> Collections:
        """Raises IllegalArgumentError if there is none."""
        return Collections.parse(self._needed("collection"))

    @property
    def comment(self) -> str | None:
        return self.options.maybe("comment")

    def collection(self, context: str) -> str:
        """The one collection. `context`: where several are not allowed, as "by batch queries"."""
        found = self.collections
        if found.single is None:
            raise IllegalArgumentError(
                f"The connector is configured to access {self.database}.{found.shown}, which is not supported {context}"
            )
        return found.single

    def choice(self, name: str, what: str, *choices: str) -> str:
        """One of several words, in any case. Raises IllegalArgumentError; `what`: what it is, as the connector says."""
        value = self.options.text(name)
        for one in choices:
            if value.lower() == one.lower():
                return one
        raise IllegalArgumentError(f"'{value}' is not a valid {what}")

    def pipeline(self) -> list[dict[str, Any]]:
        """The user's stages. Raises IllegalArgumentError for text that is no stage and no list of stages."""
        text = self.options.text("aggregation.pipeline")
        if not text.strip():
            return []
        stages = from_extended_json(text, "aggregation.pipeline")
        stages = [stages] if isinstance(stages, dict) else stages
        if not isinstance(stages, list) or not all(isinstance(stage, dict) and len(stage) == 1 for stage in stages):
            raise IllegalArgumentError(
                f"Invalid aggregation pipeline: {text} (give a stage such as {{$match: {{a: 1}}}}, or a list of them)"
            )
        return stages

    def _needed(self, name: str) -> str:
        value = self.options.maybe(name)
        if not value:
            raise IllegalArgumentError(f"Missing configuration for: {name}")
        return value


def from_extended_json(text: str, name: str) -> Any:
    """What extended JSON means. Raises IllegalArgumentError that names the option."""
    from riacho.connectors.mongodb.extended_json import parse

    try:
        return parse(text)
    except Exception as error:  # noqa: BLE001 - many kinds, all of them about the text
        raise IllegalArgumentError(f"The option {name} is not extended JSON: {text!r} ({error})") from None


def resolved(given: Mapping[str, str], usage: Usage) -> dict[str, str]:
    """The options without their prefixes, each from the place that counts; in lower case."""
    confs = {key[len(CONF) :]: value for key, value in given.items() if key.startswith(CONF)}
    # Confs are there under their own names too, for connectors that need not tell them from options.
    own = {key: value for key, value in given.items() if not key.startswith(CONF) and confs.get(key) != value}
    return {**_of_usage(confs, usage), **_of_usage(own, usage)}


def _of_usage(given: Mapping[str, str], usage: Usage) -> dict[str, str]:
    mine, others = _PREFIXES[usage], _PREFIXES["write" if usage == "read" else "read"]
    general: dict[str, str] = {}
    plain: dict[str, str] = {}
    special: dict[str, str] = {}
    for key, value in given.items():
        name = key.lower()
        if name.startswith(mine):
            special[name.removeprefix(mine[0]).removeprefix(mine[1])] = value
        elif name.startswith(PREFIX):
            if not name.startswith(others):
                general[name[len(PREFIX) :]] = value
        elif not name.startswith(("spark.", "__")):
            plain[name] = value
    specific = {**plain, **special}
    return {**_from_uri(general), **general, **_from_uri(specific), **specific}


def _from_uri(level: Mapping[str, str]) -> dict[str, str]:
    """The database and the collection that a level's connection string names."""
    uri = level.get("connection.uri") or level.get("uri")
    if not uri:
        return {}
    try:
        path = urlsplit(uri).path.lstrip("/")
    except ValueError:
        return {}  # what is wrong with it is told when it is used
    database, _, collection = unquote(path).partition(".")
    found = {"database": database, "collection": collection}
    return {name: value for name, value in found.items() if value}
