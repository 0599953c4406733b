"""From a request's body to events: JSON, lines of JSON, CSV, CloudEvents in their three modes; plain or gzip.

An event keeps the text that was sent: the elements of an array are cut out of it, not written anew.
"""

from __future__ import annotations

import base64
import binascii
import csv
import io
import json
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote

from riacho.connectors.ingest.writer import EventGroup

JSON: Final = "application/json"
NDJSON: Final = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines")
CSV: Final = "text/csv"
CLOUD_EVENT: Final = "application/cloudevents+json"
CLOUD_EVENTS: Final = "application/cloudevents-batch+json"
KEY: Final = "riacho-key"
"""The header with the key of an event, as Kafka has one."""
_REQUIRED: Final = ("id", "source", "specversion", "type")
_SPACE: Final = " \t\n\r"


class BodyError(Exception):
    """A body that cannot be taken. `status`: what HTTP calls it."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


def unpacked(body: bytes, encoding: str, most: int) -> bytes:
    """The body without its compression. Raises BodyError: 413 for more than `most` bytes, 415 for another encoding."""
    kind = encoding.strip().lower()
    if kind in {"", "identity"}:
        return body
    if kind not in {"gzip", "x-gzip"}:
        raise BodyError(f"Content-Encoding {encoding!r} is not known here: send gzip, or nothing", 415)
    parts: list[bytes] = []
    size = 0
    left = body
    try:
        while left:
            unpacker = zlib.decompressobj(31)
            parts.append(unpacker.decompress(left, most - size + 1))
            size += len(parts[-1])
            if size > most or unpacker.unconsumed_tail:
                raise BodyError(f"The body has more than {most} bytes when it is unpacked", 413)
            if not unpacker.eof:
                raise BodyError("The body is cut off: its gzip does not end")
            left = unpacker.unused_data
    except zlib.error as error:
        raise BodyError(f"The body is not gzip: {error}") from None
    return b"".join(parts)


def events_of(body: bytes, headers: Mapping[str, str]) -> list[EventGroup]:
    """The events of a body. `headers`: those of the request, their names in lower case. Raises BodyError."""
    kind, _, parameters = headers.get("content-type", JSON).partition(";")
    kind = kind.strip().lower()
    charset = _parameter(parameters, "charset")
    if charset and charset.lower() not in {"utf-8", "utf8", "us-ascii"}:
        raise BodyError(f"The charset {charset!r} is not known here: send UTF-8", 415)
    if kind == CLOUD_EVENT:
        return [_cloud_event(_text(body).strip(_SPACE))]
    if kind == CLOUD_EVENTS:
        text = _text(body)
        at = _skip(text, 0)
        if text[at : at + 1] != "[":
            raise BodyError("A batch of CloudEvents is a JSON array")
        return [_cloud_event(each) for each in _elements(text, at + 1)]
    if "ce-specversion" in headers or "ce-id" in headers:
        return [_binary_cloud_event(body, headers)]
    key = headers.get(KEY)
    of_all = [("content-type", kind.encode())]
    if kind in NDJSON:
        values = list(_lines(body))
    elif kind == CSV:
        values = list(_csv(body))
    elif kind == JSON or kind.endswith("+json"):
        values = _json(body)
    else:
        raise BodyError(
            f"Content-Type {kind!r} is not known here: send {JSON}, {NDJSON[0]}, {CSV}, {CLOUD_EVENT} or "
            f"{CLOUD_EVENTS}",
            415,
        )
    return [EventGroup(values, of_all, None if key is None else [key.encode()] * len(values))]


def _json(body: bytes) -> list[bytes]:
    """A value, or the elements of an array."""
    text = _text(body)
    at = _skip(text, 0)
    if text[at : at + 1] != "[":
        _parsed(text)
        return [text.strip(_SPACE).encode()]
    return [element.encode() for element in _elements(text, at + 1)]


def _elements(text: str, at: int) -> Iterator[str]:
    scan = _DECODER.raw_decode
    at = _skip(text, at)
    first = True
    while text[at : at + 1] != "]":
        if not first:
            if text[at : at + 1] != ",":
                raise BodyError(f"The body is not JSON: a comma or ] is missing at character {at}")
            at = _skip(text, at + 1)
        first = False
        try:
            _, end = scan(text, at)
        except (ValueError, RecursionError) as error:
            raise BodyError(f"The body is not JSON: {error}") from None
        yield text[at:end]
        at = _skip(text, end)
    if _skip(text, at + 1) != len(text):
        raise BodyError(f"The body is not JSON: there is more behind the array, at character {at + 1}")


def _lines(body: bytes) -> Iterator[bytes]:
    decode = _DECODER.decode
    for number, line in enumerate(body.removeprefix(BOM_UTF8).split(b"\n"), 1):
        stripped = line.strip()
        if not stripped:
            continue
        try:
            decode(stripped.decode())
        except (ValueError, RecursionError) as error:
            raise BodyError(f"Line {number} is not JSON: {error}") from None
        yield stripped


def _csv(body: bytes) -> Iterator[bytes]:
    """Each line as a JSON object of texts, by the names in the first line."""
    reader = csv.reader(io.StringIO(_text(body), newline=""), strict=True)
    try:
        names = next(reader, None)
        if not names or len(set(names)) != len(names):
            raise BodyError("The first line of CSV must name the columns, each once")
        for row in reader:
            if not row:
                continue
            if len(row) != len(names):
                raise BodyError(f"Line {reader.line_num} of the CSV has {len(row)} values for {len(names)} columns")
            yield json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False, separators=(",", ":")).encode()
    except csv.Error as error:
        raise BodyError(f"Line {reader.line_num} is not CSV: {error}") from None


def _cloud_event(text: str) -> EventGroup:
    """An event in structured mode: its data, as it was sent, is the value; what describes it are headers."""
    event = _parsed(text)
    if not isinstance(event, dict):
        raise BodyError("A CloudEvent is a JSON object")
    _check_attributes(event)
    if "data_base64" in event:
        try:
            value = base64.b64decode(event["data_base64"], validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise BodyError("data_base64 of a CloudEvent must be base64") from None
    elif isinstance(event.get("data"), str) and not _is_json(event.get("datacontenttype")):
        value = _encoded(event["data"])
    else:
        value = _member(text, "data").encode()
    about = {k: v for k, v in event.items() if k not in {"data", "data_base64"} and v is not None}
    return _described(value, {k: v if isinstance(v, str) else json.dumps(v) for k, v in about.items()})


def _binary_cloud_event(body: bytes, headers: Mapping[str, str]) -> EventGroup:
    about = {name[3:]: unquote(value) for name, value in headers.items() if name.startswith("ce-")}
    _check_attributes(about)
    if "content-type" in headers:
        about["datacontenttype"] = headers["content-type"]
    if _is_json(about.get("datacontenttype")):
        _parsed(_text(body))
    return _described(body, about)


def _described(value: bytes, about: Mapping[str, str]) -> EventGroup:
    headers = [("content-type", _encoded(about.get("datacontenttype", JSON)))]
    headers += [(_encoded(f"ce_{k}").decode(), _encoded(v)) for k, v in about.items() if k != "datacontenttype"]
    key = about.get("partitionkey")
    return EventGroup([value], headers, None if key is None else [_encoded(key)])


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise BodyError(f"{ascii(text)[:60]} of a CloudEvent is no text in Unicode") from None


def _check_attributes(event: Mapping[str, Any]) -> None:
    for name in _REQUIRED:
        if not isinstance(event.get(name), str) or not event[name]:
            raise BodyError(f"A CloudEvent must have the attribute {name}, which this one lacks")
    if event["specversion"] != "1.0":
        raise BodyError(f"CloudEvents of version 1.0 are known here, not of {event['specversion']!r}")


def _is_json(kind: str | None) -> bool:
    plain = (kind or JSON).partition(";")[0].strip().lower()
    return plain in {JSON, "text/json"} or plain.endswith("+json")


def _member(text: str, name: str) -> str:
    """The text of a member of an object that was parsed already; `null` if it has none."""
    found = "null"
    at = _skip(text, 1)
    while text[at] != "}":
        key, at = _DECODER.raw_decode(text, at)
        begin = _skip(text, _skip(text, at) + 1)
        _, at = _DECODER.raw_decode(text, begin)
        if key == name:
            found = text[begin:at]
        at = _skip(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return found


def _parsed(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise BodyError(f"The body is not JSON: {error}") from None


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BodyError(f"The body is not UTF-8: {error}") from None


def _skip(text: str, at: int) -> int:
    size = len(text)
    while at < size and text[at] in _SPACE:
        at += 1
    return at


def _parameter(text: str, name: str) -> str:
    for part in text.split(";"):
        key, _, value = part.partition("=")
        if key.strip().lower() == name:
            return value.strip().strip('"')
    return ""


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number in JSON")


_DECODER: Final = json.JSONDecoder(parse_constant=_no_number)
