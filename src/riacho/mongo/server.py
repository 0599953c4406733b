"""The collections of a database: what there is, and changing it. Needs the extra `mongodb`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Self

from riacho.connectors.mongodb import client
from riacho.mongo.plan import (
    ChangeCollection,
    CollectionStep,
    CreateCollection,
    CreateIndex,
    FoundCollection,
    ShardCollection,
)
from riacho.mongo.wanted import WantedCollection, WantedIndex

_MONGOS: Final = "isdbgrid"
_NO_COLLECTION: Final = "riacho.nothing"
"""A collection that is not there: looking into it costs nothing."""


class CollectionsServer:
    """A database at an address; to be closed. Raises SparkGeneralError and AnalysisError for what goes wrong there."""

    def __init__(self, uri: str, database: str) -> None:
        self._uri = uri
        self._connection = client.connect(uri)
        with client.told(uri, f"Looking at the database {database!r}"):
            self._database = self._connection[database]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def is_sharded(self) -> bool:
        """Whether it is a mongos, through which collections are sharded."""
        with client.told(self._uri, "Asking the server what it is"):
            return bool(self._connection.admin.command("hello").get("msg") == _MONGOS)

    def collections(self, names: Iterable[str]) -> dict[str, FoundCollection]:
        """Those of these collections that there are."""
        wanted = list(names)
        with client.told(self._uri, f"Looking at the collections of {self._database.name}"):
            found = {}
            for told in self._database.list_collections(filter={"name": {"$in": wanted}}):
                name, is_view = str(told["name"]), told.get("type") == "view"
                indexes = () if is_view else tuple(dict(one) for one in self._database[name].list_indexes())
                options = dict(told.get("options") or {})
                found[name] = FoundCollection(name, options, indexes, self._shard_key(name), is_view)
            return found

    def _shard_key(self, name: str) -> tuple[tuple[str, Any], ...] | None:
        if not self.is_sharded():
            return None
        found = self._connection["config"]["collections"].find_one({"_id": f"{self._database.name}.{name}"})
        if not found or found.get("dropped") or found.get("unsplittable"):
            return None
        return tuple((field, int(way) if isinstance(way, float) else way) for field, way in found["key"].items())

    def check(self, collections: Iterable[WantedCollection]) -> None:
        """Have the server read the conditions, of validators and of indexes, before anything is done.

        Raises SparkGeneralError for one that it does not understand.
        """
        for one in collections:
            conditions = [("validator", one.validator), *((index.name, index.where) for index in one.indexes)]
            for what, condition in conditions:
                if condition is not None:
                    with client.told(self._uri, f"Reading the condition of {self._database.name}.{one.name}, {what},"):
                        self._database[_NO_COLLECTION].find_one(condition)

    def do(self, step: CollectionStep) -> None:
        """Do one step of a plan; steps that ask for nothing do nothing."""
        with client.told(self._uri, f"What was asked of {self._database.name}.{step.name}"):
            match step:
                case CreateCollection(collection):
                    self._database.create_collection(collection.name, **_options(collection))
                case ChangeCollection(name, command, _):
                    self._database.command("collMod", name, **command)
                case CreateIndex(name, index):
                    self._database[name].create_index(list(index.keys), **_index_options(index))
                case ShardCollection(name, keys, unique):
                    self._connection.admin.command("enableSharding", self._database.name)
                    place = f"{self._database.name}.{name}"
                    self._connection.admin.command("shardCollection", place, key=dict(keys), unique=unique)
                case _:
                    pass


def _options(collection: WantedCollection) -> dict[str, Any]:
    """What a new collection is made with."""
    options: dict[str, Any] = {
        "validator": collection.validator,
        "validationLevel": collection.level,
        "validationAction": collection.action,
        "collation": collection.collation,
        "max": collection.capped_documents,
    }
    if collection.pre_images is not None:
        options["changeStreamPreAndPostImages"] = {"enabled": collection.pre_images}
    if collection.capped_bytes is not None:
        options |= {"capped": True, "size": collection.capped_bytes}
    if (series := collection.series) is not None:
        fields = {"timeField": series.time, "metaField": series.meta, "granularity": series.granularity}
        options["timeseries"] = {name: value for name, value in fields.items() if value is not None}
        options["expireAfterSeconds"] = series.expire_s
    return {name: value for name, value in options.items() if value is not None}


def _index_options(index: WantedIndex) -> dict[str, Any]:
    options: dict[str, Any] = {"name": index.name}
    if index.unique:
        options["unique"] = True
    if index.sparse:
        options["sparse"] = True
    if index.where:
        options["partialFilterExpression"] = dict(index.where)
    if index.expire_s is not None:
        options["expireAfterSeconds"] = index.expire_s
    return options
