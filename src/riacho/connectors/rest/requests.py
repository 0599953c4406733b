"""What one request asks: the address, parameters, headers and body, with the values and the page filled in."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, quote, urljoin, urlsplit, urlunsplit

from riacho.connectors.rest.settings import Binding, RestSettings
from riacho.errors import IllegalArgumentError, SparkGeneralError


@dataclass(frozen=True)
class Ask:
    """One request, without who asks. `body` is JSON if it is a mapping or a list, else text."""

    method: str
    url: str
    parameters: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None

    def address(self) -> str:
        """Where it goes, without user, password, query and fragment: for people."""
        parts = urlsplit(self.url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))

    def with_parameters(self, more: dict[str, Any], *, in_body: bool) -> Ask:
        """The same with more parameters, which take the place of those with the same name in the address too."""
        if not more:
            return self
        if in_body:
            if not isinstance(self.body, dict | None):
                raise IllegalArgumentError("paging.in = body needs a body that is a JSON object")
            return replace(self, body={**(self.body or {}), **more})
        parts = urlsplit(self.url)
        kept = {n: v for n, v in query_of(parts.query).items() if n not in more}
        url = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
        return replace(self, url=url, parameters={**kept, **self.parameters, **more})


def first_ask(settings: RestSettings, binding: Binding) -> Ask:
    """The request for one combination of values. Raises IllegalArgumentError for a `{name}` without a value."""
    url = settings.url
    for name, value in binding.items():
        url = url.replace(f"{{{name}}}", quote(_text(value), safe=""))
    missing = url.partition("{")[2].partition("}")[0]
    if missing and "{" in url:
        raise IllegalArgumentError(f"The option url has {{{missing}}}, and values has nothing of that name")
    return Ask(
        method=settings.method,
        url=url,
        parameters={name: _filled(value, binding) for name, value in settings.parameters.items()},
        headers={name: str(_filled(value, binding)) for name, value in settings.headers.items()},
        body=_filled(settings.body, binding),
    )


def _filled(value: Any, binding: Binding) -> Any:
    if isinstance(value, str):
        if value[:1] + value[-1:] == "{}" and value[1:-1] in binding:
            return binding[value[1:-1]]
        # In one go: a value that looks like a name stays as it is.
        return re.sub(r"\{([^{}]*)\}", lambda at: _text(binding.get(at[1], at[0])), value)
    if isinstance(value, list):
        return [_filled(item, binding) for item in value]
    if isinstance(value, dict):
        return {name: _filled(item, binding) for name, item in value.items()}
    return value


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def query_of(text: str) -> dict[str, Any]:
    """The parameters of a query: a list for a name that is there more than once."""
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        found.setdefault(name, []).append(value)
    return {name: values if len(values) > 1 else values[0] for name, values in found.items()}


def origin(url: str) -> tuple[str, str | None, int]:
    """Scheme, host and port: credentials go nowhere else. Raises ValueError for what is no address."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def joined(base: str, link: str) -> str:
    """An address that a server gave, which may be relative. Raises SparkGeneralError if it is none."""
    try:
        url = urljoin(base, link)
        origin(url)
    except ValueError as error:
        raise SparkGeneralError(f"{Ask('GET', base).address()} leads to what is no address: {error}") from None
    return url


def key_of(binding: Binding) -> str:
    """What a combination of values is called in offsets: its JSON; empty if there are no values."""
    return json.dumps(binding, sort_keys=True, ensure_ascii=False) if binding else ""
