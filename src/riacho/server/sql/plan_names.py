"""Spark's name for a SQL statement: the name of its logical plan, which error messages show.

Definition files refuse all but a few statements, and `spark.sql` in a Python definition file refuses all commands
except those that only read (`ALLOWED`; Spark: `PipelinesHandler.blockUnsupportedSqlCommand`, verified with 4.2.1).
"""

from __future__ import annotations

from collections.abc import Sequence

from riacho.server.sql.tokens import Token

_QUERIES = frozenset({"SELECT", "WITH", "FROM", "VALUES", "TABLE", "MAP", "REDUCE", ""})

# The longest match of leading words wins; OR REPLACE, TEMPORARY and similar words are removed first.
_NAMES: dict[tuple[str, ...], str] = {
    ("INSERT",): "InsertIntoStatement",
    ("MERGE",): "MergeIntoTable",
    ("UPDATE",): "UpdateTable",
    ("DELETE",): "DeleteFromTable",
    ("EXPLAIN",): "ExplainCommand",
    ("SET",): "SetCommand",
    ("SET", "CATALOG"): "SetCatalogCommand",
    ("RESET",): "ResetCommand",
    ("USE",): "SetCatalogAndNamespace",
    ("USE", "DATABASE"): "SetNamespaceCommand",
    ("USE", "SCHEMA"): "SetNamespaceCommand",
    ("USE", "NAMESPACE"): "SetNamespaceCommand",
    ("CREATE", "TABLE"): "CreateTable",
    ("CREATE", "VIEW"): "CreateViewCommand",
    ("CREATE", "DATABASE"): "CreateNamespace",
    ("CREATE", "SCHEMA"): "CreateNamespace",
    ("CREATE", "NAMESPACE"): "CreateNamespace",
    ("CREATE", "FUNCTION"): "CreateFunction",
    ("CREATE", "STREAMING"): "CreateStreamingTableAsSelect",
    ("CREATE", "MATERIALIZED"): "CreateMaterializedViewAsSelect",
    ("CREATE", "FLOW"): "CreateFlowCommand",
    ("REPLACE", "TABLE"): "ReplaceTableAsSelect",
    ("DROP", "TABLE"): "DropTable",
    ("DROP", "VIEW"): "DropView",
    ("DROP", "DATABASE"): "DropNamespace",
    ("DROP", "SCHEMA"): "DropNamespace",
    ("DROP", "NAMESPACE"): "DropNamespace",
    ("DROP", "FUNCTION"): "DropFunction",
    ("ALTER", "TABLE"): "AlterTableCommand",
    ("ALTER", "VIEW"): "AlterViewAs",
    ("TRUNCATE",): "TruncateTable",
    ("REFRESH",): "RefreshTable",
    ("CACHE",): "CacheTable",
    ("CACHE", "LAZY"): "CacheTable",
    ("UNCACHE",): "UncacheTable",
    ("CLEAR",): "ClearCacheCommand",
    ("ANALYZE",): "AnalyzeTable",
    ("MSCK",): "RepairTable",
    ("DECLARE",): "CreateVariable",
    ("COMMENT",): "CommentOnTable",
    ("DESCRIBE",): "DescribeRelation",
    ("DESCRIBE", "FUNCTION"): "DescribeFunction",
    ("DESCRIBE", "DATABASE"): "DescribeNamespace",
    ("DESCRIBE", "SCHEMA"): "DescribeNamespace",
    ("DESCRIBE", "NAMESPACE"): "DescribeNamespace",
    ("DESCRIBE", "QUERY"): "DescribeQueryCommand",
    ("SHOW",): "ShowTables",
    ("SHOW", "TABLES"): "ShowTables",
    ("SHOW", "TABLE"): "ShowTableExtended",
    ("SHOW", "TBLPROPERTIES"): "ShowTableProperties",
    ("SHOW", "DATABASES"): "ShowNamespaces",
    ("SHOW", "SCHEMAS"): "ShowNamespaces",
    ("SHOW", "NAMESPACES"): "ShowNamespaces",
    ("SHOW", "COLUMNS"): "ShowColumns",
    ("SHOW", "FUNCTIONS"): "ShowFunctions",
    ("SHOW", "VIEWS"): "ShowViews",
    ("SHOW", "CATALOGS"): "ShowCatalogsCommand",
    ("SHOW", "CREATE"): "ShowCreateTable",
    ("SHOW", "PARTITIONS"): "ShowPartitions",
}

ALLOWED = frozenset(
    {
        "DescribeRelation",
        "ShowTables",
        "ShowTableProperties",
        "ShowNamespaces",
        "ShowColumns",
        "ShowFunctions",
        "ShowViews",
        "ShowCatalogsCommand",
        "ShowCreateTable",
    }
)
"""Commands that a Python definition file may run through `spark.sql`: they change nothing."""

_SYNONYMS = {"DESC": "DESCRIBE", "EXTENDED": ""}
_MODIFIERS = frozenset({"OR", "REPLACE", "REFRESH", "GLOBAL", "TEMP", "TEMPORARY", "EXTERNAL"})


def plan_name(tokens: Sequence[Token]) -> str | None:
    """The name of the logical plan of a command; None for a query."""
    words = _leading_words(tokens)
    if not words or words[0] in _QUERIES:
        return None
    name = _NAMES.get(words[:2]) or _NAMES.get(words[:1]) or words[0].title()
    if name == "CreateTable" and any(token.word in ("SELECT", "AS") for token in tokens):
        return "CreateTableAsSelect"
    return name


def _leading_words(tokens: Sequence[Token]) -> tuple[str, ...]:
    """The leading words that determine the kind of a statement."""
    words = [_SYNONYMS.get(token.word, token.word) for token in tokens[:6]]
    first, rest = words[:1], words[1:]
    if first == ["CREATE"]:
        rest = [word for word in rest if word not in _MODIFIERS]
    return tuple(word for word in (*first, *rest) if word)[:2]
