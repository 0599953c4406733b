"""The head of each statement of a SQL definition file, parsed; queries are kept as text.

The grammar is Spark 4.2's `createPipelineDatasetHeader`, `createView`, `createPipelineFlow`, SET and USE. Statements
that Spark parses and then refuses get Spark's refusal. Lakeflow's `OR REFRESH`, `PRIVATE`, `TEMPORARY`, `CLUSTER BY`
`INSERT INTO ONCE` and AUTO CDC are read besides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from riacho.errors import AnalysisError, SparkGeneralError
from riacho.server.graph import expectations, failures
from riacho.server.graph.cdc.definition import AutoCdc
from riacho.server.graph.elements import TableKind
from riacho.server.graph.names import Identifier
from riacho.server.graph.sql.changes import auto_cdc
from riacho.server.sql.cursor import Cursor
from riacho.server.sql.errors import not_allowed, qualified_temporary, refused, temporary_if_not_exists
from riacho.server.sql.plan_names import plan_name
from riacho.server.sql.references import table_references
from riacho.server.sql.scripts import Statement
from riacho.server.sql.words import DATABASE_WORDS, IN_BRACKETS
from riacho.server.streaming.quality import Expectation, Violation


@dataclass(frozen=True)
class SetConf:
    """`SET key = value`: a conf for the flows defined after it in the same file."""

    key: str
    value: str


@dataclass(frozen=True)
class UseDatabase:
    """`USE {DATABASE|SCHEMA|NAMESPACE} [catalog.]database`, for the rest of the file."""

    name: Identifier


@dataclass(frozen=True)
class SetCatalog:
    """`SET CATALOG catalog`, for the rest of the file; no database is current after it."""

    catalog: str


@dataclass(frozen=True)
class CreatePipelineDataset:
    """`CREATE {STREAMING TABLE | MATERIALIZED VIEW}`. `columns` is DDL text."""

    kind: TableKind
    name: Identifier
    columns: str | None = None
    format: str | None = None
    partition_by: tuple[str, ...] = ()
    cluster_by: tuple[str, ...] = ()
    comment: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    query: str | None = None
    expectations: tuple[Expectation, ...] = ()
    changes: AutoCdc | None = None


@dataclass(frozen=True)
class CreatePipelineView:
    """`CREATE [TEMPORARY] VIEW`."""

    name: Identifier
    temporary: bool
    query: str
    comment: str | None = None
    expectations: tuple[Expectation, ...] = ()


@dataclass(frozen=True)
class CreateFlow:
    """`CREATE FLOW name AS INSERT INTO [ONCE] target BY NAME query`."""

    name: Identifier
    target: Identifier
    query: str
    once: bool = False


@dataclass(frozen=True)
class CreateCdcFlow:
    """`CREATE FLOW name AS AUTO CDC [ONCE] INTO target FROM …`, and `APPLY CHANGES INTO`, which names no flow."""

    name: Identifier | None
    target: Identifier
    changes: AutoCdc


Parsed = SetConf | UseDatabase | SetCatalog | CreatePipelineDataset | CreatePipelineView | CreateFlow | CreateCdcFlow

_STREAMING_TABLE = "CREATE STREAMING TABLE"
_MATERIALIZED_VIEW = "CREATE MATERIALIZED VIEW"
_PRIVATE = ("PRIVATE", "TEMPORARY", "TEMP")
_ON_VIOLATION = (
    (("DROP", "ROW"), Violation.DROP),
    (("FAIL", "UPDATE"), Violation.FAIL),
    (("QUARANTINE", "ROW"), Violation.QUARANTINE),
)
_CONSTRAINT_KINDS = frozenset({"PRIMARY", "FOREIGN", "UNIQUE", "CHECK"})
_REFUSED_CLAUSES = {
    "OPTIONS": "Options are not supported for {} statements. Please remove any OPTIONS lists specified in the "
    "statement",
    "CLUSTERED": "Bucketing is not supported for {} statements. Please remove any bucket spec specified in the "
    "statement",
    "LOCATION": "Specifying location is not supported for {} statements. The storage location for a pipeline dataset "
    "is managed by the pipeline itself",
    "STORED": "The STORED AS syntax is not supported for {} statements. Consider using the Data Source based USING "
    "clause instead",
    "ROW": "Hive SerDe format options are not supported for {} statements",
    "SCHEDULE": "SCHEDULE is not supported for {} statements: a pipeline runs when it is run. Let cron or the like "
    "call `riacho run`, or keep it running with `riacho run --continuous`",
    "TRIGGER": "TRIGGER is not supported for {} statements: a pipeline runs when it is run. Let cron or the like call "
    "`riacho run`, or keep it running with `riacho run --continuous`",
    "WITH": "Row filters are not supported for {} statements. Write the condition into the query",
}


def parse(statement: Statement, *, file: str) -> Parsed:
    """The parsed head of `statement`; `file` is for error messages.

    Raises ParseError for a wrong syntax, PIPELINE_SQL_GRAPH_ELEMENT_REGISTRATION_ERROR for what has no place in a
    definition file.
    """
    return _Parser(statement, file).parse()


class _Parser:
    """The rules, over a cursor at one statement."""

    def __init__(self, statement: Statement, file: str) -> None:
        self._statement = statement
        self._file = file
        self._cursor = Cursor(statement.text, statement.tokens)

    def parse(self) -> Parsed:
        cursor = self._cursor
        match cursor.word:
            case "SET":
                return self._set()
            case "USE" if cursor.word_ahead(1) in DATABASE_WORDS:
                cursor.expect("USE")
                cursor.accept_any(*DATABASE_WORDS)
                name = self._identifier()
                cursor.expect_end()
                return UseDatabase(name)
            case "CREATE":
                return self._create()
            case "APPLY" if cursor.accept("APPLY", "CHANGES", "INTO"):
                return CreateCdcFlow(None, self._identifier(), auto_cdc(cursor))
            case _:
                raise self._unsupported()

    def _set(self) -> Parsed:
        cursor = self._cursor
        cursor.expect("SET")
        if cursor.accept("CATALOG"):
            catalog = cursor.string() if cursor.at_kind("string") else cursor.identifier()
            cursor.expect_end()
            return SetCatalog(catalog)
        if cursor.done:
            raise SparkGeneralError("Invalid SET command without key-value pair")
        key, equals, value = cursor.rest().partition("=")
        if not equals:
            raise SparkGeneralError(f"Invalid SET command without value: SET {key.strip()}")
        return SetConf(key.strip(), value.strip())

    def _create(self) -> Parsed:
        cursor = self._cursor
        cursor.expect("CREATE")
        refresh = cursor.accept("OR", "REFRESH")
        dataset = 1 if cursor.word in _PRIVATE else 0
        if cursor.word_ahead(dataset) in ("STREAMING", "MATERIALIZED"):
            if dataset:  # riacho's only catalog shows it all the same
                cursor.accept_any(*_PRIVATE)
            if cursor.accept("STREAMING"):
                cursor.expect("TABLE", then="name")
                return self._table(TableKind.STREAMING_TABLE, _STREAMING_TABLE)
            cursor.expect("MATERIALIZED")
            cursor.expect("VIEW", then="name")
            return self._table(TableKind.MATERIALIZED_VIEW, _MATERIALIZED_VIEW)
        if refresh:
            raise cursor.error()
        if cursor.accept("FLOW"):
            return self._flow()
        if cursor.accept("OR"):
            cursor.expect("REPLACE")
            if cursor.word in ("STREAMING", "MATERIALIZED", "FLOW"):
                raise cursor.error()
        cursor.accept("GLOBAL")
        temporary = bool(cursor.accept_any("TEMPORARY", "TEMP"))
        if cursor.accept("VIEW"):
            return self._view(temporary)
        raise self._unsupported()

    def _table(self, kind: TableKind, statement: str) -> CreatePipelineDataset:
        cursor = self._cursor
        cursor.accept("IF", "NOT", "EXISTS")
        name = self._identifier()
        columns, rules = self._columns() if cursor.looking_at_symbol("(") else (None, ())
        clauses = self._clauses(statement)
        query = None
        changes = None
        if cursor.accept("AS"):
            query = self._query()
        elif kind is TableKind.STREAMING_TABLE and cursor.accept("FLOW", "AUTO", "CDC"):
            changes = auto_cdc(cursor, once=cursor.accept("ONCE"))
        else:
            cursor.expect_end()
            if kind is TableKind.MATERIALIZED_VIEW:
                raise not_allowed(cursor.text, f"Unable to find query for {statement} statement")
        return CreatePipelineDataset(
            kind=kind,
            name=name,
            columns=columns,
            format=clauses.format,
            partition_by=clauses.partition_by,
            cluster_by=clauses.cluster_by,
            comment=clauses.comment,
            properties=clauses.properties,
            query=query,
            expectations=rules,
            changes=changes,
        )

    def _columns(self) -> tuple[str | None, tuple[Expectation, ...]]:
        """The text of the columns in the list, None if there are none, and the rules in it."""
        columns: list[str] = []
        rules: list[Expectation] = []
        for column in self._cursor.brackets():
            if column.accept("CONSTRAINT"):
                name = column.identifier()
                if column.accept("EXPECT"):
                    rules.append(self._expectation(name, column))
                    continue
                if column.word not in _CONSTRAINT_KINDS:
                    raise column.error()
            if column.word in _CONSTRAINT_KINDS:
                raise not_allowed(
                    self._statement.text,
                    "Pipeline datasets do not currently support column constraints. Please remove any CHECK, UNIQUE, "
                    "PK, and FK constraints specified on the pipeline dataset",
                )
            columns.append(column.rest())
        return ", ".join(columns) or None, tuple(rules)

    @staticmethod
    def _expectation(name: str, constraint: Cursor) -> Expectation:
        """`(condition) [ON VIOLATION …]`."""
        if not constraint.looking_at_symbol("("):
            raise constraint.missing("(")
        condition = constraint.bracketed_text()
        violation = Violation.WARN
        if constraint.accept("ON"):
            constraint.expect("VIOLATION")
            for words, violation in _ON_VIOLATION:  # noqa: B007 - which one it was is what counts
                if constraint.accept(*words):
                    break
            else:
                raise constraint.error()
        constraint.expect_end()
        return expectations.from_text(name, condition, violation)

    def _clauses(self, statement: str) -> _Clauses:
        cursor = self._cursor
        clauses = _Clauses()
        seen: set[str] = set()
        while (keyword := cursor.word) not in ("", "AS") and not self._at_changes:
            if keyword in _REFUSED_CLAUSES:
                raise not_allowed(cursor.text, _REFUSED_CLAUSES[keyword].format(statement))
            if keyword in seen:
                raise refused(
                    cursor.text,
                    "DUPLICATE_CLAUSES",
                    f"Found duplicate clauses: {keyword}. Please, remove one of them.",
                    sql_state="42614",
                    clauseName=keyword,
                )
            seen.add(keyword)
            if cursor.accept("USING"):
                clauses.format = str(self._identifier())
            elif cursor.accept("COMMENT"):
                clauses.comment = cursor.string()
            elif cursor.accept("TBLPROPERTIES"):
                clauses.properties = cursor.properties()
            elif cursor.accept("PARTITIONED"):
                cursor.expect("BY", then="bracket")
                clauses.partition_by = tuple(self._partition(part) for part in cursor.brackets())
            elif cursor.accept("CLUSTER", "BY"):
                if not cursor.accept("AUTO"):
                    clauses.cluster_by = tuple(part.rest() for part in cursor.brackets())
            else:
                cursor.expect_end()
        return clauses

    @property
    def _at_changes(self) -> bool:
        """Whether the clauses of a table are over and those of its AUTO CDC flow come."""
        cursor = self._cursor
        return (cursor.word, cursor.word_ahead(1), cursor.word_ahead(2)) == ("FLOW", "AUTO", "CDC")

    def _partition(self, part: Cursor) -> str:
        """The column that a part names. `PARTITIONED BY (a INT)` declares it as well; Spark takes the name only."""
        text = part.text_ahead()
        parts = part.name()
        if part.looking_at_symbol("("):
            raise self._refuse(f"Invalid partitioning transform ({text})")
        if len(parts) > 1:
            raise self._refuse("Multipart partition identifier not allowed.")
        return parts[0]

    def _view(self, temporary: bool) -> CreatePipelineView:
        cursor = self._cursor
        if cursor.accept("IF", "NOT", "EXISTS") and temporary:
            raise temporary_if_not_exists(cursor.text)
        name = self._identifier()
        if temporary and not name.is_single:
            raise qualified_temporary(Identifier(name.parts[-1:]).quoted, Identifier(name.qualifier).quoted)
        rules: tuple[Expectation, ...] = ()
        if cursor.looking_at_symbol("("):
            _, rules = self._columns()  # column names of a view; Spark ignores them in a pipeline
        comment = None
        while keyword := cursor.accept_any("COMMENT", "TBLPROPERTIES"):
            if keyword == "COMMENT":
                comment = cursor.string()
            else:
                cursor.properties()
        cursor.expect("AS")
        return CreatePipelineView(name, temporary, self._query(), comment, rules)

    def _flow(self) -> CreateFlow | CreateCdcFlow:
        cursor = self._cursor
        name = self._identifier()
        if cursor.accept("COMMENT"):
            cursor.string()
        cursor.expect("AS")
        if cursor.accept("AUTO", "CDC"):
            once = cursor.accept("ONCE")
            cursor.expect("INTO", then="name")
            return CreateCdcFlow(name, self._identifier(), auto_cdc(cursor, once=once))
        cursor.expect("INSERT")
        if cursor.accept("OVERWRITE"):
            raise self._refuse("INSERT OVERWRITE flows not supported.")
        cursor.expect("INTO")
        once = cursor.word == "ONCE" and cursor.word_ahead(1) not in ("", "BY")
        if once:
            cursor.expect("ONCE")
        cursor.accept("TABLE")
        target = self._identifier()
        if cursor.word == "PARTITION":
            raise self._refuse("Partition spec may not be specified for flow target.")
        if cursor.accept("IF", "NOT", "EXISTS"):
            raise self._refuse("IF NOT EXISTS not supported for flows.")
        by_name = cursor.accept("BY", "NAME")
        if cursor.looking_at_symbol("(") and not cursor.bracket_holds(IN_BRACKETS):
            raise self._refuse("Column schema may not be specified for flow target.")
        query = self._query()
        if not by_name:
            raise self._refuse("Only INSERT INTO by name flows supported.")
        return CreateFlow(name, target, query, once)

    def _query(self) -> str:
        """The rest, a query. A clause of it that riacho reads and that is wrong is refused with its place here."""
        query = self._cursor.query()
        table_references(self._statement.text, self._statement.tokens)
        return query

    def _identifier(self) -> Identifier:
        return Identifier(self._cursor.name())

    def _refuse(self, message: str) -> AnalysisError:
        return failures.registration(message, query=self._statement.text, file=self._file, line=self._statement.line)

    def _unsupported(self) -> AnalysisError:
        name = plan_name(self._statement.tokens) or "Project"
        return self._refuse(f"Unsupported plan {name} parsed from SQL query")


@dataclass
class _Clauses:
    """What stands between the name of a table and its query."""

    format: str | None = None
    partition_by: tuple[str, ...] = ()
    cluster_by: tuple[str, ...] = ()
    comment: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
