"""What the options of `rest` say, once they are read: the requests to make, and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from riacho.connectors.rest import json_path
from riacho.connectors.rest.environment import Redactor

Binding = dict[str, Any]
"""One combination of values, by name."""


@dataclass(frozen=True)
class Paging:
    """How there is more than one page. `parameter` and `size_parameter` may be empty: then they are not sent."""

    kind: str
    parameter: str
    start: int
    size: int | None
    size_parameter: str
    path: json_path.Path | None
    total: json_path.Path | None
    more: json_path.Path | None
    pages: int | None
    in_body: bool


@dataclass(frozen=True)
class CursorSettings:
    """The field that grows. `lag`: microseconds for times, or units of a number."""

    path: json_path.Path
    parameter: str | None
    initial: str | None
    inclusive: bool
    lag_us: int
    lag_units: int
    format: str


@dataclass(frozen=True)
class Auth:
    """Who asks; what a kind does not need is empty."""

    kind: str
    name: str = ""
    user: str = ""
    token_url: str = ""
    scope: str = ""
    secret: str = field(default="", repr=False)


@dataclass(frozen=True)
class Limits:
    """All that ends a request which does not end by itself. Times in seconds; `rate`: requests a second."""

    connect_s: float
    read_s: float
    total_s: float
    retries: int
    wait_s: float
    max_wait_s: float
    pages: int
    size_bytes: int
    redirects: int
    rate: float | None
    concurrency: int


@dataclass(frozen=True)
class Transport:
    """The way to the server."""

    proxy: str | None = field(repr=False)
    verify: bool
    authorities: str | None
    certificate: str | None
    key: str | None


@dataclass(frozen=True)
class Stream:
    """What only streams need. `interval_s`: from one look to the next."""

    interval_s: float
    once: bool
    pages: int
    spool: str | None
    max_offset_bytes: int


@dataclass(frozen=True)
class RestSettings:
    """Everything that a reader knows; it is pickled for the processes that read."""

    url: str = field(repr=False)
    method: str
    bindings: list[Binding] = field(repr=False)
    parameters: dict[str, Any] = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    body: Any = field(repr=False)
    lines: bool
    records: json_path.Path
    empty_status: frozenset[int]
    schema: str | None
    raw: bool
    required: tuple[str, ...]
    empty_as_null: bool
    request_column: str | None
    key: tuple[json_path.Path, ...]
    cursor: CursorSettings | None
    paging: Paging
    auth: Auth
    limits: Limits
    transport: Transport
    stream: Stream
    redactor: Redactor
