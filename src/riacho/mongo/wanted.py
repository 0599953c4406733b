"""The file that says which collections there should be.

uri: mongodb://localhost:27017       # or --uri
database: shop
collections:
  orders:
    schema: {bsonType: object, required: [customer]}
    indexes:
      - {keys: {customer: 1, at: -1}, unique: true}
      - {keys: {at: 1}, expire-after: 30d}
  readings:
    time-series: {time: at, meta: sensor, granularity: minutes}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from riacho import units
from riacho.errors import IllegalArgumentError
from riacho.extras import require
from riacho.yaml_files import document, mapping

_TOP: Final = frozenset({"uri", "database", "collections"})
_OF_COLLECTION: Final = frozenset(
    {"schema", "validator", "validation-level", "validation-action", "pre-images", "indexes", "time-series", "capped",
     "shard-key", "collation"}
)  # fmt: skip
_OF_INDEX: Final = frozenset({"keys", "name", "unique", "sparse", "where", "expire-after"})
_OF_SERIES: Final = frozenset({"time", "meta", "granularity", "expire-after"})
_OF_CAPPED: Final = frozenset({"size", "documents"})
GRANULARITIES: Final = ("seconds", "minutes", "hours")
_LEVELS: Final = ("strict", "moderate", "off")
_ACTIONS: Final = ("error", "warn")
_WAYS: Final = (1, -1, "hashed", "text", "2d", "2dsphere")
_OF_IDS: Final = (("_id", 1),)
_LONGEST_NAME: Final = 255
_LONGEST_S: Final = (1 << 31) - 1


@dataclass(frozen=True)
class WantedIndex:
    """An index as it should be. `expire_s`: None for documents that stay."""

    keys: tuple[tuple[str, Any], ...]
    name: str
    is_named: bool = False
    unique: bool = False
    sparse: bool = False
    where: Mapping[str, Any] | None = None
    expire_s: int | None = None


@dataclass(frozen=True)
class WantedSeries:
    """A time series. None: as the server has it."""

    time: str
    meta: str | None = None
    granularity: str | None = None
    expire_s: int | None = None


@dataclass(frozen=True)
class WantedCollection:
    """A collection as it should be. None: the file does not speak of it."""

    name: str
    validator: Mapping[str, Any] | None = None
    level: str | None = None
    action: str | None = None
    pre_images: bool | None = None
    indexes: tuple[WantedIndex, ...] = ()
    series: WantedSeries | None = None
    capped_bytes: int | None = None
    capped_documents: int | None = None
    shard_key: tuple[tuple[str, Any], ...] = ()
    collation: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class WantedCollections:
    """What a file says; the address and the database may come from elsewhere."""

    collections: tuple[WantedCollection, ...]
    uri: str | None
    database: str | None


def read(path: Path) -> WantedCollections:
    """The file's content. Raises IllegalArgumentError that names what is wrong with it."""
    return wanted(document(path), str(path))


def wanted(given: Any, where: str) -> WantedCollections:
    """What a document says. `where`: what messages call it. Raises IllegalArgumentError."""
    top = mapping(given, where, _TOP)
    named = top.get("collections")
    if not isinstance(named, dict) or not named:
        raise IllegalArgumentError(f"{where} has no collections: list them under 'collections:'")
    found = tuple(_collection(_name(name, where), own, f"{where}: {name}") for name, own in named.items())
    uri, database = top.get("uri"), top.get("database")
    return WantedCollections(found, None if uri is None else str(uri), None if database is None else str(database))


def _name(given: Any, where: str) -> str:
    """The name of a collection that MongoDB makes."""
    name = str(given)
    if not name or "$" in name or "\0" in name or name.startswith(("system.", ".")) or name.endswith("."):
        raise IllegalArgumentError(
            f"{where}: a collection cannot be called {name!r}: it needs a name without '$', which begins with no "
            "'system.', and has no dot at its ends"
        )
    if len(name.encode()) > _LONGEST_NAME:
        raise IllegalArgumentError(f"{where}: the name {name[:40]}… is longer than {_LONGEST_NAME} bytes")
    return name


def _collection(name: str, given: Any, place: str) -> WantedCollection:
    own = mapping(given, place, _OF_COLLECTION)
    if "schema" in own and "validator" in own:
        raise IllegalArgumentError(f"{place} has both schema and validator: put the schema into it, as $jsonSchema")
    validator = {"$jsonSchema": own["schema"]} if "schema" in own else own.get("validator")
    indexes = own.get("indexes") or []
    if not isinstance(indexes, list):
        raise IllegalArgumentError(f"{place}: indexes must be a list, not {indexes!r}")
    capped = mapping(own.get("capped"), f"{place}: capped", _OF_CAPPED)
    made = WantedCollection(
        name,
        _any_mapping(validator, f"{place}: validator"),
        _word(own.get("validation-level"), f"{place}: validation-level", _LEVELS),
        _word(own.get("validation-action"), f"{place}: validation-action", _ACTIONS),
        _flag(own.get("pre-images"), f"{place}: pre-images"),
        # That of `_id` is there without being asked for.
        tuple(
            index for at, one in enumerate(indexes, 1) if (index := _index(one, f"{place}: index {at}")).keys != _OF_IDS
        ),
        _series(own["time-series"], f"{place}: time-series") if "time-series" in own else None,
        _size(capped.get("size"), f"{place}: capped: size") if capped else None,
        _count(capped.get("documents"), f"{place}: capped: documents"),
        _keys(own["shard-key"], f"{place}: shard-key") if "shard-key" in own else (),
        _any_mapping(own.get("collation"), f"{place}: collation"),
    )
    if made.series is not None and (made.validator is not None or capped):
        raise IllegalArgumentError(f"{place} is a time series, which cannot have a validator and cannot be capped")
    names = [index.name for index in made.indexes]
    for one in names:
        if names.count(one) > 1:
            raise IllegalArgumentError(f"{place} has the index {one} twice")
    return made


def _index(given: Any, place: str) -> WantedIndex:
    own = mapping(given, place, _OF_INDEX)
    keys = _keys(own.get("keys"), f"{place}: keys")
    name = own.get("name")
    made = WantedIndex(
        keys,
        str(name) if name else "_".join(f"{field}_{way}" for field, way in keys),
        bool(name),
        bool(_flag(own.get("unique"), f"{place}: unique")),
        bool(_flag(own.get("sparse"), f"{place}: sparse")),
        _any_mapping(own.get("where"), f"{place}: where"),
        _seconds(own.get("expire-after"), f"{place}: expire-after"),
    )
    ways = {way for _, way in keys}
    for wrong, why in (
        (made.expire_s is not None and (len(keys) > 1 or not ways & {1, -1}), "expire-after takes one plain field"),
        (made.keys == _OF_IDS and own.keys() - {"keys"}, "the index of _id is there as it is, and cannot be changed"),
        (made.unique and "hashed" in ways, "a hashed index cannot be unique"),
        (made.sparse and made.where is not None, "an index is sparse or has 'where', not both"),
    ):
        if wrong:
            raise IllegalArgumentError(f"{place}: {why}")
    return made


def _series(given: Any, place: str) -> WantedSeries:
    own = mapping(given, place, _OF_SERIES)
    if not own.get("time"):
        raise IllegalArgumentError(f"{place} needs 'time': the field with the time of each measurement")
    meta = own.get("meta")
    granularity = _word(own.get("granularity"), f"{place}: granularity", GRANULARITIES)
    expire_s = _seconds(own.get("expire-after"), f"{place}: expire-after")
    if meta == own["time"] or meta == "_id":
        raise IllegalArgumentError(
            f"{place}: meta cannot be {meta!r}: name the field that says whose measurement it is"
        )
    return WantedSeries(str(own["time"]), None if meta is None else str(meta), granularity, expire_s)


def _keys(given: Any, place: str) -> tuple[tuple[str, Any], ...]:
    if (
        not isinstance(given, dict)
        or not given
        or not all(type(way) in (int, str) and way in _WAYS for way in given.values())
    ):
        raise IllegalArgumentError(
            f"{place} must be fields with {', '.join(map(str, _WAYS))} each, such as {{customer: 1, at: -1}}, not "
            f"{given!r}"
        )
    return tuple((str(field), way) for field, way in given.items())


def _any_mapping(given: Any, place: str) -> Mapping[str, Any] | None:
    """A mapping as the server has it when it is asked. Raises IllegalArgumentError for what BSON cannot say."""
    if given is None:
        return None
    if not isinstance(given, dict):
        raise IllegalArgumentError(f"{place} must be a mapping, not {given!r}")
    bson = require("bson", "mongodb", "riacho mongo")
    from bson.errors import BSONError

    try:
        found: Mapping[str, Any] = bson.decode(bson.encode(_moments(given)))
    except (BSONError, OverflowError, ValueError) as error:
        raise IllegalArgumentError(f"{place} is nothing that MongoDB can keep: {error}") from None
    return found


def _moments(given: Any) -> Any:
    """The same with moments where YAML has days."""
    if isinstance(given, dict):
        return {name: _moments(value) for name, value in given.items()}
    if isinstance(given, list):
        return [_moments(value) for value in given]
    if isinstance(given, date) and not isinstance(given, datetime):
        return datetime(given.year, given.month, given.day, tzinfo=UTC)
    return given


def _word(given: Any, place: str, words: tuple[str, ...]) -> str | None:
    # YAML takes `off` for false.
    text = "off" if given is False and "off" in words else given
    if text is not None and text not in words:
        raise IllegalArgumentError(f"{place} must be one of {', '.join(words)}, not {given!r}")
    return text


def _flag(given: Any, place: str) -> bool | None:
    if given is not None and not isinstance(given, bool):
        raise IllegalArgumentError(f"{place} must be true or false, not {given!r}")
    return given


def _count(given: Any, place: str) -> int | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise IllegalArgumentError(f"{place} must be a whole number, 1 or more, not {given!r}")
    return given


def _size(given: Any, place: str) -> int:
    found = units.byte_size(str(given)) if given is not None else None
    if not found:
        raise IllegalArgumentError(f"{place} must be a size such as 16m, not {given!r}")
    return found


def _seconds(given: Any, place: str) -> int | None:
    if given is None:
        return None
    ms = units.time_ms(str(given))
    if ms is None or ms < 0 or ms % 1000:
        raise IllegalArgumentError(f"{place} must be a time such as 30d or 12h, in whole seconds, not {given!r}")
    if ms // 1000 > _LONGEST_S:
        raise IllegalArgumentError(f"{place} is {given}, and MongoDB keeps nothing for longer than 24855d")
    return ms // 1000
