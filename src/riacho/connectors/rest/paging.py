"""The next page: what is asked for it, and whether there is one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from riacho.connectors.rest import json_path
from riacho.connectors.rest.answers import Answer, misshapen
from riacho.connectors.rest.requests import Ask, joined, origin, query_of
from riacho.connectors.rest.settings import RestSettings
from riacho.errors import SparkGeneralError

Position = int | str | None
"""Which page: a number, a cursor or a link; None for the first."""


def asked(ask: Ask, position: Position, settings: RestSettings) -> Ask:
    """The request for a page."""
    paging = settings.paging
    if paging.kind == "link" and isinstance(position, str):
        first = urlsplit(ask.url)
        in_address = query_of(first.query)
        secret = {n: v for n, v in {**in_address, **ask.parameters}.items() if _is_secret(str(v), settings)}
        url = urlsplit(position)._replace(netloc=first.netloc).geturl()  # with its user and password
        return replace(ask, url=url, parameters={}).with_parameters(secret, in_body=False)
    more: dict[str, Any] = {}
    if paging.kind in ("page", "offset"):
        more[paging.parameter] = paging.start if position is None else position
    elif paging.kind == "cursor" and position is not None:
        more[paging.parameter] = position
    if paging.kind != "none" and paging.size is not None and paging.size_parameter:
        more[paging.size_parameter] = paging.size
    return ask.with_parameters({name: value for name, value in more.items() if name}, in_body=paging.in_body)


def following(
    position: Position, number: int, answer: Answer, document: Any, count: int, settings: RestSettings
) -> Position:
    """The page after this one; None if it was the last.

    `number`: how many pages of the request were read, with this one. `count`: how many records this one had. Raises
    SparkGeneralError for a page that is its own next, and for too many of them.
    """
    paging = settings.paging
    if paging.kind == "none" or (paging.pages is not None and number >= paging.pages):
        return None
    if paging.more is not None and not json_path.first(document, paging.more):
        return None
    found = _next(position, answer, document, count, settings)
    if found is None:
        return None
    where = settings.redactor.text(Ask("GET", answer.url).address())
    if found == position:
        raise SparkGeneralError(f"Page {number} of {where} names itself as the next: paging would never end.")
    if number >= settings.limits.pages:
        raise SparkGeneralError(
            f"{where} has more than {settings.limits.pages} pages (maxPages). Raise it, or end with paging.pages."
        )
    return found


def _next(position: Position, answer: Answer, document: Any, count: int, settings: RestSettings) -> Position:
    paging = settings.paging
    if paging.kind in ("page", "offset"):
        return _counted(position, document, count, answer.url, settings)
    if paging.kind == "cursor":
        assert paging.path is not None
        found = json_path.first(document, paging.path)
        return None if found in (None, "", False) else found if isinstance(found, int | str) else str(found)
    link = answer.links.get("next") if paging.path is None else json_path.first(document, paging.path)
    if not link:
        return None
    url = joined(answer.url, str(link))
    if origin(url) != origin(settings.url):
        raise SparkGeneralError(
            f"The next page is at another address than the first, {Ask('GET', url).address()}: who asks is not told "
            "to others. If it is the same server, use the address in the option url that its links have."
        )
    return _without_credentials(url, settings)


def _without_credentials(url: str, settings: RestSettings) -> str:
    """A link as it may stand in a checkpoint: who asks is added to it again when it is followed."""
    parts = urlsplit(url)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    name = settings.auth.name if settings.auth.kind == "query" else None
    kept = [(n, v) for n, v in pairs if n != name and not _is_secret(v, settings)]
    query = parts.query if len(kept) == len(pairs) else urlencode(kept)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))


def _is_secret(value: str, settings: RestSettings) -> bool:
    return settings.redactor.text(value) != value


def _counted(position: Position, document: Any, count: int, url: str, settings: RestSettings) -> Position:
    paging = settings.paging
    here = paging.start if position is None else int(position)
    if count == 0 or (paging.size is not None and count < paging.size and paging.total is None and paging.more is None):
        return None
    # An interface may give fewer than it is asked for, and an offset counts what it gave.
    flat = None not in settings.records
    after = here + (1 if paging.kind == "page" else count if flat else paging.size or count)
    if paging.total is not None:
        total = json_path.first(document, paging.total)
        if not isinstance(total, int | float):
            raise misshapen(document, settings, url, f"{json_path.shown(paging.total)}, paging.total, is no number")
        last = total + paging.start - 1 if paging.kind == "page" else total - 1 + paging.start
        return after if after <= last else None
    return after
