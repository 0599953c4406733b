"""REST interfaces in batches: requests, pages, who asks, records, and what goes wrong; on riacho and on Spark."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, Row, SparkSession

from tests.connectors.rest_server import Asked, Reply, RestServer
from tests.spec.support import rows

FAST = {"retryWait": "10ms", "retries": "3"}
ITEMS = [{"id": number, "name": f"n{number}"} for number in range(1, 8)]


def load(spark: SparkSession, url: str, schema: str | None = "id BIGINT, name STRING", **options: Any) -> DataFrame:
    reader = spark.read.format("rest").option("url", url).options(**{**FAST, **options})
    return (reader if schema is None else reader.schema(schema)).load()


def paged(size: int = 3) -> Any:
    """Three records a page, by page or by offset, with the totals beside them."""

    def handler(asked: Asked) -> Any:
        first = int(asked.query["skip"]) if "skip" in asked.query else (int(asked.query["page"]) - 1) * size
        return {"data": {"items": ITEMS[first : first + size]}, "total_pages": 3, "count": len(ITEMS)}

    return handler


def failure(frame: DataFrame) -> str:
    with pytest.raises(PySparkException) as raised:
        frame.collect()
    return str(raised.value)


def test_pages_by_number_and_offset(connectors: SparkSession, rest: RestServer) -> None:
    url = rest.on("/items", paged())
    every = [(item["id"], item["name"]) for item in ITEMS]
    pages = {"records": "data.items", "paging": "page"}
    assert rows(load(connectors, url, **pages)) == every
    assert [asked.query for asked in rest.of("/items")] == [{"page": str(page)} for page in (1, 2, 3, 4)]
    rest.asked.clear()
    assert rows(load(connectors, url, **pages, **{"paging.total": "total_pages"})) == every
    assert len(rest.asked) == 3
    rest.asked.clear()
    sized = {"paging.size": "3", "paging.sizeParameter": "n", "paging.pages": "2"}
    assert len(rows(load(connectors, url, **pages, **sized))) == 6
    assert [asked.query for asked in rest.asked] == [{"page": "1", "n": "3"}, {"page": "2", "n": "3"}]
    rest.asked.clear()
    offsets = {"records": "data.items", "paging": "offset", "paging.size": "3", "paging.parameter": "skip"}
    assert rows(load(connectors, url, **offsets)) == every
    assert [asked.query["skip"] for asked in rest.asked] == ["0", "3", "6"]
    assert "nothing, paging.total, is no number" in failure(
        load(connectors, url, **pages, **{"paging.total": "nothing"})
    )
    assert "more than 1 pages" in failure(load(connectors, url, **pages, maxPages="1"))


def test_pages_by_cursor_and_link(connectors: SparkSession, rest: RestServer) -> None:
    def by_cursor(asked: Asked) -> Any:
        at = int(asked.json()["after"]) if asked.method == "POST" and asked.json().get("after") else 0
        return {"items": ITEMS[at : at + 3], "next": str(at + 3) if at + 3 < len(ITEMS) else None}

    every = [(item["id"], item["name"]) for item in ITEMS]
    url = rest.on("/search", by_cursor)
    cursor = {"paging": "cursor", "paging.path": "$.next", "paging.parameter": "after", "paging.in": "body"}
    body = {"method": "post", "body": '{"q": "x"}', "records": "items"}
    assert rows(load(connectors, url, **cursor, **body)) == every
    assert [asked.json() for asked in rest.asked] == [
        {"q": "x"}, {"q": "x", "after": "3"}, {"q": "x", "after": "6"},
    ]  # fmt: skip

    def by_header(asked: Asked) -> Reply:
        page = int(asked.query.get("page", 1))
        links = {"Link": f'<{rest.url}/linked?page={page + 1}&q=a%20b>; rel="next", <x>; rel="last"'}
        return Reply(ITEMS[page * 3 - 3 : page * 3], headers=links if page < 3 else {})

    linked = rest.on("/linked", by_header)
    assert rows(load(connectors, linked, parameters='{"q": "a b"}', paging="link")) == every
    assert [asked.query["q"] for asked in rest.of("/linked")] == ["a b"] * 3
    rest.on("/inside", {"items": ITEMS[:3], "next": "/inside2"})
    rest.on("/inside2", {"items": ITEMS[3:], "next": None})
    inside = {"paging": "link", "paging.path": "next", "records": "items"}
    assert rows(load(connectors, rest.url + "/inside", **inside)) == every
    rest.on("/away", {"items": ITEMS[:3], "next": "http://localhost:1/x"})
    assert "at another address" in failure(load(connectors, rest.url + "/away", **inside))
    rest.on("/endless", {"items": ITEMS[:3], "next": "same"})
    endless = {**cursor, "paging.in": "query", "records": "items"}
    assert "names itself as the next" in failure(load(connectors, rest.url + "/endless", **endless))


def test_values_ask_once_each(connectors: SparkSession, rest: RestServer, tmp_path: Path) -> None:
    for name in ("a b", "c"):
        rest.on(f"/of/{name.replace(' ', '%20')}/x", lambda asked: [{"id": len(asked.path), "name": asked.query["q"]}])
    names = tmp_path / "names"
    names.write_text("a b\nc\n\n")
    tmp_path.chmod(0o755)
    schema = "id BIGINT, name STRING, r STRUCT<values: MAP<STRING, STRING>, page: BIGINT>"
    values = json.dumps({"name": f"@{names}", "kind": ["x"], "n": [1, 2]})
    asked = {"values": values, "parameters": "q={n}", "requestColumn": "r", "concurrency": "3"}
    found = load(connectors, rest.url + "/of/{name}/{kind}", schema, **asked).collect()
    assert sorted((row.r["values"]["name"], row.name, row.r.page) for row in found) == [
        ("a b", "1", 1), ("a b", "2", 1), ("c", "1", 1), ("c", "2", 1),
    ]  # fmt: skip
    known = load(
        connectors, rest.url + "/of/{name}/x?q=1", values='[{"name": "c"}, {"name": "none"}]', emptyStatus="404"
    )
    assert rows(known) == [(len("/of/c/x"), "1")]
    assert rows(load(connectors, rest.on("/empty", Reply("", 204)))) == []
    assert "{name}" in failure(load(connectors, rest.url + "/of/{name}"))


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({"auth": "bearer", "auth.token": "s3same"}, ("Authorization", "Bearer s3same")),
        ({"auth": "header", "auth.name": "X-Key", "auth.value": "s3same"}, ("X-Key", "s3same")),
        ({"auth": "query", "auth.name": "api_key", "auth.value": "s3same"}, ("api_key", "s3same")),
        (
            {"auth": "basic", "auth.user": "me", "auth.password": "s3same"},
            ("Authorization", "Basic " + base64.b64encode(b"me:s3same").decode()),
        ),
    ],
)
def test_who_asks(connectors: SparkSession, rest: RestServer, options: dict[str, str], sent: tuple[str, str]) -> None:
    def handler(asked: Asked) -> Any:
        given = {**asked.headers, **asked.query}.get(sent[0])
        return ITEMS if given == sent[1] else Reply(f"who is {given}?", 401)

    url = rest.on("/private", handler)
    frame = load(connectors, url, **options)
    assert len(frame.collect()) == len(ITEMS)
    wrong = {name: "wr0ng" if value == "s3same" else value for name, value in options.items()}
    told = failure(load(connectors, url, **wrong))
    assert "access denied, status 401" in told
    assert "wr0ng" not in told
    assert base64.b64encode(b"me:wr0ng").decode() not in told
    assert "nothing was said of who asks" in failure(load(connectors, url))
    assert "s3same" not in frame._explain_string()  # type: ignore[operator]


def test_oauth_tokens_are_kept_and_renewed(connectors: SparkSession, rest: RestServer) -> None:
    tokens = [f"t{number}0000" for number in range(3)]

    def token(asked: Asked) -> Any:
        good = asked.headers["Authorization"] == "Basic " + base64.b64encode(b"me:s3same").decode()
        wanted = b"grant_type=client_credentials&scope=all"
        return {"access_token": tokens.pop(0), "expires_in": 3600} if good and asked.body == wanted else Reply({}, 401)

    valid = iter(["t00000"] * 2 + ["t10000"] * 2)

    def handler(asked: Asked) -> Any:
        return paged()(asked) if asked.headers["Authorization"] == f"Bearer {next(valid)}" else Reply("old token", 401)

    oauth = {
        "auth": "oauth2", "auth.tokenUrl": rest.on("/token", token), "auth.clientId": "me", "auth.scope": "all",
        "auth.clientSecret": "s3same",
    }  # fmt: skip
    pages = {"records": "data.items", "paging": "page", "paging.total": "total_pages"}
    assert len(load(connectors, rest.on("/private", handler), **oauth, **pages).collect()) == len(ITEMS)
    assert len(rest.of("/token")) == 2
    told = failure(load(connectors, rest.url + "/private", **{**oauth, "auth.clientSecret": "wr0ng"}))
    assert "no token (auth.tokenUrl): status 401" in told
    assert "wr0ng" not in told


def test_what_passes_is_tried_again(connectors: SparkSession, rest: RestServer) -> None:
    soon = format_datetime(datetime.now(UTC), usegmt=True)
    url = rest.on(
        "/bad",
        Reply("busy", 429, {"Retry-After": "1"}),
        Reply("busy", 429, {"Retry-After": soon}),
        Reply("limit", 403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "0"}),
        Reply("oops", 500),
        Reply(ITEMS, cut=20),
        '[{"id": 1',
        Reply(ITEMS, hang_s=5),
        Reply(ITEMS, packed=True),
    )
    began = time.monotonic()
    assert len(load(connectors, url, retries="10", readTimeout="300ms").collect()) == len(ITEMS)
    assert time.monotonic() - began >= 1
    assert len(rest.asked) == 8
    rest.on("/down", Reply("out of order", 503))
    assert "status 503: out of order (tried 4 times" in failure(load(connectors, rest.url + "/down"))
    rest.on("/later", Reply("busy", 429, {"Retry-After": "3600"}))
    told = failure(load(connectors, rest.url + "/later", totalTimeout="5s"))
    assert "The next wait, 3600 s, would be longer than totalTimeout allows" in told
    rest.on("/slow", Reply(ITEMS, hang_s=5))
    assert "no answer in time" in failure(load(connectors, rest.url + "/slow", retries="0", readTimeout="100ms"))
    assert "failed" in failure(load(connectors, "http://127.0.0.1:1/", retries="1"))


def test_what_does_not_pass_fails_at_once(connectors: SparkSession, rest: RestServer) -> None:
    cases: list[tuple[Any, dict[str, str], str]] = [
        (Reply("gone", 410), {}, "status 410: gone"),
        ({"items": [], "error": "changed"}, {"records": "data.items"}, "nothing at data.items, where the records are"),
        ({"data": {"items": 3}}, {"records": "data.items"}, "data.items is int"),
        ([{"id": "one"}], {}, 'field id: expected a whole number (int64), got "one"'),
        ([{"id": 1.5}], {}, "field id: expected a whole number"),
        ([{"name": "x"}], {"required": "id"}, "field id: it is required"),
        ([{"id": 1, "name": "x" * 5000}], {"maxBytes": "1k"}, "more than 1024 bytes"),
        ("<html>sorry</html>", {"retries": "0"}, "the answer is not JSON"),
    ]
    for number, (reply, options, told) in enumerate(cases):
        url = rest.on(f"/case{number}", reply)
        assert told in failure(load(connectors, url, **options)), told
        assert len(rest.of(f"/case{number}")) == 1
    rest.on("/loop", Reply("", 302, {"Location": "/loop"}))
    assert "more than 2 redirects" in failure(load(connectors, rest.url + "/loop", maxRedirects="2"))


def test_a_redirect_to_another_host_is_not_told_who_asks(connectors: SparkSession, rest: RestServer) -> None:
    rest.on("/new", lambda asked: [{"id": 1, "name": asked.headers.get("Authorization", "nobody")}])
    rest.on("/old", Reply("", 301, {"Location": "/new"}))
    elsewhere = rest.url.replace("127.0.0.1", "localhost")
    rest.on("/moved", Reply("", 302, {"Location": f"{elsewhere}/new"}))
    bearer = {"auth": "bearer", "auth.token": "s3same"}
    assert rows(load(connectors, rest.url + "/old", **bearer)) == [(1, "Bearer s3same")]
    assert rows(load(connectors, rest.url + "/moved", **bearer)) == [(1, "nobody")]


def test_columns_are_inferred_or_given(connectors: SparkSession, rest: RestServer) -> None:
    url = rest.on(
        "/types",
        [
            {"i": 1, "d": 1, "s": "x", "b": True, "l": [1, None], "o": {"z": 1, "a": None}, "n": None, "m": 1},
            {"i": 2, "d": 0.5, "s": None, "b": None, "l": [], "o": {"q": "x"}, "m": "text"},
        ],
    )
    frame = load(connectors, url, None)
    assert frame.schema.simpleString() == (
        "struct<b:boolean,d:double,i:bigint,l:array<bigint>,m:string,n:string,o:struct<a:string,q:string,z:bigint>,"
        "s:string>"
    )
    assert frame.collect()[0] == Row(
        b=True, d=1.0, i=1, l=[1, None], m="1", n=None, o=Row(a=None, q=None, z=1), s="x"
    )  # fmt: skip
    url = rest.on(
        "/given",
        [
            {"t": "2026-01-02T03:04:05.678Z", "n": "2026-01-02T03:04:05", "day": "2026-01-02", "p": 1.10, "y": "AQI="},
            {"t": "2026-01-02T00:04:05-03:00", "n": None, "day": "", "p": "2.5", "mm": {"a": 1}, "j": {"k": [1, 0.5]}},
            {"t": 1767323045, "p": 3, "ll": [["x"]], "j": "text", "f": 7},
        ],
    )
    schema = (
        "t TIMESTAMP, n TIMESTAMP_NTZ, day DATE, p DECIMAL(10,2), y BINARY, mm MAP<STRING, INT>, j STRING, "
        "ll ARRAY<ARRAY<STRING>>, f FLOAT"
    )
    found = load(connectors, url, schema, emptyAsNull="true").selectExpr(
        "CAST(t AS STRING)", "CAST(n AS STRING)", "CAST(day AS STRING)", "CAST(p AS STRING)", "hex(y)", "mm['a']", "j",
        "to_json(ll)", "f",
    )  # fmt: skip
    assert [tuple(row) for row in found.collect()] == [
        ("2026-01-02 03:04:05.678", "2026-01-02 03:04:05", "2026-01-02", "1.10", "0102", None, None, None, None),
        ("2026-01-02 03:04:05", None, None, "2.50", None, 1, '{"k":[1,0.5]}', None, None),
        ("2026-01-02 03:04:05", None, None, "3.00", None, None, "text", '[["x"]]', 7.0),
    ]
    rest.on("/lists", [[1, 2.5], [3, 4]])
    assert rows(load(connectors, rest.url + "/lists", None)) == [([1.0, 2.5],), ([3.0, 4.0],)]
    assert rows(load(connectors, rest.on("/lines", '{"id": 1}\n{"id": 2}\n'), "id INT", format="ndjson")) == [
        (1,),
        (2,),
    ]
    raw = load(connectors, rest.on("/raw", [{"b": 1, "a": "é"}]), None, raw="true", requestColumn="_request")
    assert [(row.value, row._request.url) for row in raw.collect()] == [('{"b":1,"a":"é"}', rest.url + "/raw")]
    assert load(connectors, rest.on("/none", []), "id INT").collect() == []


def test_duplicates_across_pages_and_bad_records(connectors: SparkSession, rest: RestServer) -> None:
    rest.on("/moving", [{"id": 1}, {"id": 2}], [{"id": 2}, {"id": 3}], [])
    assert rows(load(connectors, rest.url + "/moving", "id INT", paging="page", key="id")) == [(1,), (2,), (3,)]
    url = rest.on("/mixed", [{"id": 1}, {"id": "two"}, {"id": 3}, {"id": None}])
    assert rows(load(connectors, url, "id INT", bad_data="skip")) == [(1,), (3,), (None,)]
    assert rows(load(connectors, url, "id INT", bad_data="skip", required="id")) == [(1,), (3,)]


def test_a_file_says_it_all(connectors: SparkSession, rest: RestServer, tmp_path: Path) -> None:
    url = rest.on("/items", paged())
    file = tmp_path / "api.json"  # YAML where PyYAML is installed
    file.write_text(
        json.dumps(
            {
                "url": url + "${NO_SUCH_VARIABLE:-}",
                "parameters": {"vs_currency": "usd", "flag": True},
                "headers": {"X-Own": "1"},
                "records": "data.items",
                "schema": "id BIGINT",
                "paging": {"type": "page", "total": "total_pages"},
                "retry_wait": "10ms",
            }
        )
    )
    tmp_path.chmod(0o755)
    frame = connectors.read.format("rest").option("config", str(file)).load()
    assert (frame.columns, frame.count()) == (["id"], len(ITEMS))
    assert rest.asked[-1].query == {"vs_currency": "usd", "flag": "true", "page": "3"}
    assert rest.asked[-1].headers["X-Own"] == "1"
    file.write_text(json.dumps({"url": url, "pageing": "page"}))
    assert "'pageing', which means nothing here" in failure(load(connectors, url, config=str(file)))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"url": "ftp://x"}, "must be an address"),
        ({"paging": "pages"}, "must be one of none, page"),
        ({"paging.size": "3"}, "needs paging: page"),
        ({"paging": "cursor"}, "needs paging.path"),
        ({"paging": "offset"}, "needs paging.size"),
        ({"auth": "bearer"}, "needs the option auth.token"),
        ({"cursor.lag": "1m"}, "needs cursor"),
        ({"rateLimit": "fast"}, "must be a number in a time"),
        ({"records": "a..b"}, "is no JSON path"),
        ({"parameters": "{"}, "is not JSON"),
        ({"headers": "nothing"}, "lines such as Name: value"),
        ({"auth": "bearer", "auth.token": "${NO_SUCH_VARIABLE}"}, "environment variable NO_SUCH_VARIABLE"),
        ({"raw": "true"}, "must have the column value"),
        ({"requestColumn": "id"}, "tells of the request"),
        ({"tls.ca": "/no/such/file"}, "cannot be used"),
    ],
)
def test_options_that_make_no_sense(connectors: SparkSession, options: dict[str, str], told: str) -> None:
    assert told in failure(load(connectors, **{"url": "http://127.0.0.1:1/", **options}))


def test_requests_keep_to_the_rate(connectors: SparkSession, rest: RestServer) -> None:
    times: list[float] = []

    def handler(asked: Asked) -> Any:
        times.append(time.monotonic())
        return [{"id": 1}]

    url = rest.on("/rated", handler) + "?q={n}"
    values = json.dumps({"n": list(range(8))})
    assert load(connectors, url, "id INT", values=values, rateLimit="20/s", concurrency="2").count() == 8
    assert max(times) - min(times) >= 0.28


@pytest.mark.riacho_only
def test_a_limit_asks_for_no_more_pages(connectors: SparkSession, rest: RestServer) -> None:
    frame = load(connectors, rest.on("/items", paged()), records="data.items", paging="page")
    assert len(frame.limit(2).collect()) == 2
    assert len(rest.asked) == 1
    made = connectors.read.format("faker").option("fields", '{"n": "sequence"}').option("count", 10**15).load()
    assert [row.n for row in made.limit(3).collect()] == [0, 1, 2]
