"""SQL statements about names, as values. `Name` is as written in the text: one to three parts, not completed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Name = tuple[str, ...]


@dataclass(frozen=True)
class CreateDatabase:
    """`CREATE DATABASE [IF NOT EXISTS] name [COMMENT text]`."""

    name: Name
    if_not_exists: bool = False
    comment: str | None = None


@dataclass(frozen=True)
class DropDatabase:
    """`DROP DATABASE [IF EXISTS] name [CASCADE | RESTRICT]`."""

    name: Name
    if_exists: bool = False
    cascade: bool = False


@dataclass(frozen=True)
class Use:
    """`USE [DATABASE] name`."""

    name: Name


@dataclass(frozen=True)
class ShowDatabases:
    """`SHOW DATABASES [LIKE pattern]`."""

    pattern: str | None = None


@dataclass(frozen=True)
class ShowTables:
    """`SHOW TABLES | VIEWS [IN database] [LIKE pattern]`."""

    database: Name | None = None
    pattern: str | None = None
    views_only: bool = False


@dataclass(frozen=True)
class ShowProperties:
    """`SHOW TBLPROPERTIES table [(key)]`."""

    table: Name
    key: str | None = None


@dataclass(frozen=True)
class ShowColumns:
    """`SHOW COLUMNS IN table [IN database]`."""

    table: Name


@dataclass(frozen=True)
class ShowCreateTable:
    """`SHOW CREATE TABLE table`."""

    table: Name


@dataclass(frozen=True)
class ColumnDefinition:
    """A column of CREATE TABLE: `name type [NOT NULL] [COMMENT text]`; the type as text."""

    name: str
    type: str
    nullable: bool = True
    comment: str | None = None


@dataclass(frozen=True)
class CreateTable:
    """`CREATE [OR REPLACE] TABLE [IF NOT EXISTS] name [(columns)] [USING …] … [AS query]`.

    `replace`: OR REPLACE, or REPLACE TABLE, which creates no new table (`must_exist`). `like`: another table's columns.
    `constraints`: CHECK conditions by name.
    """

    name: Name
    columns: tuple[ColumnDefinition, ...] = ()
    format: str | None = None
    partition_by: tuple[str, ...] = ()
    comment: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    location: str | None = None
    query: str | None = None
    like: Name | None = None
    constraints: Mapping[str, str] = field(default_factory=dict)
    if_not_exists: bool = False
    replace: bool = False
    must_exist: bool = False


@dataclass(frozen=True)
class CreateView:
    """`CREATE [OR REPLACE] VIEW [IF NOT EXISTS] name [(columns)] [COMMENT text] AS query`."""

    name: Name
    query: str
    columns: tuple[str, ...] = ()
    comment: str | None = None
    if_not_exists: bool = False
    replace: bool = False


@dataclass(frozen=True)
class CreateFileView:
    """`CREATE [OR REPLACE] [GLOBAL] TEMPORARY VIEW name [(columns)] USING format [OPTIONS (…)]`; `columns` as DDL."""

    name: str
    format: str
    columns: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    is_global: bool = False
    replace: bool = False


@dataclass(frozen=True)
class Drop:
    """`DROP TABLE | VIEW [IF EXISTS] name`."""

    name: Name
    view: bool
    if_exists: bool = False


@dataclass(frozen=True)
class Truncate:
    """`TRUNCATE TABLE name`."""

    table: Name


@dataclass(frozen=True)
class SetProperties:
    """`ALTER TABLE name SET | UNSET TBLPROPERTIES (…)`."""

    table: Name
    set: Mapping[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()


@dataclass(frozen=True)
class AddColumns:
    """`ALTER TABLE name ADD COLUMNS (…)`."""

    table: Name
    columns: tuple[ColumnDefinition, ...]


@dataclass(frozen=True)
class AlterColumn:
    """`ALTER TABLE name ALTER COLUMN column COMMENT text | DROP NOT NULL`."""

    table: Name
    column: str
    comment: str | None = None
    drop_not_null: bool = False


@dataclass(frozen=True)
class RenameTable:
    """`ALTER TABLE name RENAME TO other`."""

    table: Name
    to: Name


@dataclass(frozen=True)
class Constrain:
    """`ALTER TABLE name ADD CONSTRAINT constraint CHECK (condition) | DROP CONSTRAINT [IF EXISTS] constraint`."""

    table: Name
    constraint: str
    condition: str | None = None
    if_exists: bool = False


@dataclass(frozen=True)
class Comment:
    """`COMMENT ON TABLE | DATABASE name IS text`; NULL is an empty comment."""

    name: Name
    comment: str
    database: bool = False


@dataclass(frozen=True)
class DescribeDatabase:
    """`DESCRIBE DATABASE [EXTENDED] name`."""

    name: Name
    extended: bool = False


@dataclass(frozen=True)
class DescribeTable:
    """`DESCRIBE [TABLE] [EXTENDED] name`."""

    table: Name
    extended: bool = False


@dataclass(frozen=True)
class DescribeDetail:
    """`DESCRIBE DETAIL name`."""

    table: Name


@dataclass(frozen=True)
class DescribeHistory:
    """`DESCRIBE HISTORY name [LIMIT n]`."""

    table: Name
    limit: int | None = None


@dataclass(frozen=True)
class Insert:
    """`INSERT INTO | OVERWRITE [TABLE] name [(columns)] [BY NAME] query`, also `INSERT INTO name REPLACE WHERE …`."""

    table: Name
    query: str
    columns: tuple[str, ...] = ()
    by_name: bool = False
    overwrite: bool = False
    where: str | None = None


@dataclass(frozen=True)
class InsertDirectory:
    """`INSERT OVERWRITE [LOCAL] DIRECTORY 'path' USING format [OPTIONS (…)] query`."""

    path: str
    format: str
    query: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Delete:
    """`DELETE FROM name [AS alias] [WHERE condition]`."""

    table: Name
    where: str | None = None
    alias: str | None = None


Set = tuple[tuple[Name, str], ...]
"""`column = expression, …`: columns as written, possibly qualified with their table, or a field of a struct."""


@dataclass(frozen=True)
class Update:
    """`UPDATE name [AS alias] SET column = expression, … [WHERE condition]`."""

    table: Name
    set: Set
    where: str | None = None
    alias: str | None = None


@dataclass(frozen=True)
class MergeClause:
    """`WHEN [NOT] MATCHED [BY SOURCE] [AND condition] THEN …`.

    `match`: matched, not_matched or not_matched_by_source. `action`: update, insert or delete. `assignments` is None
    for the star forms.
    """

    match: str
    action: str
    condition: str | None = None
    assignments: Set | None = None


@dataclass(frozen=True)
class Merge:
    """`MERGE [WITH SCHEMA EVOLUTION] INTO target [alias] USING source [alias] ON condition clause…`.

    `source` is a table's name, or the text of a query.
    """

    table: Name
    alias: str | None
    source: Name | str
    source_alias: str | None
    on: str
    clauses: tuple[MergeClause, ...]
    evolve: bool = False


@dataclass(frozen=True)
class Optimize:
    """`OPTIMIZE name [ZORDER BY (columns)]`."""

    table: Name
    zorder_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Vacuum:
    """`VACUUM name [RETAIN n HOURS] [DRY RUN]`."""

    table: Name
    retain_hours: int | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class Restore:
    """`RESTORE TABLE name TO VERSION AS OF n | TIMESTAMP AS OF text`."""

    table: Name
    version: int | None = None
    timestamp: str | None = None


@dataclass(frozen=True)
class Repair:
    """`FSCK REPAIR TABLE name [DRY RUN]`."""

    table: Name
    dry_run: bool = False


@dataclass(frozen=True)
class Refresh:
    """`REFRESH TABLE name`: does nothing, because every read sees the current table."""

    table: Name


Statement = (
    CreateDatabase
    | DropDatabase
    | Use
    | ShowDatabases
    | ShowTables
    | ShowProperties
    | ShowColumns
    | ShowCreateTable
    | CreateTable
    | CreateView
    | CreateFileView
    | Drop
    | Truncate
    | SetProperties
    | AddColumns
    | AlterColumn
    | RenameTable
    | Constrain
    | Comment
    | DescribeDatabase
    | DescribeTable
    | DescribeDetail
    | DescribeHistory
    | Insert
    | InsertDirectory
    | Delete
    | Update
    | Merge
    | Optimize
    | Vacuum
    | Restore
    | Repair
    | Refresh
)
