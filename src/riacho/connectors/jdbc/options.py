"""The options of Spark's JDBC source, and Spark's errors for what contradicts itself.

Source: `org.apache.spark.sql.execution.datasources.jdbc.JDBCOptions`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from riacho.conf import CASE_SENSITIVE, SESSION_TIME_ZONE
from riacho.errors import IllegalArgumentError, NumberFormatError
from riacho.options import Option, Options, refused

PREDICATES: Final = "__predicates"
"""How `spark.read.jdbc(predicates=…)` arrives: a JSON list of conditions, one for each partition."""
PREFER_NTZ: Final = "spark.sql.timestampType"
LEGACY_DATETIME: Final = "spark.sql.legacy.postgres.datetimeMapping.enabled"
CONFS: Final = (SESSION_TIME_ZONE.key, CASE_SENSITIVE.key, PREFER_NTZ, LEGACY_DATETIME)
"""The session's confs that a read or write depends on."""
_NO_KERBEROS: Final = "there is no JVM to log in with; libpq uses the tickets of the machine (kinit)"
_ALWAYS_HERE: Final = "harmless: it is computed by riacho, as Spark computes it itself for this source"

OPTIONS: Final = (
    Option("url", None, "the JDBC URL; see below which there are"),
    Option("dbtable", None, "the table; in reads anything that may stand behind FROM, such as `(SELECT …) AS t`"),
    Option("query", None, "a query to read instead of a table"),
    Option("prepareQuery", None, "text that is put before the query that is sent, such as `WITH t AS (…)`"),
    Option("driver", None, "the class of the JDBC driver: tells the kind of database, as the URL does"),
    Option("user", None, "the user; what the URL says goes before"),
    Option("password", None, "the password; what the URL says goes before. It is never shown"),
    Option("partitionColumn", None, "read in partitions by ranges of this column: numeric, DATE or TIMESTAMP"),
    Option("lowerBound", None, "where the second partition's range begins to be counted from; no filter"),
    Option("upperBound", None, "the other end of it; no filter"),
    Option("numPartitions", None, "how many partitions are read, or tasks write at most (1: one transaction)"),
    Option("queryTimeout", "0", "seconds that a statement may take; 0: no limit"),
    Option("fetchsize", "0", "harmless: rows come as a stream of Arrow batches, whatever their number"),
    Option("batchsize", "1000", "rows that are inserted together if isolationLevel is NONE; else all of a task are"),
    Option("isolationLevel", "READ_UNCOMMITTED", "of the transaction that each task writes in; NONE: no transaction"),
    Option("sessionInitStatement", None, "a statement that each connection of a read runs first"),
    Option("truncate", "false", "mode overwrite empties the table instead of making it anew"),
    Option("cascadeTruncate", "false", "with truncate: also the tables that refer to it"),
    Option("createTableOptions", "", "text that is put at the end of CREATE TABLE"),
    Option("createTableColumnTypes", None, "types of columns for CREATE TABLE, such as `name VARCHAR(64)`"),
    Option("tableComment", "", "a comment for a table that is made"),
    Option("customSchema", None, "types of columns in reads, such as `id DECIMAL(38, 0), name STRING`"),
    Option("preferTimestampNTZ", None, "TIMESTAMP WITHOUT TIME ZONE is read as TIMESTAMP_NTZ; default: the session's"),
    Option("pushDownPredicate", "true", "whether filters become part of the query that is sent"),
    Option("pushDownAggregate", "true", _ALWAYS_HERE),
    Option("pushDownLimit", "true", "whether LIMIT becomes part of the query, where no filter stands between"),
    Option("pushDownOffset", "true", _ALWAYS_HERE),
    Option("pushDownTableSample", "true", _ALWAYS_HERE),
    Option("pushDownJoin", "true", _ALWAYS_HERE),
    Option("hint", None, "refused as in Spark: neither PostgreSQL nor SQLite has hints"),
    refused("keytab", None, _NO_KERBEROS),
    refused("principal", None, _NO_KERBEROS),
    refused("refreshKrb5Config", "false", _NO_KERBEROS),
    refused("connectionProvider", None, "there are no classes of Java to log in with"),
)
"""Further options are properties of the connection, as in Spark."""

_OWN: Final = frozenset(option.name.lower() for option in OPTIONS) - {"user", "password"}
_FLAGS: Final = (
    "truncate",
    "cascadeTruncate",
    "preferTimestampNTZ",
    "refreshKrb5Config",
    "pushDownPredicate",
    "pushDownAggregate",
    "pushDownLimit",
    "pushDownOffset",
    "pushDownTableSample",
    "pushDownJoin",
)
LEVELS: Final = ("NONE", "READ_UNCOMMITTED", "READ_COMMITTED", "REPEATABLE_READ", "SERIALIZABLE")


@dataclass(frozen=True)
class JdbcOptions:
    """What a user gave, checked. Made by `read` or `written`.

    `relation`: what stands behind FROM. `properties`: what goes to the connection, besides what the URL says.
    """

    given: Options = field(repr=False)
    relation: str
    properties: Mapping[str, str] = field(repr=False)
    predicates: tuple[str, ...] = ()
    confs: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.given.text("url")

    @property
    def num_partitions(self) -> int | None:
        return _int(self.given, "numPartitions")

    @property
    def timeout_s(self) -> int:
        return _int(self.given, "queryTimeout") or 0

    @property
    def batch_rows(self) -> int:
        return _int(self.given, "batchsize") or 1

    @property
    def zone(self) -> str:
        """The session's time zone."""
        return self.confs.get(SESSION_TIME_ZONE.key, "UTC")

    @property
    def is_case_sensitive(self) -> bool:
        return self.confs.get(CASE_SENSITIVE.key, "false").lower() == "true"

    @property
    def prefers_ntz(self) -> bool:
        if self.given.is_given("preferTimestampNTZ"):
            return self.given.flag("preferTimestampNTZ")
        return self.confs.get(PREFER_NTZ, "").upper() == "TIMESTAMP_NTZ"

    @property
    def has_legacy_datetimes(self) -> bool:
        """Whether TIMESTAMP and PostgreSQL's timestamptz are mapped as Spark 3 did."""
        return self.confs.get(LEGACY_DATETIME, "false").lower() == "true"

    @cached_property
    def before_select(self) -> str:
        prefix = self.given.text("prepareQuery")
        return prefix + " " if prefix else ""

    def same(self, left: str, right: str) -> bool:
        """Whether two names of columns are the same in the session."""
        return left == right if self.is_case_sensitive else left.lower() == right.lower()


def checked(given: Mapping[str, str]) -> JdbcOptions:
    """The options of a read or a write. Raises what Spark raises."""
    lowered = {name.lower(): value for name, value in given.items()}
    confs = {name: lowered[name.lower()] for name in CONFS if name.lower() in lowered}
    own = {name: value for name, value in given.items() if name.lower() in _OWN or name.lower() in ("user", "password")}
    properties = {
        name: value
        for name, value in given.items()
        if name.lower() not in {*_OWN, PREDICATES} and not name.lower().startswith(("spark.", "__conf."))
    }
    options = Options.check("JDBC source", OPTIONS, own)
    if not options.is_given("url"):
        raise IllegalArgumentError("requirement failed: Option 'url' is required.")
    relation = _relation(options)
    _check_numbers(options)
    _check_partitioning(options)
    level = options.text("isolationLevel")
    if level not in LEVELS:
        raise _illegal(
            "2081",
            f"Invalid value `{level}` for parameter `isolationLevel`. This can be `NONE`, `READ_UNCOMMITTED`, "
            "`READ_COMMITTED`, `REPEATABLE_READ` or `SERIALIZABLE`.",
        )
    for name in _FLAGS:
        if options.is_given(name) and options.text(name).lower() not in ("true", "false"):
            raise IllegalArgumentError(f'For input string: "{options.text(name)}"')
    _check_hint(options.text("hint"))
    return JdbcOptions(options, relation, properties, tuple(json.loads(lowered.get(PREDICATES, "[]"))), confs)


def writable(options: JdbcOptions) -> str:
    """The table that a write is about. Raises IllegalArgumentError for a query."""
    if not options.given.is_given("dbtable"):
        raise IllegalArgumentError(
            "requirement failed: Option 'dbtable' is required. Option 'query' is not applicable while writing."
        )
    return options.relation


def _relation(options: Options) -> str:
    names = [name for name in ("dbtable", "query") if options.is_given(name)]
    if len(names) == 2:
        raise _illegal("2078", "Both 'dbtable' and 'query' can not be specified at the same time.")
    if not names:
        raise _illegal("2079", "Option 'dbtable' or 'query' is required.")
    text = options.text(names[0])
    if not text:
        raise _illegal("2080", f"Option `{names[0]}` can not be empty.")
    return text.strip() if names == ["dbtable"] else f"({text.rstrip().rstrip(';')}) SPARK_GEN_SUBQ_0"


def _illegal(number: str, text: str) -> IllegalArgumentError:
    """One of Spark's errors that have a number instead of a name, which messages do not show."""
    return IllegalArgumentError(text, condition=f"_LEGACY_ERROR_TEMP_{number}")


def _check_hint(hint: str) -> None:
    if not hint:
        return
    if not (hint.startswith("/*+ ") and hint.endswith(" */")):
        raise IllegalArgumentError(
            f"requirement failed: Invalid value `{hint}` for option `hint`. It should start with `/*+ ` and end with "
            "` */`."
        )
    raise IllegalArgumentError.of(
        "HINT_UNSUPPORTED_FOR_JDBC_DIALECT",
        "The option `hint` is not supported for PostgresDialect in JDBC data source. Supported dialects are "
        "`MySQLDialect`, `OracleDialect` and `DatabricksDialect`.",
        sql_state="42822",
        jdbcDialect="PostgresDialect",
    )


def _check_numbers(options: Options) -> None:
    for name in ("numPartitions", "queryTimeout", "fetchsize", "batchsize"):
        _int(options, name)
    batch = _int(options, "batchsize")
    if batch is not None and batch < 1:
        raise IllegalArgumentError(
            f"requirement failed: Invalid value `{batch}` for parameter `batchsize`. The minimum value is 1."
        )


def _check_partitioning(options: Options) -> None:
    ranged = [options.is_given(name) for name in ("partitionColumn", "lowerBound", "upperBound")]
    if any(ranged) and not (all(ranged) and options.is_given("numPartitions")):
        raise IllegalArgumentError(
            "requirement failed: When reading JDBC data sources, users need to specify all or none for the following "
            "options: 'partitionColumn', 'lowerBound', 'upperBound', and 'numPartitions'"
        )
    if options.is_given("query") and ranged[0]:
        raise IllegalArgumentError(
            "requirement failed: \nOptions 'query' and 'partitionColumn' can not be specified together.\n"
            "Please define the query using `dbtable` option instead and make sure to qualify\n"
            "the partition columns using the supplied subquery alias to resolve any ambiguity.\n"
            "Example :\n"
            'spark.read.format("jdbc")\n'
            '  .option("url", jdbcUrl)\n'
            '  .option("dbtable", "(select c1, c2 from t1) as subq")\n'
            '  .option("partitionColumn", "c1")\n'
            '  .option("lowerBound", "1")\n'
            '  .option("upperBound", "100")\n'
            '  .option("numPartitions", "3")\n'
            "  .load()\n     "
        )


def _int(options: Options, name: str) -> int | None:
    text = options.maybe(name)
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        raise NumberFormatError(f'For input string: "{text}"') from None
