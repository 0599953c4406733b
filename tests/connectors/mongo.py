"""A server of MongoDB's protocol for the tests here: one for the whole run, each test with a database of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database
from pyspark.sql import DataFrame, DataFrameReader, DataFrameWriter, SparkSession

from riacho.testing.mongo import MongoServer
from tests.connectors.services import laid


@dataclass(frozen=True)
class Mongo:
    """A database of a test's own, and how Spark is told of it."""

    uri: str
    database: Database[dict[str, Any]]

    def __getitem__(self, name: str) -> Collection[dict[str, Any]]:
        return self.database[name]

    def options(self, collection: str, **more: Any) -> dict[str, Any]:
        """`__` in a name is a dot."""
        named = {name.replace("__", "."): value for name, value in more.items()}
        return {"connection.uri": self.uri, "database": self.database.name, "collection": collection, **named}

    def reader(self, spark: SparkSession, collection: str, **more: Any) -> DataFrameReader:
        return spark.read.format("mongodb").options(**self.options(collection, **more))

    def read(self, spark: SparkSession, collection: str, schema: str | None = None, **more: Any) -> DataFrame:
        reader = self.reader(spark, collection, **more)
        return (reader.schema(schema) if schema else reader).load()

    def writer(self, frame: DataFrame, collection: str, **more: Any) -> DataFrameWriter:
        return frame.write.format("mongodb").mode("append").options(**self.options(collection, **more))

    def write(self, frame: DataFrame, collection: str, **more: Any) -> list[dict[str, Any]]:
        """What is in the collection afterwards, by `_id`."""
        self.writer(frame, collection, **more).save()
        return self.documents(collection)

    def documents(self, collection: str) -> list[dict[str, Any]]:
        """All there is, sorted by `_id`."""
        return list(self.database[collection].find().sort("_id"))


@pytest.fixture(scope="session")
def mongo_home() -> Path:
    """Where `make services` has laid the server."""
    return laid("mongo", "server of MongoDB's protocol")


@pytest.fixture(scope="session")
def mongo_server(mongo_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    """The server that all tests share."""
    with MongoServer(mongo_home, tmp_path_factory.mktemp("mongo")) as server:
        yield server


@pytest.fixture
def mongo(mongo_server: MongoServer) -> Iterator[Mongo]:
    """A database of the test's own."""
    with MongoClient[dict[str, Any]](mongo_server.uri, serverSelectionTimeoutMS=10_000) as client:
        database = client[f"t{uuid4().hex[:10]}"]
        yield Mongo(mongo_server.uri, database)
        client.drop_database(database.name)
