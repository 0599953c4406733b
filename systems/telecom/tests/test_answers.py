"""The six answers, worked out a second time from the landing files by DuckDB and by Python's own `ipaddress`.

Nothing of the pipeline is used: rows are judged by their own few lines, connections are closed by a search instead of a
window, addresses find their server in Python. The figures that a provider would look at first also stand here as they
are, so that both ways cannot go wrong together.
"""

from __future__ import annotations

import csv
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pyspark.sql import SparkSession

from riacho.testing.systems import Row, columns, ordered, rows
from systems.telecom.tests.conftest import Landing, Run

HISTORY = r"""
CREATE TABLE landed AS
SELECT
  Nome AS nome, Endereco AS endereco, Ip AS ip, make_timestamp(epoch_us(Hora_Conexao)) AS hora,
  Dispositivo_de_Acesso AS device, Velocidade_de_Conexao AS speed, Status_Conexao AS status,
  strptime(regexp_extract(filename, '_(\d{8}T\d{6})_', 1), '%Y%m%dT%H%M%S') AS written
FROM read_parquet($files, filename = true);

CREATE TABLE judged AS
SELECT landed.*, server, CASE
    WHEN NOT coalesce(is_address, false) THEN 'valid_ip'
    WHEN speed NOT IN (1, 5, 10, 15, 25, 35, 50, 100, 200, 400, 500, 1000) THEN 'known_speed'
    WHEN hora > written + INTERVAL 1 MINUTE THEN 'not_in_the_future'
  END AS broken
FROM landed LEFT JOIN addresses USING (ip);

CREATE TABLE event AS
SELECT DISTINCT nome, endereco, ip, hora, device, speed, status, server FROM judged WHERE broken IS NULL;

CREATE TABLE clock AS SELECT max(hora) AS as_of FROM event;

CREATE TABLE open AS
SELECT * FROM event AS c WHERE status = 'Conectado' AND NOT EXISTS (
  FROM event AS d WHERE d.status = 'Desconectado' AND d.hora > c.hora
    AND (d.nome, d.endereco, d.ip, d.device) = (c.nome, c.endereco, c.ip, c.device));

CREATE TABLE customer AS
SELECT nome, endereco, count(*) AS connections, sum(speed)::BIGINT AS mbps, max(speed) AS fastest
FROM open GROUP BY ALL;
"""

ANSWERS = {
    "gold.clock": "SELECT as_of FROM clock",
    "gold.devices_per_minute": """
        SELECT date_trunc('minute', hora), device,
          count(*) FILTER (status = 'Conectado'), count(*) FILTER (status = 'Desconectado')
        FROM event GROUP BY ALL""",
    "gold.devices_total": """
        SELECT device, count(*) FILTER (status = 'Conectado'), count(*) FILTER (status = 'Desconectado')
        FROM event GROUP BY ALL""",
    "gold.recently_connected": """
        SELECT nome, endereco, ip, device, max(hora), count(*) FROM event, clock
        WHERE status = 'Conectado' AND hora > as_of - INTERVAL 10 MINUTES GROUP BY ALL""",
    "gold.bandwidth_in_use": """
        SELECT coalesce(server, 'unknown'), count(*), sum(speed)::BIGINT FROM open GROUP BY ALL
        UNION ALL SELECT 'TOTAL', count(*), sum(speed)::BIGINT FROM open""",
    "gold.high_connection_rate": """
        SELECT count(*), count(*) FILTER (fastest >= 400), avg((fastest >= 400)::INT) FROM customer""",
    "gold.heavy_customers": """
        WITH middle AS (SELECT median(mbps) AS median FROM customer),
          spread AS (SELECT median, (SELECT median(abs(mbps - median)) FROM customer) AS mad FROM middle)
        SELECT nome, endereco, connections, mbps, median, mad, median + 5 * mad
        FROM customer, spread WHERE mbps > median + 5 * mad""",
    "gold.bandwidth_by_device": """
        WITH placed AS (SELECT coalesce(server, 'unknown') AS place, * FROM open UNION ALL SELECT 'TOTAL', * FROM open)
        SELECT place, count(*) FILTER (device = 'Celular'), count(*) FILTER (device = 'Computador'),
          coalesce(sum(speed) FILTER (device = 'Celular'), 0)::BIGINT,
          coalesce(sum(speed) FILTER (device = 'Computador'), 0)::BIGINT
        FROM placed GROUP BY place""",
    "gold.servers_to_upgrade": """
        WITH load AS (
          SELECT server, sum(speed)::BIGINT AS mbps, count(DISTINCT (nome, endereco, ip, device)) AS devices
          FROM open GROUP BY server)
        SELECT server, place,
          CASE WHEN mbps >= capacity_mbps OR devices >= capacity_devices
            THEN 'over capacity' ELSE 'close to capacity' END,
          mbps, capacity_mbps, mbps / capacity_mbps, devices, capacity_devices, devices / capacity_devices
        FROM load JOIN servers USING (server)
        WHERE mbps >= 0.8 * capacity_mbps OR devices >= 0.8 * capacity_devices""",
    "gold.high_connections": """
        SELECT nome, endereco, ip, device, speed, hora FROM judged
        WHERE broken IS NULL AND status = 'Conectado' AND speed >= 400""",
}


@pytest.fixture(scope="module")
def history(telecom_landing: Landing, run_telecom: Run) -> duckdb.DuckDBPyConnection:
    """What happened, from the landing files and servers.csv alone. Asked for after a server has seen all files."""
    if not telecom_landing.complete:
        telecom_landing.land_the_rest()
    database = duckdb.connect()
    servers = Path(__file__).parents[1] / "data" / "servers.csv"
    database.execute("CREATE TABLE servers AS FROM read_csv($1)", [str(servers)])
    files = str(telecom_landing.folder / "*" / "*" / "*.parquet")
    addresses = database.execute("SELECT DISTINCT Ip FROM read_parquet($1) WHERE Ip IS NOT NULL", [files]).fetchall()
    with servers.open(encoding="utf-8") as lines:
        subnets = {IPv4Network(line["subnet"]): line["server"] for line in csv.DictReader(lines)}
    database.execute("CREATE TABLE addresses (ip VARCHAR, is_address BOOLEAN, server VARCHAR)")
    database.executemany("INSERT INTO addresses VALUES (?, ?, ?)", [place(ip, subnets) for (ip,) in addresses])
    for statement in HISTORY.split(";\n"):
        database.execute(statement, {"files": files} if "$files" in statement else None)
    return database


def place(ip: str, subnets: dict[IPv4Network, str]) -> Row:
    """An address, whether it is one, and its server."""
    try:
        address = IPv4Address(ip)
    except ValueError:
        return (ip, False, None)
    return (ip, True, next((server for subnet, server in subnets.items() if address in subnet), None))


def naive(row: Row) -> Row:
    """Times without their zone, UTC, as DuckDB gives them."""
    return tuple(value.replace(tzinfo=None) if isinstance(value, datetime) else value for value in row)


@pytest.mark.parametrize("table", ANSWERS)
def test_the_answer_is_the_one_worked_out_from_the_files(
    tables: SparkSession, history: duckdb.DuckDBPyConnection, table: str
) -> None:
    expected = ordered(history.execute(ANSWERS[table]).fetchall())

    assert expected
    assert [naive(row) for row in rows(tables, table)] == expected


def test_each_row_that_landed_is_in_silver_or_in_quarantine(
    tables: SparkSession, history: duckdb.DuckDBPyConnection
) -> None:
    by_rule = "SELECT _quarantine.rules[0] AS rule, count(*) FROM silver.valid_events_quarantine GROUP BY 1"
    broken = dict(history.execute("SELECT broken, count(*) FROM judged GROUP BY broken").fetchall())
    valid = broken.pop(None)

    assert tables.table("silver.valid_events").count() == valid
    assert {row[0]: row[1] for row in tables.sql(by_rule).collect()} == broken
    assert sum(broken.values()) + valid == landed(tables) == 32 // 4 * (80 + 60 + 40 + 70)
    assert tables.table("silver.events").count() == history.execute("SELECT count(*) FROM event").fetchall()[0][0]


def landed(spark: SparkSession) -> int:
    kinds = ("celular_conectado", "celular_desconectado", "computador_conectado", "computador_desconectado")
    return sum(spark.table(f"bronze.{kind}").count() for kind in kinds)


@pytest.mark.parametrize(
    ("query", "figures"),
    [
        ("SELECT date_format(as_of, 'yyyy-MM-dd HH:mm:ss.SSS') FROM gold.clock", ["2026-01-05 12:15:59.254"]),
        ("SELECT count(*) FROM silver.valid_events_quarantine", [64]),
        ("SELECT connected, disconnected FROM gold.devices_total ORDER BY connected", [309, 538, 598, 460]),
        ("SELECT count(*), sum(connections) FROM gold.recently_connected", [553, 563]),
        ("SELECT open_connections, bandwidth_mbps FROM gold.bandwidth_in_use WHERE server = 'TOTAL'", [218, 18977]),
        ("SELECT connected_customers, high_customers FROM gold.high_connection_rate", [201, 9]),
        ("SELECT count(*), max(bandwidth_mbps), max(limit_mbps) FROM gold.heavy_customers", [10, 1000, 250.0]),
        ("SELECT celular_mbps, computador_mbps FROM gold.bandwidth_by_device WHERE server = 'TOTAL'", [16472, 2505]),
        ("SELECT server, situation FROM gold.servers_to_upgrade WHERE bandwidth_used >= 1", ["sp-01", "over capacity"]),
        (
            "SELECT server, situation FROM gold.servers_to_upgrade WHERE bandwidth_used < 1",
            ["rs-01", "close to capacity"],
        ),
    ],
)
def test_the_figures_stand(tables: SparkSession, query: str, figures: list[Any]) -> None:
    assert [value for row in tables.sql(query).collect() for value in row] == figures


def test_columns_have_the_types_they_are_documented_with(tables: SparkSession) -> None:
    assert columns(tables, "silver.connections") == [
        ("nome", "string"),
        ("endereco", "string"),
        ("ip", "string"),
        ("dispositivo_de_acesso", "string"),
        ("velocidade_de_conexao", "int"),
        ("server", "string"),
        ("connected_at", "timestamp"),
        ("disconnected_at", "timestamp"),
    ]
