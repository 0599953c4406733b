from __future__ import annotations

import base64
import gzip
import json

import pytest

from riacho.connectors.ingest.writer import EventGroup
from riacho.ingest.bodies import BodyError, events_of, unpacked


def values(body: str, kind: str = "application/json", **headers: str) -> list[bytes]:
    given = {"content-type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return [value for group in events_of(body.encode(), given) for value in group.values]


def refused(body: bytes, kind: str = "application/json", **headers: str) -> str:
    with pytest.raises(BodyError) as raised:
        events_of(body, {"content-type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}})
    return f"{raised.value.status} {raised.value.message}"


def test_json_keeps_the_text_that_was_sent() -> None:
    assert values('[{"a": 1.50},\n {"b":[1,{"c":"]"}]} , 3]') == [b'{"a": 1.50}', b'{"b":[1,{"c":"]"}]}', b"3"]
    assert values(' {"a": 1}\n') == [b'{"a": 1}']
    assert values("[]") == values("[ ]") == []
    assert values('{"a":1}', "application/vnd.x+json; charset=UTF-8") == [b'{"a":1}']


def test_lines_of_json() -> None:
    assert values('\ufeff{"a":1}\r\n\n {"a":2} \n', "application/x-ndjson") == [b'{"a":1}', b'{"a":2}']


def test_lines_of_csv() -> None:
    text = 'id,name\n1,"a\nb"\n2,\n'
    assert list(map(json.loads, values(text, "text/csv"))) == [{"id": "1", "name": "a\nb"}, {"id": "2", "name": ""}]


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        (b'{"a":1', "application/json", "400 The body is not JSON"),
        (b'[{"a":1} {"a":2}]', "application/json", "400 The body is not JSON: a comma or ] is missing"),
        (b'[{"a":1},]', "application/json", "400 The body is not JSON"),
        (b"[1] 2", "application/json", "400 The body is not JSON: there is more behind the array"),
        (b"[1", "application/json", "400 The body is not JSON"),
        (b"[NaN]", "application/json", "NaN is no number"),
        (b'"\xff"', "application/json", "400 The body is not UTF-8"),
        (b"[" * 100_000, "application/json", "400 The body is not JSON"),
        (b'{"a":1}\n{"a"\n', "application/x-ndjson", "400 Line 2 is not JSON"),
        (b"a,b\n1\n", "text/csv", "400 Line 2 of the CSV has 1 values for 2 columns"),
        (b"a,a\n1,2\n", "text/csv", "400 The first line of CSV must name the columns, each once"),
        (b"x", "text/plain", "415 Content-Type 'text/plain' is not known here"),
        (b"{}", "application/json; charset=latin-1", "415 The charset 'latin-1'"),
        (b"{}", "application/cloudevents-batch+json", "400 A batch of CloudEvents is a JSON array"),
        (b'{"id":"1"}', "application/cloudevents+json", "400 A CloudEvent must have the attribute source"),
    ],
)
def test_what_is_wrong_is_said(body: bytes, kind: str, says: str) -> None:
    assert says in refused(body, kind)


EVENT = {"specversion": "1.0", "id": "7", "source": "/shop", "type": "order", "partitionkey": "k", "level": 3}


def described(group: EventGroup) -> tuple[list[bytes], list[bytes | None] | None, dict[str, bytes]]:
    return list(group.values), None if group.keys is None else list(group.keys), dict(group.headers)


def test_the_three_modes_of_cloudevents_give_the_same_events() -> None:
    data = '{"x":1}'
    structured = json.dumps({**EVENT, "data": {"x": 1}}, separators=(",", ":"))
    about = {f"ce-{name}": str(value) for name, value in EVENT.items()}
    binary = events_of(data.encode(), {"content-type": "application/json", **about, "ce-source": "%2Fshop"})
    one = events_of(structured.encode(), {"content-type": "application/cloudevents+json"})
    many = events_of(f"[{structured},{structured}]".encode(), {"content-type": "application/cloudevents-batch+json"})
    wanted = (
        [data.encode()],
        [b"k"],
        {
            "content-type": b"application/json",
            "ce_specversion": b"1.0",
            "ce_id": b"7",
            "ce_source": b"/shop",
            "ce_type": b"order",
            "ce_partitionkey": b"k",
            "ce_level": b"3",
        },
    )
    assert [described(group) for group in binary + one + many] == [wanted] * 4


def test_the_data_of_cloudevents_may_be_bytes_or_text() -> None:
    raw = {**EVENT, "datacontenttype": "image/png", "data_base64": base64.b64encode(b"\x89PNG").decode()}
    assert values(json.dumps(raw), "application/cloudevents+json") == [b"\x89PNG"]
    text = {**EVENT, "datacontenttype": "text/xml", "data": "<a/>"}
    assert values(json.dumps(text), "application/cloudevents+json") == [b"<a/>"]
    assert "data_base64 of a CloudEvent must be base64" in refused(
        json.dumps({**raw, "data_base64": "*"}).encode(), "application/cloudevents+json"
    )


def test_the_data_of_cloudevents_keeps_the_text_that_was_sent() -> None:
    text = (
        '{"id":"7", "data" : {"x": 12345678901234567890.10, "data": [1]} ,"source":"s","type":"t","specversion":"1.0"}'
    )
    kept = b'{"x": 12345678901234567890.10, "data": [1]}'
    assert values(f" {text}\n", "application/cloudevents+json") == [kept]
    assert values(f"[{text} , {text}]", "application/cloudevents-batch+json") == [kept, kept]
    none = '{"specversion":"1.0","id":"7","source":"s","type":"t"}'
    assert values(none, "application/cloudevents+json") == [b"null"]


def test_a_key_for_all_events_of_a_request() -> None:
    (group,) = events_of(b'{"a":1}\n{"a":2}', {"content-type": "application/x-ndjson", "riacho-key": "k"})
    assert group.keys == [b"k", b"k"]


def test_packed_bodies() -> None:
    packed = gzip.compress(b"a" * 1000) + gzip.compress(b"b")
    assert unpacked(packed, "gzip", 2000) == b"a" * 1000 + b"b"
    assert unpacked(b"x", "", 1) == unpacked(b"x", "identity", 1) == b"x"
    for given, encoding, status in (
        (packed, "gzip", 413),  # a small body may become a large one
        (packed[:10], "gzip", 400),
        (b"nothing", "gzip", 400),
        (b"x", "br", 415),
    ):
        with pytest.raises(BodyError) as raised:
            unpacked(given, encoding, 1000)
        assert raised.value.status == status


@pytest.mark.parametrize(
    "part",
    [
        '"subject":"\\ud800"',
        '"partitionkey":"\\ud800"',
        '"x\\ud800":"y"',
        '"datacontenttype":"text/plain","data":"\\ud800"',
    ],
)
def test_half_a_surrogate_pair_in_a_cloud_event_is_refused(part: str) -> None:
    event = f'{{"specversion":"1.0","id":"a","source":"s","type":"t",{part}}}'
    assert "is no text in Unicode" in refused(event.encode(), "application/cloudevents+json")
