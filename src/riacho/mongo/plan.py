"""What has to be done so that collections are as they should be: decided first, done later (`server`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from riacho.mongo.wanted import GRANULARITIES, WantedCollection, WantedIndex

ANEW: Final = "make a new collection, copy the documents, and give it the name"


@dataclass(frozen=True)
class FoundCollection:
    """A collection as the server has it. `options`: as `listCollections` tells them; `indexes`: as `listIndexes` does.
    `shard_key`: None for one that is not sharded.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    indexes: tuple[Mapping[str, Any], ...] = ()
    shard_key: tuple[tuple[str, Any], ...] | None = None
    is_view: bool = False


@dataclass(frozen=True)
class CreateCollection:
    collection: WantedCollection

    @property
    def name(self) -> str:
        return self.collection.name


@dataclass(frozen=True)
class ChangeCollection:
    """What `collMod` changes: `command` is its arguments. `told`: each change with what is now and what is wanted."""

    name: str
    command: Mapping[str, Any]
    told: tuple[tuple[str, Any, Any], ...]


@dataclass(frozen=True)
class CreateIndex:
    name: str
    index: WantedIndex


@dataclass(frozen=True)
class ShardCollection:
    name: str
    keys: tuple[tuple[str, Any], ...]
    unique: bool = False


@dataclass(frozen=True)
class ImpossibleCollection:
    """What the file asks for and MongoDB does not do. `why` also says what to do instead."""

    name: str
    why: str


@dataclass(frozen=True)
class UnchangedCollection:
    name: str


CollectionStep = (
    CreateCollection | ChangeCollection | CreateIndex | ShardCollection | ImpossibleCollection | UnchangedCollection
)


def plan(
    wanted: Iterable[WantedCollection], found: Mapping[str, FoundCollection], *, sharded: bool
) -> list[CollectionStep]:
    """The steps, in the order of the file. `sharded`: the server is a mongos. What the file does not name stays."""
    return [step for one in wanted for step in _steps(one, found.get(one.name), sharded=sharded)]


def _steps(wanted: WantedCollection, found: FoundCollection | None, *, sharded: bool) -> Iterator[CollectionStep]:
    if wanted.shard_key and not sharded:
        yield ImpossibleCollection(
            wanted.name, "it is to be sharded, which only a mongos does: give its address, or leave shard-key out"
        )
        return
    if found is None:
        yield CreateCollection(wanted)
        for index in wanted.indexes:
            yield CreateIndex(wanted.name, index)
        if wanted.shard_key:
            yield ShardCollection(wanted.name, wanted.shard_key)
        return
    if found.is_view:
        yield ImpossibleCollection(wanted.name, "there is a view of that name: drop it, or choose another name")
        return
    steps = [*_of_options(wanted, found), *_of_indexes(wanted, found), *_of_shards(wanted, found)]
    yield from steps or [UnchangedCollection(wanted.name)]


def _of_options(wanted: WantedCollection, found: FoundCollection) -> Iterator[CollectionStep]:
    options = found.options
    command: dict[str, Any] = {}
    told: list[tuple[str, Any, Any]] = []

    def change(key: str, name: str, now: Any, value: Any, given: Any = None) -> None:
        if value is not None and now != value:
            command[key] = value if given is None else given
            told.append((name, now, value))

    change("validator", "validator", options.get("validator") or None, wanted.validator)
    change("validationLevel", "validation-level", options.get("validationLevel", "strict"), wanted.level)
    change("validationAction", "validation-action", options.get("validationAction", "error"), wanted.action)
    images = bool((options.get("changeStreamPreAndPostImages") or {}).get("enabled"))
    change("changeStreamPreAndPostImages", "pre-images", images, wanted.pre_images, {"enabled": wanted.pre_images})
    yield from _of_series(wanted, found, change)
    yield from _of_capped(wanted, found)
    if wanted.collation is not None and not _has(options.get("collation") or {}, wanted.collation):
        yield ImpossibleCollection(wanted.name, f"its collation is another, and stays what it was made with: {ANEW}")
    if command:
        yield ChangeCollection(wanted.name, command, tuple(told))


def _of_series(wanted: WantedCollection, found: FoundCollection, change: Any) -> Iterator[CollectionStep]:
    now = found.options.get("timeseries")
    if (wanted.series is None) != (now is None):
        is_one = "it is a time series" if now else "it is no time series"
        if now is None or wanted.capped_bytes or wanted.validator is not None:
            yield ImpossibleCollection(wanted.name, f"{is_one}, which cannot be changed: {ANEW}")
        return
    if wanted.series is None or now is None:
        return
    if (wanted.series.time, wanted.series.meta) != (now.get("timeField"), now.get("metaField")):
        yield ImpossibleCollection(
            wanted.name,
            f"its fields are {now.get('timeField')} and {now.get('metaField')}, and stay what it was made with: {ANEW}",
        )
    granularity, has = wanted.series.granularity, now.get("granularity", GRANULARITIES[0])
    if granularity is not None and GRANULARITIES.index(granularity) < GRANULARITIES.index(has):
        yield ImpossibleCollection(
            wanted.name, f"its granularity is {has}, and MongoDB makes it no finer: ask for {has}, or {ANEW}"
        )
    else:
        change("timeseries", "granularity", has, granularity, {"granularity": granularity})
    change("expireAfterSeconds", "expire-after", found.options.get("expireAfterSeconds"), wanted.series.expire_s)


def _of_capped(wanted: WantedCollection, found: FoundCollection) -> Iterator[CollectionStep]:
    if wanted.capped_bytes is None:
        return
    if not found.options.get("capped"):
        yield ImpossibleCollection(
            wanted.name,
            f"it is not capped: have the database do it (convertToCapped), which drops its indexes, or {ANEW}",
        )
        return
    size, most = found.options.get("size"), found.options.get("max")
    # A server rounds a size up to a multiple of 256.
    if size not in (wanted.capped_bytes, -(-wanted.capped_bytes // 256) * 256) or most != wanted.capped_documents:
        yield ImpossibleCollection(
            wanted.name,
            f"it is capped at {_capped(size, most)}, and the file says "
            f"{_capped(wanted.capped_bytes, wanted.capped_documents)}: {ANEW}",
        )


def _capped(size: Any, most: Any) -> str:
    return f"{size} bytes" if most is None else f"{size} bytes and {most} documents"


def _of_indexes(wanted: WantedCollection, found: FoundCollection) -> Iterator[CollectionStep]:
    by_name = {str(index["name"]): index for index in found.indexes}
    by_keys = {_keys_of(index): index for index in found.indexes}
    for index in wanted.indexes:
        now = by_name.get(index.name)
        if now is None and not index.is_named:
            now = by_keys.get(index.keys)
        if now is None and index.keys in by_keys:
            yield ImpossibleCollection(
                wanted.name,
                f"the index {index.name} is there already under the name {by_keys[index.keys]['name']}: take that "
                "name, or drop it",
            )
        elif now is None:
            yield CreateIndex(wanted.name, index)
        elif different := _different(index, now):
            yield ImpossibleCollection(
                wanted.name, f"the index {now['name']} has {different}: drop it, or give the new one another name"
            )
        elif index.expire_s != now.get("expireAfterSeconds") and index.expire_s is not None:
            yield ChangeCollection(
                wanted.name,
                {"index": {"name": now["name"], "expireAfterSeconds": index.expire_s}},
                ((f"{now['name']} expire-after", now.get("expireAfterSeconds"), index.expire_s),),
            )


def _different(index: WantedIndex, now: Mapping[str, Any]) -> str:
    """What an index has otherwise than it should, in words; empty if nothing."""
    if _keys_of(now) != index.keys:
        return f"other keys, {dict(_keys_of(now))}"
    if bool(now.get("unique")) != index.unique:
        return f"unique = {str(bool(now.get('unique'))).lower()}"
    if bool(now.get("sparse")) != index.sparse:
        return f"sparse = {str(bool(now.get('sparse'))).lower()}"
    if (now.get("partialFilterExpression") or None) != (index.where or None):
        return f"another condition, {now.get('partialFilterExpression')}"
    return ""


def _keys_of(index: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Its fields; of a text index those whose words it has."""
    if "weights" in index:
        return tuple((str(name), "text") for name in index["weights"])
    return tuple((str(name), int(way) if isinstance(way, float) else way) for name, way in index["key"].items())


def _of_shards(wanted: WantedCollection, found: FoundCollection) -> Iterator[CollectionStep]:
    if not wanted.shard_key or found.shard_key == wanted.shard_key:
        return
    if found.shard_key is None:
        yield ShardCollection(wanted.name, wanted.shard_key)
        return
    yield ImpossibleCollection(
        wanted.name,
        f"it is sharded by {dict(found.shard_key)}: have the database reshard it (reshardCollection), which takes long",
    )


def _has(now: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(now.get(name) == value for name, value in wanted.items())
