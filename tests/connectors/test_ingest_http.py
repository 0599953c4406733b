"""The ingest server over real HTTP: what is taken, what is refused and how, and that a retry adds nothing."""

from __future__ import annotations

import gzip
import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from deltalake import DeltaTable

from riacho.connectors.ingest import frames
from riacho.connectors.ingest.log import LogFolder
from riacho.errors import IllegalArgumentError, SparkGeneralError
from riacho.ingest import app as ingest_app
from riacho.ingest.client import IngestClient, IngestRefusedError, Receipt
from riacho.ingest.config import IngestConfig, from_file
from riacho.ingest.serve import IngestService

LIMIT_S = 20
TOKEN = "s3cret-token"


@contextmanager
def serving(folder: Path, config: IngestConfig, hook: Any = lambda _: None) -> Iterator[str]:
    service = IngestService(folder, config, hook=hook)
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        yield service.url
    finally:
        service.stop()
        thread.join(LIMIT_S)
        assert not thread.is_alive()


def configured(folder: Path, text: str) -> IngestConfig:
    file = folder / "ingest.yml"
    file.write_text(text)
    return from_file(file)


def ask(
    url: str, path: str, body: bytes | Iterator[bytes] = b"", method: str = "POST", **headers: str
) -> tuple[int, dict[str, Any], http.client.HTTPMessage]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=LIMIT_S)
    given = {"content-type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
    connection.request(method, path, body, given)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text) if text[:1] == b"{" else {"text": text.decode()}, answer.headers


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("ingest")
    with serving(folder, IngestConfig({}, open=True)) as url:
        yield url, folder


def test_every_format_is_acknowledged_with_offsets(open_server: tuple[str, Path]) -> None:
    url, folder = open_server
    first = ask(url, "/ingest/all", b'[{"id":1},{"id":2}]')
    assert first[:2] == (202, {"endpoint": "all", "accepted": 2, "first_offset": 0, "last_offset": 1})
    for body, kind, count in (
        (b'{"id":3}', "application/json", 1),
        (b'{"id":4}\n{"id":5}\n', "application/x-ndjson", 2),
        (b"id\n6\n7\n", "text/csv", 2),
        (b'{"specversion":"1.0","id":"a","source":"s","type":"t","data":{}}', "application/cloudevents+json", 1),
        (b"[]", "application/json", 0),
    ):
        status, told, _ = ask(url, "/ingest/all", body, content_type=kind)
        assert (status, told["accepted"]) == (202, count)
    status, told, _ = ask(url, "/ingest/all", gzip.compress(b'{"id":8}'), content_encoding="gzip")
    assert (status, told["first_offset"]) == (202, 8)
    status, told, _ = ask(url, "/ingest/all", iter([b'{"id"', b":9}"]))
    assert (status, told["first_offset"]) == (202, 9)
    assert ask(url, "/ingest/all", method="GET")[1] | {"bytes": 0} == {
        "endpoint": "all", "begin": 0, "end": 10, "bytes": 0, "readers": {},
    }  # fmt: skip
    assert LogFolder(folder / "all").end() == 10


def test_what_is_refused_is_said_and_not_taken(open_server: tuple[str, Path]) -> None:
    url, folder = open_server
    assert ask(url, "/ingest/bad", b"{")[0] == 400
    assert ask(url, "/ingest/bad", b"{}", content_type="text/plain")[0] == 415
    assert ask(url, "/ingest/bad", b"{}", content_encoding="br")[0] == 415
    assert ask(url, "/ingest/bad", b"{}", method="PUT")[0] == 405
    assert ask(url, "/ingest/..%2Fx", b"{}")[0] == 404
    status, told, _ = ask(url, "/ingest/.hidden", b"{}")
    assert (status, told["error"]) == (404, "There is no endpoint '.hidden': names have letters, digits, . _ and -")
    assert ask(url, "/nowhere", b"{}")[0] == 404
    assert ask(url, "/ingest/bad", b"{}", idempotency_key="")[0] == 400
    assert ask(url, "/healthz", method="GET")[:2] == (200, {"status": "ok"})
    assert LogFolder(folder / "bad").end() == 0
    assert not (folder.parent / "x").exists()


def test_a_retried_request_is_not_doubled(open_server: tuple[str, Path]) -> None:
    url, _ = open_server
    body = b'[{"id":1},{"id":2}]'
    assert ask(url, "/ingest/once", body, idempotency_key="k")[1]["first_offset"] == 0
    again = {"endpoint": "once", "accepted": 2, "first_offset": 0, "last_offset": 1, "repeated": True}
    assert ask(url, "/ingest/once", body, idempotency_key="k")[:2] == (202, again)
    # The same in another packing is the same.
    packed = gzip.compress(body)
    assert ask(url, "/ingest/once", packed, idempotency_key="k", content_encoding="gzip")[:2] == (202, again)
    assert ask(url, "/ingest/once", b"[1]", idempotency_key="k")[0] == 422
    assert ask(url, "/ingest/once", body, idempotency_key="l")[1]["first_offset"] == 2


def test_headers_are_utf8(open_server: tuple[str, Path]) -> None:
    url, folder = open_server
    key = "São".encode().decode("latin-1")  # http.client sends these bytes
    assert ask(url, "/ingest/keys", b"[1]", riacho_key=key)[0] == 202
    about = {"ce_specversion": "1.0", "ce_id": "1", "ce_source": "s", "ce_type": "t"}
    assert ask(url, "/ingest/keys", b"1", ce_subject=key, ce_partitionkey="S%C3%A3o", **about)[0] == 202
    assert ask(url, "/ingest/keys", b"[1]", riacho_key="\xe3")[0] == 202  # Latin-1
    log = LogFolder(folder / "keys")
    found = [each for frame in log.find(0, 3) for each in frames.read([frame])]
    assert [key for _, events, _ in found for key in events["key"].to_pylist()] == [
        "São".encode(), "São".encode(), "ã".encode(),
    ]  # fmt: skip
    (subject,) = [each["value"] for each in found[1][2]["headers"].to_pylist()[0] if each["key"] == "ce_subject"]
    assert subject == "São".encode()


def test_other_endpoints_of_an_open_server_are_as_the_defaults_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_app, "UNDECLARED", 1)
    config = configured(tmp_path, "{open: true, defaults: {token: t, max_body: 10}, endpoints: {a: {max_body: 1k}}}")
    with serving(tmp_path / "logs", config) as url:
        assert ask(url, "/ingest/other", b"[1]")[0] == 401
        assert ask(url, "/ingest/other", b"[1]", x_api_key="t")[0] == 202
        assert ask(url, "/ingest/other", b"[1,2,3,4,5,6,7]", x_api_key="t")[0] == 413
        # To look is not to make one, and there is an end to how many a client can make.
        assert "Nothing was posted" in ask(url, "/ingest/third", method="GET", x_api_key="t")[1]["error"]
        assert "declare more" in ask(url, "/ingest/third", b"[1]", x_api_key="t")[1]["error"]
        assert ask(url, "/ingest/a", b"[1]", x_api_key="t")[0] == 202
        assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == ["a", "other"]


def test_an_endpoint_that_another_server_has(tmp_path: Path) -> None:
    with serving(tmp_path, IngestConfig({}, open=True)) as first, serving(tmp_path, IngestConfig({}, open=True)) as url:
        assert ask(first, "/ingest/a", b"[1]")[0] == 202
        status, told, headers = ask(url, "/ingest/a", b"[1]")
        assert (status, "another one has this endpoint" in told["error"], headers["Retry-After"]) == (503, True, "5")
        assert ask(url, "/ingest/a", method="GET")[0] == 503


CONFIG = """
defaults: {max_body: 1k}
endpoints:
  orders:
    token: ${ORDERS_TOKEN}
    schema: {id: BIGINT NOT NULL, at: TIMESTAMP, price: "DECIMAL(6,2)", tags: ARRAY<STRING>}
  slow: {rate: 10/s, burst: 1}
  calls: {requests: 2, burst: 1}
  full: {retention: {backlog: 1}}
"""


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("declared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORDERS_TOKEN", TOKEN)
        config = configured(folder, CONFIG)
    assert TOKEN not in repr(config)
    with serving(folder / "logs", config) as url:
        yield url


def test_a_token_is_asked_for(declared: str) -> None:
    refused: list[dict[str, Any]] = [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": TOKEN},
        {"x_api_key": "x"},
    ]
    for headers in refused:
        status, told, answered = ask(declared, "/ingest/orders", b'{"id":1}', **headers)
        assert (status, answered["WWW-Authenticate"]) == (401, "Bearer")
        assert TOKEN not in json.dumps(told)
        assert ask(declared, "/ingest/orders", method="GET", **headers)[0] == 401
    assert ask(declared, "/ingest/orders", b'{"id":1}', authorization=f"Bearer {TOKEN}")[0] == 202
    assert ask(declared, "/ingest/orders", b'{"id":1}', x_api_key=TOKEN)[0] == 202
    assert ask(declared, "/ingest/other", b"{}")[0] == 404


def test_events_must_fit_the_schema(declared: str) -> None:
    def post(body: bytes, **headers: str) -> tuple[int, str]:
        status, told, _ = ask(declared, "/ingest/orders", body, x_api_key=TOKEN, **headers)
        return status, str(told.get("error", told.get("accepted")))

    good = b'{"id":1,"at":"2026-01-31T10:00:00Z","price":12.50,"tags":["a"],"more":1}'
    assert post(b"[" + good + b',{"id":2}]') == (202, "2")
    assert post(b"id,at,price\n1,2026-01-31 10:00:00,9.5\n2,,\n", content_type="text/csv") == (202, "2")
    status, said = post(b"[" + good + b',{"id":"x"},{},{"id":1,"price":123456}]')
    assert status == 400
    assert "3 of 4 events do not fit the schema; none was taken" in said
    assert "event 1: field id: expected a whole number" in said
    assert "event 2: field id: it is NOT NULL" in said
    assert "event 3: field price" in said


def test_a_body_that_is_too_large(declared: str) -> None:
    large = b'{"id":"' + b"x" * 2000 + b'"}'
    assert ask(declared, "/ingest/slow", large)[0] == 413
    assert ask(declared, "/ingest/slow", iter([large]))[0] == 413
    assert ask(declared, "/ingest/slow", gzip.compress(large), content_encoding="gzip")[0] == 413


def test_too_much_is_refused_for_a_while(declared: str) -> None:
    # A request may be larger than the bucket; the next one waits for it.
    assert ask(declared, "/ingest/slow", json.dumps(list(range(60))).encode())[0] == 202
    status, told, headers = ask(declared, "/ingest/slow", b"[1]")
    assert (status, int(headers["Retry-After"]) in range(3, 7)) == (429, True), told
    assert "more comes than its rate allows" in told["error"]
    answers = [ask(declared, "/ingest/calls", b"[1]")[0] for _ in range(4)]
    assert answers[:2] == [202, 202]
    assert 429 in answers


def test_a_full_log_is_refused_until_somebody_reads_it(declared: str) -> None:
    assert ask(declared, "/ingest/full", b"[1]")[0] == 202
    status, told, _ = ask(declared, "/ingest/full", b"[1]")
    statuses, said = {status}, told.get("error")
    with IngestClient(declared, attempts=1) as client:
        for _ in range(200):
            try:
                client.send("full", [1])
            except IngestRefusedError as error:
                statuses.add(error.status)
                said = error.message
                break
            threading.Event().wait(0.02)
    assert 429 in statuses
    assert "its log is full: too little of it is read" in str(said)


def test_bad_events_as_dead_letters(tmp_path: Path) -> None:
    config = configured(
        tmp_path,
        f"endpoints: {{a: {{schema: {{id: INT}}, bad_data: dead_letter, bad_data_path: {tmp_path}/letters}}}}",
    )
    with serving(tmp_path / "logs", config) as url:
        body = b'[{"id":1},{"id":"x"},{"id":2},[3]]'
        for _ in range(2):  # the client did not hear the answer, and has no key
            status, told, _ = ask(url, "/ingest/a", body)
            assert (status, told["accepted"], told["dead_letters"]) == (202, 2, 2)
    letters = DeltaTable(tmp_path / "letters").to_pyarrow_table().to_pylist()
    assert sorted((row["raw"], row["source"]) for row in letters) == [
        (b"[3]", "ingest/a"),
        (b'{"id":"x"}', "ingest/a"),
    ]


def test_the_client_tries_again_and_gives_up(tmp_path: Path) -> None:
    with serving(tmp_path, IngestConfig({}, open=True)) as url:
        with IngestClient(url) as client:
            assert client.send("a", [{"id": 1}, {"id": "ä"}], key="k") == Receipt(2, 0)
            assert client.send("a", [{"id": 1}, {"id": "ä"}], key="k") == Receipt(2, 0, repeated=True)
            with pytest.raises(IngestRefusedError, match="answered 415"):
                client.post("a", b"x", "image/png")
        with pytest.raises(SparkGeneralError, match="Cannot listen on"):
            IngestService(tmp_path / "2", IngestConfig({}, open=True), port=urlsplit(url).port or 0)
    with (
        IngestClient(url, attempts=2) as client,
        pytest.raises(IngestRefusedError, match=r"no answer|did not answer"),
    ):
        client.send("a", [1])
    with pytest.raises(IllegalArgumentError, match="write http://HOST:PORT"):
        IngestClient("localhost:80")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("endpoints: {}", "must have 'endpoints:'"),
        ("endpoints: {-a: {}}", "cannot be the name of an endpoint"),
        ("endpoints: {a: {tokn: x}}", "has 'tokn', which means nothing here"),
        ("endpoints: {a: {token: '${NOT_THERE}'}}", "names the environment variable NOT_THERE, which is not set"),
        ("endpoints: {a: {schema: {id: NUMBER}}}", "schema: column id: 'NUMBER' is no type"),
        ("endpoints: {a: {schema: [id]}}", "schema must be a mapping of columns to types"),
        ("endpoints: {a: {bad_data: skip}}", "bad_data must be reject or dead_letter"),
        ("endpoints: {a: {bad_data: dead_letter}}", "needs a bad_data_path and a schema"),
        ("endpoints: {a: {rate: fast}}", "rate must be a positive number"),
        ("endpoints: {a: {max_body: large}}", "max_body must be a size"),
        ("endpoints: {a: {retention: {age: long}}}", "age must be a time"),
        ("open: 1\nendpoints: {a: {}}", "open must be true or false"),
    ],
)
def test_a_file_that_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(IllegalArgumentError) as raised:
        configured(tmp_path, text)
    assert says in raised.value.message
