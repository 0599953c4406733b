"""Endpoints as a file declares them: tokens, schemas, limits, retention."""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from riacho import units
from riacho.connectors.ddl import schema_of
from riacho.connectors.ingest.retention import LogRetention
from riacho.errors import IllegalArgumentError
from riacho.yaml_files import document, mapping

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""What an endpoint may be called; it is also the name of a folder."""
MAX_BODY: Final = 16 << 20
_SECRET: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_KEYS: Final = frozenset(
    {"token", "schema", "bad_data", "bad_data_path", "max_body", "rate", "burst", "requests", "retention"}
)
_RETENTION: Final = frozenset({"age", "size", "backlog", "forget_readers"})


@dataclass(frozen=True)
class EndpointConfig:
    """One endpoint.

    `schema`: columns and their types; None: events are taken as they come. `bad_data`: `reject` a request that has an
    event which does not fit, or set such events aside in a `dead_letter` table. `rate`, `requests`: how many events and
    requests a second, None for no limit; `burst`: how many seconds' worth of them may come at once.
    """

    name: str
    token: str | None = field(default=None, repr=False)
    schema: pa.Schema | None = None
    bad_data: str = "reject"
    bad_data_path: str | None = None
    max_body: int = MAX_BODY
    rate: float | None = None
    requests: float | None = None
    burst: float = 1.0
    retention: LogRetention = field(default_factory=LogRetention)

    def admits(self, authorization: str, key: str) -> bool:
        """Whether a request has the token: `Authorization: Bearer …`, or an `X-Api-Key`."""
        if self.token is None:
            return True
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() != "bearer":
            given = key
        # In a time that does not tell how much of it was right.
        return hmac.compare_digest(given.strip().encode(), self.token.encode())


@dataclass(frozen=True)
class IngestConfig:
    """What a server offers. `open`: any other name is taken too, as `defaults` say."""

    endpoints: Mapping[str, EndpointConfig]
    open: bool = False
    defaults: EndpointConfig = field(default_factory=lambda: EndpointConfig("any other"))

    def endpoint(self, name: str) -> EndpointConfig | None:
        """The endpoint of that name; None if there is none."""
        found = self.endpoints.get(name)
        if found is None and self.open and NAME.fullmatch(name):
            return replace(self.defaults, name=name)
        return found


def from_file(path: Path) -> IngestConfig:
    """The endpoints of a file. Raises IllegalArgumentError for what is wrong in it and for a secret that is not set."""
    top = mapping(document(path), str(path), frozenset({"endpoints", "defaults", "open"}))
    defaults = mapping(top.get("defaults"), f"{path}: defaults", _KEYS - {"schema"})
    given = top.get("endpoints")
    if not isinstance(given, dict) or not given:
        raise IllegalArgumentError(f"{path} must have 'endpoints:', a mapping of names to what holds for them")
    is_open = top.get("open", False)
    if not isinstance(is_open, bool):
        raise IllegalArgumentError(f"{path}: open must be true or false, not {is_open!r}")
    endpoints = {str(name): _endpoint(str(name), each, defaults, path) for name, each in given.items()}
    if not is_open:
        return IngestConfig(endpoints)
    return IngestConfig(endpoints, is_open, _endpoint("any-other", {}, defaults, path))


def check_name(name: str) -> None:
    """Raises IllegalArgumentError for what cannot be the name of an endpoint."""
    if not NAME.fullmatch(name):
        raise IllegalArgumentError(
            f"{name!r} cannot be the name of an endpoint: letters, digits, '.', '_' and '-', no sign first"
        )


def _endpoint(name: str, given: Any, defaults: Mapping[str, Any], path: Path) -> EndpointConfig:
    where = f"{path}: endpoint {name}"
    check_name(name)
    own = {**defaults, **mapping(given, where, _KEYS)}
    schema = _schema(own.get("schema"), where)
    bad_data = str(own.get("bad_data", "reject"))
    if bad_data not in {"reject", "dead_letter"}:
        raise IllegalArgumentError(f"{where}: bad_data must be reject or dead_letter, not {bad_data!r}")
    if bad_data == "dead_letter" and not (own.get("bad_data_path") and schema is not None):
        raise IllegalArgumentError(f"{where}: bad_data: dead_letter needs a bad_data_path and a schema")
    return EndpointConfig(
        name,
        token=_secret(own.get("token"), f"{where}: token"),
        schema=schema,
        bad_data=bad_data,
        bad_data_path=own.get("bad_data_path"),
        max_body=_size(own, "max_body", where, MAX_BODY),
        rate=_number(own, "rate", where),
        requests=_number(own, "requests", where),
        burst=_number(own, "burst", where) or 1.0,
        retention=_retention(own.get("retention"), where),
    )


def _schema(given: Any, where: str) -> pa.Schema | None:
    if given is None:
        return None
    if not (isinstance(given, dict) and given and all(isinstance(kind, str) for kind in given.values())):
        raise IllegalArgumentError(f"{where}: schema must be a mapping of columns to types, such as id: BIGINT")
    try:
        return schema_of({str(name): kind for name, kind in given.items()})
    except ValueError as error:
        raise IllegalArgumentError(f"{where}: schema: {error}") from None


def _retention(given: Any, where: str) -> LogRetention:
    own = mapping(given, f"{where}: retention", _RETENTION)
    plain = LogRetention()
    return LogRetention(
        age_ms=_time(own, "age", where, plain.age_ms),
        size_bytes=_size(own, "size", where, plain.size_bytes),
        forget_ms=_time(own, "forget_readers", where, plain.forget_ms),
        backlog_bytes=_size(own, "backlog", where, plain.backlog_bytes),
    )


def _secret(value: Any, where: str) -> str | None:
    """A token, from the environment where it says `${NAME}`. What it is never appears in a message."""
    if value is None:
        return None

    def of_environment(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if not found:
            raise IllegalArgumentError(f"{where} names the environment variable {match[1]}, which is not set")
        return found

    token = _SECRET.sub(of_environment, str(value))
    if not token.isascii() or not token.strip():
        raise IllegalArgumentError(f"{where} must be text in ASCII")
    return token


def _number(own: Mapping[str, Any], key: str, where: str) -> float | None:
    value = own.get(key)
    if value is None:
        return None
    text = str(value).removesuffix("/s").strip()
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 0 < number < float("inf"):
        raise IllegalArgumentError(f"{where}: {key} must be a positive number, not {value!r}")
    return number


def _size(own: Mapping[str, Any], key: str, where: str, default: int) -> int:
    value = own.get(key)
    if value is None:
        return default
    if not (found := units.byte_size(str(value))):
        raise IllegalArgumentError(f"{where}: {key} must be a size such as 16m, not {value!r}")
    return found


def _time(own: Mapping[str, Any], key: str, where: str, default: int) -> int:
    value = own.get(key)
    if value is None:
        return default
    found = units.time_ms(str(value))
    if not found:
        raise IllegalArgumentError(f"{where}: {key} must be a time such as 7d, not {value!r}")
    return found
