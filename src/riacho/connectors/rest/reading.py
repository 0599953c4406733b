"""Options as settings: from a program and from a file, filled in from the environment, checked."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from riacho import units
from riacho.connectors.bad_records import BadRecords
from riacho.connectors.rest import json_path
from riacho.connectors.rest.bindings import bindings_of
from riacho.connectors.rest.environment import Environment, Redactor, is_telling
from riacho.connectors.rest.given import as_text, checked
from riacho.connectors.rest.requests import query_of
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
from riacho.options import Options
from riacho.paths import local_path

if TYPE_CHECKING:
    from pyspark.sql.types import StructType

PAGING: Final = ("none", "page", "offset", "cursor", "link")
AUTH: Final = ("none", "header", "query", "bearer", "basic", "oauth2")
CURSOR_FORMATS: Final = ("same", "iso", "epoch", "epoch_ms")
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


class _OptionReading:
    """One look at the options."""

    def __init__(self, options: Options, environment: Environment) -> None:
        self._options = options
        self._environment = environment

    def settings(self) -> RestSettings:
        url = self._address("url")
        parts = urlsplit(url)
        auth = self._auth()
        parameters = self._mapping("parameters")
        headers = {name: as_text(value) for name, value in self._mapping("headers").items()}
        body = self._body()
        transport = self._transport()
        pair = base64.b64encode(f"{auth.user}:{auth.secret}".encode()).decode() if auth.secret else ""
        secrets = {auth.secret, pair, parts.password or "", *self._environment.used}
        for part in (parameters, headers, query_of(parts.query)):
            telling = [value for name, value in part.items() if is_telling(name)]
            secrets |= {as_text(one) for value in telling for one in (value if isinstance(value, list) else [value])}
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

    def _address(self, name: str) -> str:
        url = self._filled(name) or ""
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError as error:
            raise IllegalArgumentError(f"The option {name} is no address: {error}") from None
        if not usable:
            other = f", not {parts.scheme}://…" if parts.scheme not in ("", "http", "https") else ""
            raise IllegalArgumentError(
                f"The option {name} must be an address that begins with http:// or https://{other}"
            )
        return url

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
            given = query_of(text)
            if text and not given:
                raise IllegalArgumentError(f"The option {name} must be a JSON object, or a=1&b=2")
        filled: dict[str, Any] = self._environment.fill_tree(given, name)
        return {key: value for key, value in filled.items() if value is not None}

    def _bindings(self) -> list[Binding]:
        text = self._options.text("values").strip()
        given = self._environment.fill_tree(self._json("values", text) if text else {}, "values")
        return bindings_of(given)

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
            token_url=self._address("auth.tokenUrl") if kind == "oauth2" else "",
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
            spool=None if spool is None else str(local_path(spool)),
            max_offset_bytes=largest,
        )
