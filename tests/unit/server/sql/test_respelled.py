"""Names of tables in SQL text, spelled otherwise."""

from __future__ import annotations

import pytest

from riacho.server.sql.references import respelled


def lowered(parts: tuple[str, ...]) -> str | None:
    name = ".".join(parts)
    return None if name == name.lower() else f"`{name.lower()}`"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT T.a FROM T", "SELECT T.a FROM `t`"),
        ("SELECT 'FROM T' FROM t -- FROM T", "SELECT 'FROM T' FROM t -- FROM T"),
        ("TABLE T", "TABLE `t`"),
        ("SELECT 1 UNION ALL TABLE T", "SELECT 1 UNION ALL TABLE `t`"),
        ("INSERT INTO Db.T (A) SELECT A FROM S", "INSERT INTO `db.t` (A) SELECT A FROM `s`"),
        ("INSERT OVERWRITE TABLE T VALUES (1)", "INSERT OVERWRITE TABLE `t` VALUES (1)"),
        (
            "MERGE INTO T AS x USING S AS y ON x.a = y.a WHEN MATCHED THEN DELETE",
            "MERGE INTO `t` AS x USING `s` AS y ON x.a = y.a WHEN MATCHED THEN DELETE",
        ),
        ("UPDATE T SET A = (SELECT max(A) FROM S)", "UPDATE `t` SET A = (SELECT max(A) FROM `s`)"),
        ("DELETE FROM T WHERE A IN (SELECT A FROM S)", "DELETE FROM `t` WHERE A IN (SELECT A FROM `s`)"),
        ("DESCRIBE TABLE EXTENDED T", "DESCRIBE TABLE EXTENDED `t`"),
        ("WITH Q AS (SELECT 1 AS a) SELECT * FROM q JOIN Q", "WITH Q AS (SELECT 1 AS a) SELECT * FROM `Q` JOIN Q"),
        ("SELECT * FROM STREAM T", "SELECT * FROM STREAM T"),
    ],
)
def test_only_names_of_tables_change(text: str, expected: str) -> None:
    assert respelled(text, lowered) == expected
    assert respelled(expected, lambda _: None) == expected
