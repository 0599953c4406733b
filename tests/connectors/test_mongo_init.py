"""`riacho mongo` with a server."""

from __future__ import annotations

from pathlib import Path

import pytest
from pymongo.errors import PyMongoError
from typer.testing import CliRunner

from riacho.cli.app import app
from tests.connectors.mongo import Mongo

RUNNER = CliRunner()

FILE = """
uri: {uri}
database: {database}
collections:
  orders:
    schema: {{bsonType: object, required: [customer], properties: {{total: {{bsonType: int, minimum: {least}}}}}}}
    pre-images: true
    indexes:
      - {{keys: {{customer: 1, at: -1}}}}
      - {{keys: {{number: 1}}, unique: true, where: {{number: {{$exists: true}}}}}}
      - {{keys: {{at: 1}}, expire-after: {keep}}}
  log: {{capped: {{size: 1m, documents: 100}}}}
"""


def run(*words: str | Path) -> tuple[int, str]:
    done = RUNNER.invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})
    return done.exit_code, done.output


def test_collections_become_what_the_file_says(mongo: Mongo, tmp_path: Path) -> None:
    file = tmp_path / "mongo.yml"

    def write(least: int, keep: str, more: str = "") -> None:
        file.write_text(FILE.format(uri=mongo.uri, database=mongo.database.name, least=least, keep=keep) + more)

    write(0, "30d")
    code, told = run("mongo", "plan", file)
    assert code == 0
    assert "create: collection, with a validator" in told
    assert "create unique partial index number_1 on number" in told
    assert mongo.database.list_collection_names() == []
    code, told = run("mongo", "init", file)
    assert (code, "nobody to ask" in told, mongo.database.list_collection_names()) == (1, True, [])
    code, told = run("mongo", "init", file, "--yes")
    assert code == 0, told
    indexes = mongo["orders"].index_information()
    assert indexes["customer_1_at_-1"]["key"] == [("customer", 1), ("at", -1)]
    assert indexes["number_1"]["unique"]
    assert indexes["number_1"]["partialFilterExpression"] == {"number": {"$exists": True}}
    assert indexes["at_1"]["expireAfterSeconds"] == 30 * 86_400
    assert mongo["log"].options()["capped"]
    mongo["orders"].insert_one({"_id": 1, "customer": "a", "total": 5})
    with pytest.raises(PyMongoError):
        mongo["orders"].insert_one({"_id": 2, "total": 5})
    code, told = run("mongo", "init", file, "-y")
    assert (code, "nothing to do" in told) == (0, True), told
    write(10, "60d")
    code, told = run("mongo", "init", file, "-y")
    assert code == 0, told
    assert "at_1 expire-after 2592000 → 5184000" in told
    assert mongo["orders"].index_information()["at_1"]["expireAfterSeconds"] == 60 * 86_400
    with pytest.raises(PyMongoError):
        mongo["orders"].insert_one({"_id": 3, "customer": "a", "total": 5})
    # One thing that cannot be done: then nothing is.
    write(20, "90d", "  new: {}\n  sharded: {shard-key: {a: 1}}\n")
    code, told = run("mongo", "init", file, "-y")
    assert (code, "only a mongos does" in told) == (1, True)
    assert "not all of it can be done, so nothing is" in told
    assert "step" not in told
    assert mongo["orders"].index_information()["at_1"]["expireAfterSeconds"] == 60 * 86_400
    assert "new" not in mongo.database.list_collection_names()


def test_what_the_server_does_not_understand(mongo: Mongo, tmp_path: Path) -> None:
    file = tmp_path / "mongo.yml"
    address = ("-u", mongo.uri, "-d", mongo.database.name)
    for wrong, told in (
        ("{schema: {bsonType: zork}}", "validator, failed: Unknown type name alias: zork"),
        ("{indexes: [{keys: {a: 1}, where: {a: {$zork: 1}}}]}", "a_1, failed: unknown operator: $zork"),
    ):
        file.write_text(f"collections:\n  first: {{}}\n  second: {wrong}\n")
        for command in (("plan", file), ("init", file, "-y")):
            code, output = run("mongo", *command, *address)
            assert (code, told in output) == (1, True), output
    assert mongo.database.list_collection_names() == []
    # Days of YAML are moments; the server has them as they were given, so a second run has nothing to do.
    file.write_text(
        "collections: {days: {validator: {$or: [{at: {$gt: 2026-01-01}}, {at: {$lt: 2025-01-01T00:00:00Z}}]}}}"
    )
    assert run("mongo", "init", file, "-y", *address)[0] == 0
    code, output = run("mongo", "init", file, "-y", *address)
    assert (code, "nothing to do" in output) == (0, True), output
    for name, told in (("a b", "database names cannot contain"), ("", "which database?")):
        code, output = run("mongo", "plan", file, "-u", mongo.uri, "-d", name)
        assert (code, told in output, "bug" in output) == (1, True, False), output
    code, output = run("mongo", "plan", file, "-u", "nowhere", "-d", "x")
    assert (code, "it must begin with mongodb://" in output) == (1, True), output


def test_where_it_is_from(mongo: Mongo, tmp_path: Path) -> None:
    system = tmp_path / "shop"
    system.mkdir()
    (system / "spark-pipeline.yml").write_text("name: shop\n")
    (system / "mongo.yml").write_text("collections:\n  a: {indexes: [{keys: {b: 1}}]}\n")
    code, told = run("mongo", "plan", system)
    assert (code, "which MongoDB?" in told) == (1, True)
    code, told = run("mongo", "plan", system, "--uri", mongo.uri)
    assert (code, "which database?" in told) == (1, True)
    assert run("mongo", "init", system, "-u", f"{mongo.uri}/{mongo.database.name}", "-y")[0] == 0
    assert "b_1" in mongo["a"].index_information()
    code, told = run("mongo", "plan", system, "-u", "mongodb://u:s3cret@127.0.0.1:1/x?serverSelectionTimeoutMS=200")
    assert (code, "no MongoDB server answers at mongodb://127.0.0.1:1" in told) == (1, True)
    assert "s3cret" not in told
