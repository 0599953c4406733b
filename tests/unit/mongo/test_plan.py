"""Collections as a file says: what the file may say, and what has to be done for it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from riacho.errors import IllegalArgumentError
from riacho.mongo.plan import (
    ChangeCollection,
    CollectionStep,
    CreateCollection,
    CreateIndex,
    FoundCollection,
    ImpossibleCollection,
    ShardCollection,
    UnchangedCollection,
    plan,
)
from riacho.mongo.wanted import WantedCollection, wanted

ID = {"key": {"_id": 1}, "name": "_id_"}


def collection(text: str) -> WantedCollection:
    (one,) = wanted({"collections": {"c": yaml.safe_load(text)}}, "f").collections
    return one


def steps(text: str, found: FoundCollection | None = None, *, sharded: bool = False) -> list[CollectionStep]:
    return plan([collection(text)], {} if found is None else {"c": found}, sharded=sharded)


def found(options: dict[str, Any] | None = None, *indexes: dict[str, Any], **more: Any) -> FoundCollection:
    return FoundCollection("c", options or {}, (ID, *indexes), **more)


def impossible(text: str, there: FoundCollection, **more: Any) -> str:
    (step,) = steps(text, there, **more)
    assert isinstance(step, ImpossibleCollection)
    return step.why


def test_what_is_not_there_is_made() -> None:
    text = "{schema: {bsonType: object}, indexes: [{keys: {a: 1, b: -1}}, {keys: {t: 1}, expire-after: 1d}]}"
    made, first, second = steps(text)
    assert isinstance(made, CreateCollection)
    assert made.collection.validator == {"$jsonSchema": {"bsonType": "object"}}
    assert isinstance(first, CreateIndex)
    assert (first.index.name, first.index.keys) == ("a_1_b_-1", (("a", 1), ("b", -1)))
    assert isinstance(second, CreateIndex)
    assert second.index.expire_s == 86_400


def test_a_second_run_has_nothing_to_do() -> None:
    text = """
    {validator: {a: {$gt: 1}}, validation-level: off, pre-images: true,
     indexes: [{keys: {a: 1}, unique: true, where: {a: {$exists: true}}}, {keys: {t: 1}, expire-after: 1h}]}
    """
    options = {
        "validator": {"a": {"$gt": 1}},
        "validationLevel": "off",
        "changeStreamPreAndPostImages": {"enabled": True},
    }
    a = {"key": {"a": 1.0}, "name": "other", "unique": True, "partialFilterExpression": {"a": {"$exists": True}}}
    t = {"key": {"t": 1}, "name": "t_1", "expireAfterSeconds": 3600}
    assert steps(text, found(options, a, t)) == [UnchangedCollection("c")]
    assert steps("{}", found({"validator": {"x": 1}})) == [UnchangedCollection("c")]


def test_what_can_be_changed() -> None:
    (changed,) = steps(
        "{validator: {a: 1}, validation-action: warn, pre-images: false}", found({"validator": {"a": 2}})
    )
    assert isinstance(changed, ChangeCollection)
    assert changed.command == {"validator": {"a": 1}, "validationAction": "warn"}
    assert changed.told[0] == ("validator", {"a": 2}, {"a": 1})
    (longer,) = steps(
        "{indexes: [{keys: {t: 1}, expire-after: 2h}]}",
        found({}, {"key": {"t": 1}, "name": "t_1", "expireAfterSeconds": 3600}),
    )
    assert isinstance(longer, ChangeCollection)
    assert longer.command == {"index": {"name": "t_1", "expireAfterSeconds": 7200}}
    series = {"timeseries": {"timeField": "t", "granularity": "seconds"}}
    (coarser,) = steps("{time-series: {time: t, granularity: hours, expire-after: 1h}}", found(series))
    assert isinstance(coarser, ChangeCollection)
    assert coarser.command == {"timeseries": {"granularity": "hours"}, "expireAfterSeconds": 3600}


def test_what_cannot_be_changed() -> None:
    there = {"key": {"a": 1}, "name": "a_1"}
    assert "unique = false" in impossible("{indexes: [{keys: {a: 1}, unique: true}]}", found({}, there))
    assert "other keys" in impossible("{indexes: [{keys: {b: 1}, name: a_1}]}", found({}, there))
    assert "under the name a_1" in impossible("{indexes: [{keys: {a: 1}, name: mine}]}", found({}, there))
    assert "another condition" in impossible("{indexes: [{keys: {a: 1}, where: {b: 1}}]}", found({}, there))
    assert "no time series" in impossible("{time-series: {time: t}}", found())
    series = found({"timeseries": {"timeField": "t", "granularity": "hours"}})
    assert "stay what it was made with" in impossible("{time-series: {time: u}}", series)
    assert "no finer" in impossible("{time-series: {time: t, granularity: seconds}}", series)
    assert "not capped" in impossible("{capped: {size: 1m}}", found())
    assert "1024 bytes" in impossible("{capped: {size: 1m}}", found({"capped": True, "size": 1024}))
    assert steps("{capped: {size: 1000}}", found({"capped": True, "size": 1024})) == [UnchangedCollection("c")]
    assert "there is a view" in impossible("{}", found(is_view=True))
    assert "collation" in impossible("{collation: {locale: pt}}", found())


def test_shards() -> None:
    text = "{shard-key: {a: hashed}}"
    (refused,) = steps(text)
    assert isinstance(refused, ImpossibleCollection)
    assert "only a mongos does" in refused.why
    assert [type(step) for step in steps(text, sharded=True)] == [CreateCollection, ShardCollection]
    assert steps(text, found(), sharded=True) == [ShardCollection("c", (("a", "hashed"),))]
    assert steps(text, found(shard_key=(("a", "hashed"),)), sharded=True) == [UnchangedCollection("c")]
    assert "reshardCollection" in impossible(text, found(shard_key=(("b", 1),)), sharded=True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{colour: red}", "'colour', which means nothing here"),
        ("{schema: {}, validator: {}}", "both schema and validator"),
        ("{indexes: [{unique: true}]}", "keys must be fields"),
        ("{indexes: [{keys: {a: up}}]}", "keys must be fields"),
        ("{indexes: [{keys: {a: 1}}, {keys: {a: 1}}]}", "the index a_1 twice"),
        ("{indexes: {a: 1}}", "indexes must be a list"),
        ("{time-series: {meta: m}}", "needs 'time'"),
        ("{time-series: {time: t}, capped: {size: 1m}}", "cannot be capped"),
        ("{time-series: {time: t, expire-after: soon}}", "must be a time such as"),
        ("{validation-level: lax}", "must be one of strict, moderate, off"),
        ("{capped: {documents: 5}}", "must be a size such as"),
        ("{pre-images: often}", "must be true or false"),
        ("{validator: [1]}", "must be a mapping"),
        ("{validator: {1: {}}}", "nothing that MongoDB can keep: .* must have only string keys"),
        ("{indexes: [{keys: {a: yes}}]}", "keys must be fields"),
        ("{indexes: [{keys: {a: 1.0}}]}", "keys must be fields"),
        ("{indexes: [{keys: {a: 1, b: 1}, expire-after: 1d}]}", "expire-after takes one plain field"),
        ("{indexes: [{keys: {a: 1}, expire-after: 30000d}]}", "nothing for longer than 24855d"),
        ("{indexes: [{keys: {_id: 1}, expire-after: 1d}]}", "the index of _id is there as it is"),
        ("{indexes: [{keys: {a: hashed}, unique: true}]}", "a hashed index cannot be unique"),
        ("{indexes: [{keys: {a: 1}, sparse: true, where: {a: 1}}]}", "sparse or has 'where'"),
        ("{time-series: {time: t, meta: t}}", "meta cannot be 't'"),
    ],
)
def test_files_that_are_refused(text: str, told: str) -> None:
    with pytest.raises(IllegalArgumentError, match=told):
        collection(text)


def test_a_file_without_collections() -> None:
    with pytest.raises(IllegalArgumentError, match="has no collections"):
        wanted({"database": "shop"}, "f")


@pytest.mark.parametrize("name", ["", "a$b", "system.users", ".a", "a.", "x" * 256])
def test_names_that_no_collection_has(name: str) -> None:
    with pytest.raises(IllegalArgumentError, match="a collection cannot be called|is longer than 255 bytes"):
        wanted({"collections": {"good": {}, name: {}}}, "f")


def test_the_index_of_ids_is_there_without_being_asked_for() -> None:
    assert [type(step) for step in steps("{indexes: [{keys: {_id: 1}}]}")] == [CreateCollection]
