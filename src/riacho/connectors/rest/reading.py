"""Options as settings: from a program and from a file, filled in from the environment, checked."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

from riacho import units
from riacho.connectors.bad_records import BadRecords
from riacho.connectors.rest import json_path
from riacho.connectors.rest.environment import Environment, Redactor, is_telling
from riacho.connectors.rest.options import OPTIONS
from riacho.connectors.rest.settings import (
    Auth,
    Binding,
    CursorSettings,
    Limits,
    Paging,
    RestSettings,
    Stream,
    Transport,
)
from riacho.errors import IllegalArgumentError, SparkError
from riacho.intervals import interval_us
from riacho.options import Option, Options
from riacho.yaml_files import document

if TYPE_CHECKING:
    from pyspark.sql.types import StructType

PAGING: Final = ("none", "page", "offset", "cursor", "link")
AUTH: Final = ("none", "header", "query", "bearer", "basic", "oauth2")
CURSOR_FORMATS: Final = ("same", "iso", "epoch", "epoch_ms")
_WHOLE: Final = frozenset({"values", "parameters", "headers", "body", "required", "key"})
"""What a file may have a mapping or a list for."""
_OURS: Final = frozenset({"schema_json"})
"""What stands among the options of a dead letter, for whoever replays it."""
_ITSELF: Final = {"paging": ("type", "kind"), "auth": ("type", "kind"), "cursor": ("path", "field")}
"""How a section of a file calls the option that has the section's own name."""
_NEEDS: Final = {
    "header": ("auth.name", "auth.value"),
    "query": ("auth.name", "auth.value"),
    "bearer": ("auth.token",),
    "basic": ("auth.user", "auth.password"),
    "oauth2": ("auth.tokenUrl", "auth.clientId", "auth.clientSecret"),
}
_SECRETS: Final = ("auth.token", "auth.value", "auth.password", "auth.clientSecret")


def bad_records_of(given: Mapping[str, str], settings: RestSettings, schema: StructType) -> BadRecords:
    """What is done with records that do not fit. Raises IllegalArgumentError."""
    options = checked(given)
    parts = urlsplit(settings.url)
    address = settings.redactor.text(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")
    kept = {name: options.text(name) for name in ("raw", "required", "emptyAsNull") if options.is_given(name)}
    replay = {"url": address, "schema_json": schema.json(), **kept}
    return BadRecords.of(options, given, format="rest", source=address, replay=replay)


def of_options(given: Mapping[str, str], variables: Mapping[str, str] | None = None) -> RestSettings:
    """What options, and the file that they name, say. Raises IllegalArgumentError that names what is wrong.

    `variables`: the environment, by default the process's own.
    """
    return of_checked(checked(given), variables)


def of_checked(options: Options, variables: Mapping[str, str] | None = None) -> RestSettings:
    """What options say that were checked against the table of the source."""
    return _OptionReading(options, Environment(variables)).settings()


def checked(given: Mapping[str, str], owner: str = "rest source", table: tuple[Option, ...] = OPTIONS) -> Options:
    """The options with those of their file. Raises IllegalArgumentError for a key of the file that means nothing."""
    named = {_plain(name): name for option in table for name in (option.name, *option.aliases)}
    known = {_plain(name): option.name for option in table for name in (option.name, *option.aliases)}
    own = {
        known.get(_plain(name), name): value
        for name, value in given.items()
        if name not in _OURS and not name.startswith("__")
    }
    file = own.get("config")
    if file is None:
        return Options.check(owner, table, own)
    whole = document(Path(file.removeprefix("file://")))
    if not isinstance(whole, dict):
        raise IllegalArgumentError(f"{file} must be a mapping of options, not {type(whole).__name__}")
    found: dict[str, str] = {}
    for name, value in _flat(whole, ""):
        option = known.get(_plain(name))
        if option is None or option == "config":
            raise IllegalArgumentError(
                f"{file} has {name!r}, which means nothing here. It may have {', '.join(sorted(named.values()))}."
            )
        found[option] = value
    return Options.check(owner, table, {**found, **own})


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _flat(given: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    """The options of a file as text: sections joined with a dot, lists and mappings that are values as JSON."""
    for name, value in given.items():
        full = f"{prefix}{name}"
        if prefix and str(name).lower() in _ITSELF.get(prefix.rstrip("."), ()):
            full = prefix.rstrip(".")
        if value is None:
            continue
        if full in _WHOLE and not isinstance(value, str):
            yield full, json.dumps(value, default=as_text)
        elif isinstance(value, dict):
            yield from _flat(value, f"{full}.")
        else:
            yield full, as_text(value)


def as_text(value: Any) -> str:
    """A value as the text of an option."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | dict):
        return json.dumps(value, default=as_text)
    return str(value)


class _OptionReading:
    """One look at the options."""

    def __init__(self, options: Options, environment: Environment) -> None:
        self._options = options
        self._environment = environment

    def settings(self) -> RestSettings:
        url = self._filled("url")
        parts = urlsplit(url or "")
        if not url or parts.scheme not in ("http", "https") or not parts.hostname:
            raise IllegalArgumentError(
                "The option url must be an address that begins with http:// or https://"
                + (f", not {parts.scheme}://…" if url and parts.scheme else "")
            )
        auth = self._auth()
        parameters = self._mapping("parameters")
        headers = {name: as_text(value) for name, value in self._mapping("headers").items()}
        body = self._body()
        transport = self._transport()
        pair = base64.b64encode(f"{auth.user}:{auth.secret}".encode()).decode() if auth.secret else ""
        secrets = {auth.secret, pair, parts.password or "", *self._environment.used}
        secrets |= {as_text(v) for part in (parameters, headers) for name, v in part.items() if is_telling(name)}
        secrets |= {v for name, v in parse_qsl(parts.query) if is_telling(name)}
        secrets |= {urlsplit(transport.proxy or "").password or ""}
        return RestSettings(
            url=url,
            method=self._options.text("method").upper(),
            bindings=self._bindings(),
            parameters=parameters,
            headers=headers,
            body=body,
            lines=self._one_of("format", ("json", "ndjson")) == "ndjson",
            records=json_path.parse(self._options.text("records")),
            empty_status=self._statuses(),
            schema=self._options.maybe("schema"),
            raw=self._options.flag("raw"),
            required=self._names("required"),
            empty_as_null=self._options.flag("emptyAsNull"),
            request_column=self._options.maybe("requestColumn"),
            key=tuple(map(json_path.parse, self._names("key"))),
            cursor=self._cursor(),
            paging=self._paging(),
            auth=auth,
            limits=self._limits(),
            transport=transport,
            stream=self._stream(),
            redactor=Redactor.of(secrets),
        )

    def _filled(self, name: str) -> str | None:
        text = self._options.maybe(name)
        return None if text is None else self._environment.fill(text, name)

    def _one_of(self, name: str, allowed: tuple[str, ...]) -> str:
        value = self._options.text(name).lower()
        if value not in allowed:
            raise self._options.illegal(name, self._options.text(name), f"must be one of {', '.join(allowed)}")
        return value

    def _seconds(self, name: str) -> float:
        text = self._options.text(name)
        milliseconds = units.time_ms(text, default_unit="s")
        if milliseconds is not None:
            return milliseconds / 1000
        try:
            months, micros = interval_us(text)
        except SparkError:
            months, micros = 1, 0
        if months or micros < 0:
            raise self._options.illegal(name, text, "must be a time such as '500ms', '30s' or '10 minutes'")
        return micros / 1_000_000

    def _count(self, name: str, least: int = 1) -> int:
        found = self._options.positive(name, least)
        assert found is not None, name
        return found

    def _names(self, name: str) -> tuple[str, ...]:
        text = self._options.text(name)
        if text.lstrip().startswith("["):
            return tuple(str(item) for item in self._json(name, text))
        return tuple(part.strip() for part in text.split(",") if part.strip())

    def _statuses(self) -> frozenset[int]:
        """204 has no body, whoever sends it."""
        names = self._names("emptyStatus")
        if any(not name.isdigit() or not 200 <= int(name) < 600 for name in names):
            raise self._options.illegal("emptyStatus", ",".join(names), "must be statuses such as 404,410")
        return frozenset({204, *map(int, names)})

    def _json(self, name: str, text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError as error:
            raise IllegalArgumentError(f"The option {name} is not JSON: {error}") from None

    def _mapping(self, name: str) -> dict[str, Any]:
        text = self._options.text(name).strip()
        if text.startswith("{"):
            given: dict[str, Any] = self._json(name, text)
        elif name == "headers":
            lines = [line.partition(":") for line in text.splitlines() if line.strip()]
            if any(not colon for _, colon, _ in lines):
                raise IllegalArgumentError("The option headers must be a JSON object, or lines such as Name: value")
            given = {head.strip(): value.strip() for head, _, value in lines}
        else:
            given = dict(parse_qsl(text, keep_blank_values=True))
            if text and not given:
                raise IllegalArgumentError(f"The option {name} must be a JSON object, or a=1&b=2")
        filled: dict[str, Any] = self._environment.fill_tree(given, name)
        return {key: value for key, value in filled.items() if value is not None}

    def _bindings(self) -> list[Binding]:
        """The combinations of values: one with nothing if there are none."""
        text = self._options.text("values").strip()
        given = self._environment.fill_tree(self._json("values", text) if text else {}, "values")
        if isinstance(given, list) and all(isinstance(binding, dict) for binding in given):
            return [{name: _value(name, value) for name, value in binding.items()} for binding in given]
        if not isinstance(given, dict):
            raise IllegalArgumentError(
                'The option values must be a JSON object such as {"id": [1, 2]}, or a list of them'
            )
        listed = [_listed(name, value) for name, value in given.items()]
        return [dict(zip(given, chosen, strict=True)) for chosen in product(*listed)]

    def _body(self) -> Any:
        text = self._options.maybe("body")
        if text is None:
            return None
        try:
            return self._environment.fill_tree(json.loads(text), "body")
        except ValueError:
            return self._environment.fill(text, "body")

    def _path(self, name: str) -> json_path.Path | None:
        text = self._options.maybe(name)
        return None if text is None else json_path.parse(text)

    def _cursor(self) -> CursorSettings | None:
        path = self._path("cursor")
        if path is None:
            for option in self._options.given:
                if option.startswith("cursor."):
                    raise IllegalArgumentError(f"The option {option} needs cursor, the path of the field that grows")
            return None
        lag = self._options.maybe("cursor.lag")
        lag_us = lag_units = 0
        if lag is not None:
            lag_us = int(self._seconds("cursor.lag") * 1_000_000)
            lag_units = int(lag) if lag.strip().isdigit() else 0
        return CursorSettings(
            path=path,
            parameter=self._options.maybe("cursor.parameter"),
            initial=self._filled("cursor.initial"),
            inclusive=self._options.flag("cursor.inclusive"),
            lag_us=lag_us,
            lag_units=lag_units,
            format=self._one_of("cursor.format", CURSOR_FORMATS),
        )

    def _paging(self) -> Paging:
        kind = self._one_of("paging", PAGING)
        if kind == "none":
            for option in self._options.given:
                if option.startswith("paging."):
                    raise IllegalArgumentError(f"The option {option} needs paging: page, offset, cursor or link")
        if kind == "cursor" and not self._options.is_given("paging.path"):
            raise IllegalArgumentError("paging = cursor needs paging.path, the JSON path of the next cursor")
        size = self._options.positive("paging.size")
        size_parameter = self._options.maybe("paging.sizeParameter")
        if kind == "offset" and size is None:
            raise IllegalArgumentError("paging = offset needs paging.size, how many records to ask for")
        own = {"page": "page", "offset": "offset", "cursor": "cursor"}.get(kind, "")
        start = self._options.positive("paging.start", 0)
        return Paging(
            kind=kind,
            parameter=self._options.maybe("paging.parameter") or own,
            start=(1 if kind == "page" else 0) if start is None else start,
            size=size,
            size_parameter=("limit" if kind == "offset" else "per_page") if size_parameter is None else size_parameter,
            path=self._path("paging.path"),
            total=self._path("paging.total"),
            more=self._path("paging.more"),
            pages=self._options.positive("paging.pages"),
            in_body=self._one_of("paging.in", ("query", "body")) == "body",
        )

    def _auth(self) -> Auth:
        kind = self._one_of("auth", AUTH)
        needed = _NEEDS.get(kind, ())
        for name in needed:
            if not self._options.is_given(name):
                raise IllegalArgumentError(f"auth = {kind} needs the option {name}")
        secret = next((name for name in _SECRETS if name in needed), None)
        return Auth(
            kind=kind,
            name=(self._filled("auth.name") or "") if "auth.name" in needed else "",
            user=self._filled("auth.user" if kind == "basic" else "auth.clientId") or "",
            token_url=self._filled("auth.tokenUrl") or "",
            scope=self._filled("auth.scope") or "",
            secret="" if secret is None else self._filled(secret) or "",
        )

    def _limits(self) -> Limits:
        size = self._options.size_bytes("maxBytes")
        assert size is not None
        return Limits(
            connect_s=self._seconds("connectTimeout"),
            read_s=self._seconds("readTimeout"),
            total_s=self._seconds("totalTimeout"),
            retries=self._count("retries", 0),
            wait_s=self._seconds("retryWait"),
            max_wait_s=self._seconds("retryMaxWait"),
            pages=self._count("maxPages"),
            size_bytes=size,
            redirects=self._count("maxRedirects", 0),
            rate=self._rate(),
            concurrency=self._count("concurrency"),
        )

    def _rate(self) -> float | None:
        text = self._options.maybe("rateLimit")
        if text is None:
            return None
        found = units.per_second(text) if "/" in text else None
        if found is None:
            raise self._options.illegal("rateLimit", text, "must be a number in a time, such as '10/s' or '30/m'")
        return found

    def _transport(self) -> Transport:
        return Transport(
            proxy=self._filled("proxy"),
            verify=self._options.flag("tls.verify"),
            authorities=self._filled("tls.ca"),
            certificate=self._filled("tls.certificate"),
            key=self._filled("tls.key"),
        )

    def _stream(self) -> Stream:
        largest = self._options.size_bytes("maxOffsetBytes")
        assert largest is not None
        spool = self._filled("spoolLocation")
        return Stream(
            interval_s=self._seconds("pollInterval"),
            once=self._one_of("poll", ("again", "once")) == "once",
            pages=self._count("pagesPerBatch"),
            spool=None if spool is None else spool.removeprefix("file://"),
            max_offset_bytes=largest,
        )


def _listed(name: str, value: Any) -> list[Any]:
    """The values of one name. Raises IllegalArgumentError for what cannot be part of a request."""
    if isinstance(value, str) and value.startswith("@"):
        try:
            lines = Path(value[1:]).read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise IllegalArgumentError(f"values: {name}: {value[1:]} cannot be read: {error.strerror}") from None
        return list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    found = value if isinstance(value, list) else [value]
    return list(dict.fromkeys(_value(name, item) for item in found))


def _value(name: str, value: Any) -> Any:
    if not isinstance(value, str | int | float):
        raise IllegalArgumentError(f"values: {name} has {value!r}: it must be a text or a number, or a list of them")
    return value
