"""What came back for a request, and the errors that tell of what did not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from riacho.connectors.rest import json_path
from riacho.connectors.rest.environment import Redactor
from riacho.connectors.rest.settings import RestSettings
from riacho.errors import SparkGeneralError

EXCERPT: Final = 300


@dataclass(frozen=True)
class Answer:
    """A complete answer with status 2xx, or one that means nothing. `links`: from its Link header, by relation.

    `at_us`: when it came. `is_empty`: its status says that there are no records.
    """

    url: str
    body: bytes
    links: Mapping[str, str]
    at_us: int
    is_empty: bool = False


class NotJsonError(Exception):
    """The body is no JSON: it may have been cut off."""


def excerpt(text: str, redactor: Redactor) -> str:
    """The beginning of an answer, on one line and without secrets."""
    shown = " ".join(redactor.text(text).split())
    return shown[:EXCERPT] + ("…" if len(shown) > EXCERPT else "")


def parsed(body: bytes, *, lines: bool, decimals: bool) -> Any:
    """The document of a body. `decimals`: keep all digits of numbers with a point. Raises NotJsonError."""
    kind: type[float] | type[Decimal] = Decimal if decimals else float
    try:
        text = body.decode("utf-8-sig")
        if lines:
            return [json.loads(line, parse_float=kind) for line in text.split("\n") if line.strip()]
        return json.loads(text, parse_float=kind)
    except ValueError as error:
        raise NotJsonError(str(error)) from None
    except RecursionError:
        raise NotJsonError("its lists and objects are nested too deep") from None


def records_of(document: Any, settings: RestSettings, address: str) -> list[Any]:
    """The records of an answer. Raises SparkGeneralError if it has none where they should be."""
    path = () if settings.lines else settings.records
    at = json_path.found(document, path)
    if not at:
        if _is_empty(document, path):
            return []
        nothing = f"there is nothing at {json_path.shown(path)}, where the records are"
        raise misshapen(document, settings, address, nothing)
    if len(at) == 1 and at[0] is None:
        return []
    if len(at) == 1 and isinstance(at[0], list):
        return list(at[0])
    if not path or len(at) > 1 or isinstance(at[0], dict):
        return at
    other = f"{json_path.shown(path)} is {type(at[0]).__name__}, and a list of records or one record was expected"
    raise misshapen(document, settings, address, other)


def _is_empty(document: Any, path: json_path.Path) -> bool:
    """Whether the list whose elements the path asks for, with `[*]`, is there and has none."""
    if None not in path:
        return False
    lists = json_path.found(document, path[: path.index(None)])
    return bool(lists) and not any(lists)


def misshapen(document: Any, settings: RestSettings, address: str, what: str) -> SparkGeneralError:
    """The error for an answer of another shape than the options say."""
    has = f" It has {', '.join(map(repr, list(document)[:20]))}." if isinstance(document, dict) and document else ""
    shown = excerpt(json.dumps(document, ensure_ascii=False, default=str), settings.redactor)
    return SparkGeneralError(
        f"The answer of {settings.redactor.text(address)} is not as the options say: {what}.{has} It begins: {shown}"
    )
