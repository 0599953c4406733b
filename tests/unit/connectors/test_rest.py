"""Parts of the REST connector: paths, secrets, limits, cursors, offsets, the examples of the documentation."""

from __future__ import annotations

import json
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from riacho.connectors.rest import json_path, records
from riacho.connectors.rest.answers import Answer, parsed, records_of
from riacho.connectors.rest.auth import ClientCredentials
from riacho.connectors.rest.client import RestClient
from riacho.connectors.rest.cursor import Novelty, SeenRecords
from riacho.connectors.rest.environment import Environment, Redactor
from riacho.connectors.rest.inference import schema_of
from riacho.connectors.rest.offsets import INITIAL, Store
from riacho.connectors.rest.paging import asked, following
from riacho.connectors.rest.reading import of_options
from riacho.connectors.rest.requests import Ask, first_ask
from riacho.connectors.rest.settings import RestSettings
from riacho.connectors.rest.source import RestDataSource
from riacho.connectors.values import as_json, column
from riacho.errors import AnalysisError, IllegalArgumentError, SparkError, SparkGeneralError
from tests.connectors.rest_server import Reply, RestServer

DOCS = Path(__file__).parents[3] / "docs"


def settings(**options: Any) -> RestSettings:
    return of_options({"url": "http://h/x", **{name.replace("__", "."): str(v) for name, v in options.items()}}, {})


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", [{"a": {"b": [1, 2, {"c d": 3}]}, "e": None}]),
        ("a.b", [[1, 2, {"c d": 3}]]),
        ("$.a.b[0]", [1]),
        ("a.b[-1]['c d']", [3]),
        ("$['a']['b'][*]", [1, 2, {"c d": 3}]),
        ("a.*", [[1, 2, {"c d": 3}]]),
        ("e", [None]),
        ("a.b[9]", []),
        ("x.y", []),
        ("e.f", []),
    ],
)
def test_json_paths(path: str, found: list[Any]) -> None:
    assert json_path.found({"a": {"b": [1, 2, {"c d": 3}]}, "e": None}, json_path.parse(path)) == found


@pytest.mark.parametrize("path", ["a..b", "a[", "a[x]", "a.", ".."])
def test_what_is_no_json_path(path: str) -> None:
    with pytest.raises(IllegalArgumentError, match="is no JSON path"):
        json_path.parse(path)


def test_secrets_are_hidden_in_all_their_forms() -> None:
    redactor = Redactor.of(["a/b c", "a/b", "x"])
    assert redactor.text("a/b c, a%2Fb%20c, a%2Fb+c, a/b, x") == "***, ***, ***, ***, x"
    assert "s3same" not in repr(settings(auth="bearer", auth__token="s3same", headers="X-Token: s3same"))
    hidden = of_options(
        {
            "url": "https://me:pw12@h/x?api_key=k3yk3y",
            "parameters": '{"token": "t0kt0k"}',
            "headers": "X-Api-Key: h3ad3r",
            "proxy": "http://u:pr0xy@p",
            "body": '{"q": "${Q}"}',
        },
        {"Q": "qu3ry", "HOST": "https://open.example"},
    ).redactor.text("pw12 k3yk3y t0kt0k h3ad3r pr0xy qu3ry")
    assert hidden == " ".join(["***"] * 6)


def test_the_environment() -> None:
    environment = Environment({"A": "1", "URL": "https://x"})
    assert environment.fill("${A}-${B:-two}-${URL}/y", "o") == "1-two-https://x/y"
    assert environment.fill_tree({"a": ["${A}", 2]}, "o") == {"a": ["1", 2]}
    assert environment.used == {"1"}
    with pytest.raises(IllegalArgumentError, match="environment variable B"):
        environment.fill("${B}", "o")
    with pytest.raises(IllegalArgumentError, match="without }"):
        environment.fill("${A", "o")


class Clock:
    """Time that passes only while somebody waits."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


def client(answer: Any, clock: Clock, **options: Any) -> RestClient:
    transport = httpx.MockTransport(answer)
    return RestClient(
        settings(**options), transport=transport, sleep=clock.sleep, now_s=lambda: clock.now, steady_s=lambda: clock.now
    )


def test_waits_grow_within_their_limit_and_keep_to_what_is_asked() -> None:
    clock = Clock()
    replies = [httpx.Response(500)] * 6 + [
        httpx.Response(429, headers={"Retry-After": "7"}),
        httpx.Response(429, headers={"Retry-After": "Mon, 12 Jan 1970 13:47:50 GMT"}),
        httpx.Response(403, headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "90"}),
        httpx.Response(200, json=[1]),
    ]
    fetching = client(lambda _: replies.pop(0), clock, retries=20, retryWait="1s", retryMaxWait="4s")
    _, document = fetching.fetch(Ask("GET", "http://h/x"))
    assert document == [1]
    random, asked = clock.waits[:6], clock.waits[6:]
    assert all(0 <= wait <= limit for wait, limit in zip(random, (1, 2, 4, 4, 4, 4), strict=True))
    assert (asked[0], asked[2]) == (7, 90)


def test_a_request_ends_in_time() -> None:
    clock = Clock()

    def slow(_: httpx.Request) -> httpx.Response:
        clock.now += 40
        return httpx.Response(503)

    with pytest.raises(SparkGeneralError, match="longer than totalTimeout allows"):
        client(slow, clock, retries=1000, totalTimeout="2m").fetch(Ask("GET", "http://h/x"))
    assert clock.now < 1_000_000 + 180

    def drip() -> Any:
        for _ in range(1000):
            clock.now += 1
            yield b" "

    with pytest.raises(SparkGeneralError, match="did not end in time"):
        client(lambda _: httpx.Response(200, content=drip()), clock, totalTimeout="1m", retries=0).fetch(
            Ask("GET", "http://h/x")
        )


def test_the_rate_is_even() -> None:
    clock = Clock()
    times: list[float] = []

    def answer(_: httpx.Request) -> httpx.Response:
        times.append(clock.now)
        return httpx.Response(200, json=[])

    fetching = client(answer, clock, rateLimit="30/m")
    for _ in range(4):
        fetching.fetch(Ask("GET", "http://h/x"))
    assert [time - times[0] for time in times] == [0, 2, 4, 6]


def test_a_token_is_renewed_before_it_ends() -> None:
    clock = Clock()
    tokens: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/token":
            tokens.append(f"t{len(tokens)}")
            return httpx.Response(200, json={"access_token": tokens[-1], "expires_in": 100})
        return httpx.Response(200, json=[request.headers["Authorization"]])

    oauth = {"auth": "oauth2", "auth__tokenUrl": "http://h/token", "auth__clientId": "me", "auth__clientSecret": "s3"}
    fetching = client(answer, clock, **oauth)
    for wait, token in ((0, "t0"), (60, "t0"), (20, "t1")):
        clock.now += wait
        assert fetching.fetch(Ask("GET", "http://h/x"))[1] == [f"Bearer {token}"]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), max_size=30), st.lists(st.integers(1, 9), max_size=5))
def test_every_event_is_new_once(events: list[tuple[int, int]], looks: list[int]) -> None:
    """An interface that gives what is at the cursor or later, at any time, in any order: nothing comes twice."""
    novelty = Novelty(settings(cursor="at", cursor__lag="10"))
    seen, taken = SeenRecords(), []
    distinct = list(dict.fromkeys(events))
    for end in [*looks, len(distinct)]:
        taken += novelty.new([{"at": at, "id": number} for at, number in distinct[:end]], seen)
        novelty.finish(seen)
        seen = SeenRecords.of_json(json.loads(json.dumps(seen.to_json())))
    assert sorted((record["at"], record["id"]) for record in taken) == sorted(distinct)


def test_ids_in_quotes_are_compared_as_numbers() -> None:
    """As texts 10 comes before 9: it would be taken for old."""
    novelty, seen = Novelty(settings(cursor="id")), SeenRecords()
    assert len(novelty.new([{"id": "9"}, {"id": "1.5"}], seen)) == 2
    novelty.finish(seen)
    assert novelty.new([{"id": "9"}, {"id": "10"}, {"id": "8"}], seen) == [{"id": "10"}]
    novelty.finish(seen)
    assert seen.since == "10"
    lagging = Novelty(settings(cursor="id", cursor__lag="5", cursor__parameter="since"))
    assert lagging.parameters(SeenRecords(since="10")) == {"since": "5"}
    hexadecimal, seen = Novelty(settings(cursor="id")), SeenRecords()
    assert len(hexadecimal.new([{"id": "0a"}, {"id": "10"}], seen)) == 2


def test_cursors_with_a_point_keep_in_the_checkpoint() -> None:
    novelty, seen = Novelty(settings(cursor="at")), SeenRecords()
    assert len(novelty.new([{"at": Decimal("1.5")}], seen)) == 1
    novelty.finish(seen)
    seen = SeenRecords.of_json(json.loads(json.dumps(seen.to_json())))
    assert len(novelty.new([{"at": Decimal("1.5")}, {"at": Decimal("1.25")}, {"at": Decimal("1.75")}], seen)) == 1


@pytest.mark.parametrize("value", [1700000000, "x", "1700000001"])
def test_a_lag_that_means_nothing_is_an_error(value: Any) -> None:
    novelty, seen = Novelty(settings(cursor="at", cursor__lag="10m")), SeenRecords()
    novelty.new([{"at": value}], seen)
    with pytest.raises(SparkGeneralError, match=r"cursor\.lag is 600 s"):
        novelty.finish(seen)


@pytest.mark.parametrize("value", [None, [1], float("nan"), float("inf")])
def test_what_is_no_cursor(value: Any) -> None:
    with pytest.raises(SparkGeneralError, match="no text or number at at, the cursor"):
        Novelty(settings(cursor="at")).new([{"at": value}], SeenRecords())


def test_records_without_their_key_are_an_error() -> None:
    """They would all be taken for one."""
    with pytest.raises(SparkGeneralError, match="has nothing at ID, the key"):
        Novelty(settings(key="ID")).new([{"id": 1}, {"id": 2}], SeenRecords())
    assert Novelty(settings(key="value")).new([1, 2, 1], SeenRecords()) == [1, 2]


def test_offsets_hold_what_was_fetched(tmp_path: Path) -> None:
    from riacho.connectors.rest.crawl import CrawlProgress, Opened, Page

    page = Page("http://h/x", 1, 5, {"id": "é"}, [{"a": 1.5, "t": "\ud800"}])
    progress = CrawlProgress({"k": Opened("next", 2)}, {"d"}, {"k": SeenRecords(1, 2, {"x": 1})})
    for options in ({}, {"spoolLocation": str(tmp_path / "spool")}):
        store = Store(settings(**options).stream)
        offset = json.loads(json.dumps(store.offset(dict(INITIAL), 7, [page], progress, looking=True)))
        stored = store.load(offset)
        assert (stored.pages, stored.progress, offset["rows"]) == ([page], progress, 1)
        after = store.offset(offset, 7, [], progress, looking=False)
        assert (after["id"], after["batch"]) == (offset["id"], 2)
        store.forget_before(after)
        assert len(list((tmp_path / "spool").glob("*"))) == (1 if options else 0)


def test_values_and_types() -> None:
    array, wrong = column([1, True, 2**40, "x", None], pa.int32(), "n", empty_as_null=False)
    assert (array.to_pylist(), sorted(wrong)) == ([1, None, None, None, None], [1, 2, 3])
    assert wrong[1] == "field n: expected a whole number (int32), got true"
    array, wrong = column([{"a": 1}, {"a": "x"}], pa.struct([("a", pa.int64())]), "o", empty_as_null=False)
    assert (array.to_pylist(), wrong) == ([{"a": 1}, None], {1: 'field o.a: expected a whole number (int64), got "x"'})
    kinds = schema_of([{"a": 1, "b": [1, None]}, {"a": 2.5, "b": [], "c": None, "d": 2**70}]).simpleString()
    assert kinds == "struct<a:double,b:array<bigint>,c:string,d:decimal(22,0)>"


def test_numbers_keep_their_digits(tmp_path: Path) -> None:
    from riacho.connectors.rest.crawl import CrawlProgress, Page

    document = parsed(b'[{"p": 0.12345678901234567890123, "d": 1.5, "n": 1.50}]', lines=False, decimals=True)
    assert as_json(document) == '[{"p":0.12345678901234567890123,"d":1.5,"n":1.50}]'
    store = Store(settings().stream, decimals=True)
    stored = store.load(store.offset(dict(INITIAL), 7, [Page("", 1, 5, {}, document)], CrawlProgress(), looking=True))
    assert stored.pages[0].records == document
    assert column([Decimal("1.5")], pa.float64(), "d", empty_as_null=False)[0].to_pylist() == [1.5]
    wide = Decimal("12345678901234567890123456789012345.67")
    values = [str(wide), wide, 0.125, "NaN"]
    array, wrong = column(values, pa.decimal128(38, 2), "p", empty_as_null=False)
    assert array.to_pylist() == [wide, wide, Decimal("0.13"), None]
    assert list(wrong) == [3]
    assert as_json({1: [float("nan"), float("-inf"), (Decimal("NaN"), "é")]}) == '{"1":["NaN","-Infinity",["NaN","é"]]}'


def test_values_stand_as_they_are(tmp_path: Path) -> None:
    binding = {"a": "{b}", "b": "x", "yes": True}
    given = settings(url="http://h/{yes}", parameters='{"q": "{a}-{b}-{c}", "all": "{yes}"}')
    ask = first_ask(given, binding)
    assert (ask.url, ask.parameters) == ("http://h/true", {"q": "{b}-x-{c}", "all": True})
    (tmp_path / "binary").write_bytes(b"\xff")
    with pytest.raises(IllegalArgumentError, match="not a text in UTF-8"):
        settings(values=json.dumps({"a": f"@{tmp_path / 'binary'}"}))


def test_answers_that_are_odd() -> None:
    with RestServer() as server:
        url = server.on("/deep", Reply(b"[" * 100_000 + b"]" * 100_000))
        with pytest.raises(SparkGeneralError, match="nested too deep"):
            list(records(url=url, retries=0))
        server.on("/private", Reply("no", 401))
        server.on("/moved", Reply("", 301, {"Location": server.url.replace("127.0.0.1", "localhost") + "/private"}))
        with pytest.raises(SparkGeneralError, match="another address is not told who asks"):
            list(records(url=server.url + "/moved", auth="bearer", **{"auth.token": "s3same"}))
        own = {"url": server.on("/own", [{"request": 1}]), "requestColumn": "Request"}
        with pytest.raises(AnalysisError, match="give requestColumn another name"):
            RestDataSource(own).schema()


def test_lines_end_with_line_feeds_only() -> None:
    assert parsed('{"a":"x\u2028\x85y"}\r\n\n{"a":1}'.encode(), lines=True, decimals=False) == [
        {"a": "x\u2028\x85y"}, {"a": 1},
    ]  # fmt: skip


@pytest.mark.parametrize("nothing", ["[]", "null", "{}"])
def test_no_elements_are_no_records(nothing: str) -> None:
    path = settings(records="data.items[*].price")
    assert records_of({"data": {"items": json.loads(nothing)}}, path, "h") == []
    for other in ("{}", '{"items": [{"cost": 1}]}'):
        with pytest.raises(SparkGeneralError, match="nothing at data"):
            records_of({"data": json.loads(other)}, path, "h")


def test_parameters_may_come_more_than_once() -> None:
    given = settings(url="http://h/x?tag=a&tag=b&page=9", parameters="of=1&of=2")
    ask = first_ask(given, {}).with_parameters({"page": 1}, in_body=False)
    queries: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        queries.append(request.url.query.decode())
        return httpx.Response(200, json=[])

    client(answer, Clock(), url=given.url).fetch(ask)
    assert queries == ["tag=a&tag=b&of=1&of=2&page=1"]


def test_an_offset_counts_what_was_given() -> None:
    """An interface that gives two at once though three are asked for."""
    given = settings(paging="offset", paging__size=3, paging__total="n")
    answer = Answer("http://h/x", b"", {}, 0)
    assert following(None, 1, answer, {"n": 5}, 2, given) == 2
    assert following(4, 3, answer, {"n": 5}, 1, given) is None
    nested = settings(paging="offset", paging__size=3, paging__total="n", records="a[*].b")
    assert following(None, 1, answer, {"n": 5}, 9, nested) == 3


def test_a_relative_link_takes_no_password_into_the_checkpoint() -> None:
    given = settings(url="http://me:s3same@h/x", paging="link")
    found = following(None, 1, Answer(given.url, b"", {"next": "/y?p=2"}, 0), None, 1, given)
    assert found == "http://h/y?p=2"
    assert asked(first_ask(given, {}), found, given).url == "http://me:s3same@h/y?p=2"
    with pytest.raises(SparkGeneralError, match="no address"):
        following(None, 1, Answer(given.url, b"", {"next": "http://h:99999/"}, 0), None, 1, given)


def test_a_token_that_another_thread_renewed_is_used() -> None:
    tokens = iter(["old", "new"])
    credentials = ClientCredentials(lambda: (next(tokens), 1000.0), lambda: 0.0)
    one = other = credentials.applied(Ask("GET", "http://h/x"))
    credentials.accepted()
    assert credentials.refused(one)
    assert credentials.applied(Ask("GET", "http://h/x")).headers["Authorization"] == "Bearer new"
    assert credentials.refused(other)
    renewed = credentials.applied(Ask("GET", "http://h/x"))
    assert renewed.headers["Authorization"] == "Bearer new"
    assert not credentials.refused(renewed)


def test_what_cannot_be_sent_fails_at_once_and_shows_nothing() -> None:
    with RestServer() as server:
        url = server.on("/x", [{"id": 1}])
        for token, told in (("s3same\n", "cannot be sent"), ("s3sämé", "the header Authorization has other")):
            with pytest.raises(SparkGeneralError, match=told) as raised:
                list(records(url=url, auth="bearer", **{"auth.token": token}))
            assert "s3s" not in str(raised.value)
        assert not server.asked
    for wrong in ("http://h:99999/x", "http://[::1/x", "http://h:1 2/x", "h/x"):
        with pytest.raises(IllegalArgumentError, match="The option url"):
            settings(url=wrong)
    with pytest.raises(IllegalArgumentError, match=r"The option auth\.tokenUrl"):
        settings(auth="oauth2", auth__tokenUrl="x", auth__clientId="a", auth__clientSecret="b")
    with pytest.raises(SparkError, match="No FileSystem"):
        settings(spoolLocation="s3://bucket/x")


def test_the_same_request_twice_has_one_address() -> None:
    ask = first_ask(settings(parameters='{"q": "{n}", "s": "a {n}"}', values='{"n": 1}'), {"n": 1})
    assert (ask.url, ask.parameters) == ("http://h/x", {"q": 1, "s": "a 1"})
    replaced = Ask("GET", "http://u:p@h/x?page=1&z=2#f").with_parameters({"page": 2}, in_body=False)
    assert (replaced.parameters, replaced.address()) == ({"z": "2", "page": 2}, "http://h/x")


def test_records_without_spark() -> None:
    with RestServer() as server:
        pages = [[{"id": 1}, {"id": 2}], [{"id": 3}], []]
        url = server.on("/x", *pages)
        assert [record["id"] for record in records(url=url, paging="page", concurrency=2)] == [1, 2, 3]
        server.on("/packed", Reply([{"id": 1}], packed=True))
        assert list(records(url=server.url + "/packed", proxy=None)) == [{"id": 1}]
        with pytest.raises(SparkGeneralError, match="failed"):
            list(records(url="http://h/x", proxy="http://127.0.0.1:1", retries=0))
        assert list(records(url="http://no.such.host/x", proxy=server.url, retries=0, emptyStatus="404")) == []


def test_certificates_are_checked(tmp_path: Path) -> None:
    """With the authorities of the options; a certificate of one's own may be shown."""
    own = tmp_path / "own.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run([*command, *subject, "-keyout", own, "-out", tmp_path / "c"], check=True, capture_output=True)
    own.write_text(own.read_text() + (tmp_path / "c").read_text())
    with RestServer(own) as server:
        url = server.on("/x", [{"id": 1}])
        trusting: dict[str, str] = {"tls.ca": str(own), "tls.certificate": str(own)}
        assert list(records(url=url, retries=0, **trusting)) == [{"id": 1}]
        assert list(records(url=url, retries=0, **{"tls.verify": "false"})) == [{"id": 1}]
        with pytest.raises(SparkGeneralError, match="CERTIFICATE_VERIFY_FAILED"):
            list(records(url=url, retries=0))


def test_the_examples_of_the_page_are_understood(tmp_path: Path) -> None:
    blocks = (DOCS / "rest.md").read_text().split("```yaml\n")[1:]
    assert len(blocks) == 3
    names = {"COINGECKO_KEY": "k", "TMDB_TOKEN": "t", "GITHUB_TOKEN": "g"}
    (tmp_path / "ids").write_text("tt1\ntt2\n")
    counts = []
    for number, block in enumerate(blocks):
        file = tmp_path / f"{number}.yml"
        file.write_text(block.partition("```")[0].replace("/data/imdb-ids.txt", str(tmp_path / "ids")))
        assert isinstance(yaml.safe_load(file.read_text()), dict)
        counts.append(len(of_options({"config": str(file)}, names).bindings))
    assert counts == [2, 6, 2]
