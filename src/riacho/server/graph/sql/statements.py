"""The head of each statement of a SQL definition file, parsed; queries are kept as text.

The grammar is Spark 4.2's `createPipelineDatasetHeader`, `createView`, `createPipelineFlow`, SET and USE. Statements
that Spark parses and then refuses get Spark's refusal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from riacho.errors import AnalysisError, ParseError, SparkGeneralError
from riacho.server.graph import failures
from riacho.server.graph.elements import TableKind
from riacho.server.graph.names import Identifier
from riacho.server.sql.plan_names import plan_name
from riacho.server.sql.scripts import Statement
from riacho.server.sql.tokens import Token, closing, identifier, string_value, tokenize


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
    comment: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    query: str | None = None


@dataclass(frozen=True)
class CreatePipelineView:
    """`CREATE [TEMPORARY] VIEW`."""

    name: Identifier
    temporary: bool
    query: str
    comment: str | None = None


@dataclass(frozen=True)
class CreateFlow:
    """`CREATE FLOW name AS INSERT INTO target BY NAME query`."""

    name: Identifier
    target: Identifier
    query: str


Parsed = SetConf | UseDatabase | SetCatalog | CreatePipelineDataset | CreatePipelineView | CreateFlow

_STREAMING_TABLE = "CREATE STREAMING TABLE"
_MATERIALIZED_VIEW = "CREATE MATERIALIZED VIEW"
_CONSTRAINT_KINDS = frozenset({"PRIMARY", "FOREIGN", "UNIQUE", "CHECK"})
_REFUSED_CLAUSES = {
    "OPTIONS": "Options are not supported for {} statements. Please remove any OPTIONS lists specified in the "
    "statement.",
    "CLUSTERED": "Bucketing is not supported for {} statements. Please remove any bucket spec specified in the "
    "statement.",
    "LOCATION": "Specifying location is not supported for {} statements. The storage location for a pipeline dataset "
    "is managed by the pipeline itself.",
    "STORED": "The STORED AS syntax is not supported for {} statements. Consider using the Data Source based USING "
    "clause instead.",
    "ROW": "Hive SerDe format options are not supported for {} statements.",
}


def parse(statement: Statement, *, file: str) -> Parsed:
    """The parsed head of `statement`; `file` is for error messages.

    Raises ParseError for a wrong syntax, PIPELINE_SQL_GRAPH_ELEMENT_REGISTRATION_ERROR for what has no place in a
    definition file.
    """
    return _Parser(statement, file).parse()


class _Parser:
    """A cursor over the tokens of one statement."""

    def __init__(self, statement: Statement, file: str) -> None:
        self._statement = statement
        self._file = file
        self._tokens = statement.tokens
        self._next = 0

    def parse(self) -> Parsed:
        match self._keyword():
            case "SET":
                return self._set()
            case "USE" if self._keyword(1) in ("DATABASE", "SCHEMA", "NAMESPACE"):
                self._next += 2
                return UseDatabase(self._last_identifier())
            case "CREATE":
                return self._create()
            case _:
                raise self._unsupported()

    def _set(self) -> Parsed:
        self._expect("SET")
        if self._keyword() == "CATALOG":
            self._next += 1
            token = self._take()
            self._end()
            return SetCatalog(string_value(token) if token.kind == "string" else token.name or token.text)
        if self._next == len(self._tokens):
            raise SparkGeneralError("Invalid SET command without key-value pair")
        key, equals, value = self._statement.text_from(self._tokens[self._next]).partition("=")
        if not equals:
            raise SparkGeneralError(f"Invalid SET command without value: SET {key.strip()}")
        return SetConf(key.strip(), value.strip())

    def _create(self) -> Parsed:
        self._expect("CREATE")
        match self._keyword():
            case "STREAMING":
                self._next += 1
                self._expect("TABLE")
                return self._table(TableKind.STREAMING_TABLE, _STREAMING_TABLE)
            case "MATERIALIZED":
                self._next += 1
                self._expect("VIEW")
                return self._table(TableKind.MATERIALIZED_VIEW, _MATERIALIZED_VIEW)
            case "FLOW":
                self._next += 1
                return self._flow()
        if self._accept("OR"):
            self._expect("REPLACE")
            if self._keyword() in ("STREAMING", "MATERIALIZED", "FLOW"):
                raise self._error()
        self._accept("GLOBAL")
        temporary = self._accept("TEMPORARY") or self._accept("TEMP")
        if self._accept("VIEW"):
            return self._view(temporary)
        raise self._unsupported()

    def _table(self, kind: TableKind, statement: str) -> CreatePipelineDataset:
        self._accept("IF", "NOT", "EXISTS")
        name = self._identifier()
        columns = self._columns() if self._is_symbol("(") else None
        clauses = self._clauses(statement)
        query = None
        if self._accept("AS"):
            query = self._query()
        else:
            self._end()
            if kind is TableKind.MATERIALIZED_VIEW:
                raise failures.not_allowed(f"Unable to find query for {statement} statement.", self._statement.text)
        return CreatePipelineDataset(
            kind=kind,
            name=name,
            columns=columns,
            format=clauses.format,
            partition_by=clauses.partition_by,
            comment=clauses.comment,
            properties=clauses.properties,
            query=query,
        )

    def _columns(self) -> str:
        """The text of the column list, without its parentheses."""
        opening = self._next
        columns = self._parenthesised()
        for column in columns:
            words = [token.word for token in tokenize(column)[:3]]
            if words[:1] == ["CONSTRAINT"]:
                words = words[2:]
                if words and words[0] not in _CONSTRAINT_KINDS:
                    wrong = next(t for t in self._tokens[opening:] if t.word == words[0])
                    raise self._statement.error_at(wrong)
            if words and words[0] in _CONSTRAINT_KINDS:
                raise failures.not_allowed(
                    "Pipeline datasets do not currently support column constraints. Please remove any CHECK, UNIQUE, "
                    "PK, and FK constraints specified on the pipeline dataset.",
                    self._statement.text,
                )
        return ", ".join(columns)

    def _clauses(self, statement: str) -> _Clauses:
        clauses = _Clauses()
        seen: set[str] = set()
        while (keyword := self._keyword()) not in ("", "AS"):
            if keyword in _REFUSED_CLAUSES:
                raise failures.not_allowed(_REFUSED_CLAUSES[keyword].format(statement), self._statement.text)
            if keyword in seen:
                raise failures.duplicate_clauses(keyword, self._statement.text)
            seen.add(keyword)
            self._next += 1
            match keyword:
                case "USING":
                    clauses.format = str(self._identifier())
                case "COMMENT":
                    clauses.comment = self._string()
                case "TBLPROPERTIES":
                    clauses.properties = self._properties()
                case "PARTITIONED":
                    self._expect("BY")
                    clauses.partition_by = self._partitioning()
                case "CLUSTER":
                    self._expect("BY")
                    columns = ", ".join(self._parenthesised())
                    raise self._refuse(f"Invalid partitioning transform (cluster_by({columns}))")
                case _:
                    self._next -= 1
                    raise self._error()
        return clauses

    def _partitioning(self) -> tuple[str, ...]:
        columns = []
        for part in self._parenthesised():
            if "(" in part:
                raise self._refuse(f"Invalid partitioning transform ({part})")
            # PARTITIONED BY (a INT) declares the column as well; Spark takes the name only.
            parts, _ = identifier(tokenize(part), 0)
            if len(parts) > 1:
                raise self._refuse("Multipart partition identifier not allowed.")
            if not parts:
                raise self._error()
            columns.append(parts[0])
        return tuple(columns)

    def _parenthesised(self) -> list[str]:
        """The texts between the commas of the list in parentheses that comes next."""
        if not self._is_symbol("("):
            raise self._error()
        end = closing(self._tokens, self._next)
        if end == len(self._tokens):
            raise self._statement.error_at(None)
        parts: list[str] = []
        start, depth = self._tokens[self._next].end, 0
        for token in self._tokens[self._next + 1 : end + 1]:
            if token is self._tokens[end] or (depth == 0 and token.is_symbol(",")):
                parts.append(self._statement.text[start : token.start].strip())
                start = token.end
            depth += token.is_symbol("(") - token.is_symbol(")")
        self._next = end + 1
        return parts

    def _properties(self) -> dict[str, str]:
        properties: dict[str, str] = {}
        for part in self._parenthesised():
            tokens = tokenize(part)
            split = next((i for i, token in enumerate(tokens) if token.text == "=" or token.kind == "string"), 0)
            key_tokens, value_tokens = (tokens[:split], tokens[split:]) if split else (tokens[:1], tokens[1:])
            if value_tokens and value_tokens[0].text == "=":
                value_tokens = value_tokens[1:]
            if not key_tokens or len(value_tokens) != 1:
                raise self._error()
            properties["".join(map(_value, key_tokens))] = _value(value_tokens[0])
        return properties

    def _view(self, temporary: bool) -> CreatePipelineView:
        if self._accept("IF", "NOT", "EXISTS") and temporary:
            raise ParseError(
                "\nIt is not allowed to define a TEMPORARY view with IF NOT EXISTS.\n"
                f"== SQL (line 1, position 1) ==\n{self._statement.text}\n{'^' * len(self._statement.text)}\n",
                condition="_LEGACY_ERROR_TEMP_0053",
            )
        name = self._identifier()
        if temporary and not name.is_single:
            raise self._qualified_temporary(name)
        if self._is_symbol("("):
            self._parenthesised()  # column names of a view; Spark ignores them in a pipeline
        comment = None
        while (keyword := self._keyword()) in ("COMMENT", "TBLPROPERTIES"):
            self._next += 1
            if keyword == "COMMENT":
                comment = self._string()
            else:
                self._properties()
        self._expect("AS")
        return CreatePipelineView(name, temporary, self._query(), comment)

    def _qualified_temporary(self, name: Identifier) -> ParseError:
        return ParseError.of(
            "INVALID_TEMP_OBJ_QUALIFIER",
            f"Temporary VIEW {Identifier(name.parts[-1:]).quoted} cannot be qualified with "
            f"{Identifier(name.qualifier).quoted}. Temporary objects can only be qualified with SESSION or "
            "SYSTEM.SESSION.",
            sql_state="42602",
        )

    def _flow(self) -> CreateFlow:
        name = self._identifier()
        if self._accept("COMMENT"):
            self._string()
        self._expect("AS")
        self._expect("INSERT")
        if self._accept("OVERWRITE"):
            raise self._refuse("INSERT OVERWRITE flows not supported.")
        self._expect("INTO")
        self._accept("TABLE")
        target = self._identifier()
        if self._keyword() == "PARTITION":
            raise self._refuse("Partition spec may not be specified for flow target.")
        if self._accept("IF", "NOT", "EXISTS"):
            raise self._refuse("IF NOT EXISTS not supported for flows.")
        by_name = self._accept("BY", "NAME")
        if self._is_symbol("(") and self._keyword(1) not in ("SELECT", "WITH", "FROM", "VALUES"):
            raise self._refuse("Column schema may not be specified for flow target.")
        query = self._query()
        if not by_name:
            raise self._refuse("Only INSERT INTO by name flows supported.")
        return CreateFlow(name, target, query)

    def _peek(self, ahead: int = 0) -> Token | None:
        position = self._next + ahead
        return self._tokens[position] if position < len(self._tokens) else None

    def _keyword(self, ahead: int = 0) -> str:
        token = self._peek(ahead)
        return token.word if token else ""

    def _is_symbol(self, text: str) -> bool:
        token = self._peek()
        return token is not None and token.is_symbol(text)

    def _take(self) -> Token:
        token = self._peek()
        if token is None:
            raise self._error()
        self._next += 1
        return token

    def _accept(self, *keywords: str) -> bool:
        """Take all of `keywords` if they come next."""
        if any(self._keyword(ahead) != keyword for ahead, keyword in enumerate(keywords)):
            return False
        self._next += len(keywords)
        return True

    def _expect(self, keyword: str) -> None:
        if not self._accept(keyword):
            after = self._peek(1)
            missing = after is not None and after.word == "AS"
            raise self._error(f": missing '{keyword}'" if missing else "")

    def _end(self) -> None:
        if self._peek() is not None:
            raise self._error()

    def _identifier(self) -> Identifier:
        parts, behind = identifier(self._tokens, self._next)
        if not parts:
            raise self._error()
        self._next = behind
        return Identifier(parts)

    def _last_identifier(self) -> Identifier:
        name = self._identifier()
        self._end()
        return name

    def _string(self) -> str:
        token = self._take()
        if token.kind != "string":
            self._next -= 1
            raise self._error()
        return string_value(token)

    def _query(self) -> str:
        """The rest of the statement. Its grammar is the engine's business; here it must begin like a query."""
        first = self._peek()
        while first is not None and first.text == "(":
            self._next += 1
            first = self._peek()
        if first is None or first.word not in ("SELECT", "WITH", "FROM", "VALUES", "TABLE", "MAP", "REDUCE"):
            raise self._error()
        while self._tokens[self._next - 1].text == "(":
            self._next -= 1
        return self._statement.text_from(self._tokens[self._next])

    def _error(self, hint: str = "") -> ParseError:
        return self._statement.error_at(self._peek(), hint)

    def _refuse(self, message: str) -> AnalysisError:
        return failures.registration(message, query=self._statement.text, file=self._file, line=self._statement.line)

    def _unsupported(self) -> AnalysisError:
        name = plan_name(self._tokens) or "Project"
        return self._refuse(f"Unsupported plan {name} parsed from SQL query")


def _value(token: Token) -> str:
    return string_value(token) if token.kind == "string" else token.name or token.text


@dataclass
class _Clauses:
    """What stands between the name of a table and its query."""

    format: str | None = None
    partition_by: tuple[str, ...] = ()
    comment: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
