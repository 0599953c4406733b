"""Places of object storage: their names, what is done with them, and whose credentials they keep."""

from __future__ import annotations

import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from obstore.store import MemoryStore

from riacho import storage
from riacho.errors import IllegalArgumentError, StorageError, UnsupportedOperationError
from riacho.server.delta.log import DeltaLog
from riacho.storage import ObjectPath, StorageSettings, place_of, stores
from riacho.storage.ranges import RangeFile


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> ObjectPath:
    """A bucket in memory."""
    memory = MemoryStore()
    monkeypatch.setattr(stores, "store_of", lambda *_: memory)
    place = place_of("s3a://lake")
    assert isinstance(place, ObjectPath)
    return place


@pytest.mark.parametrize(
    ("text", "shown", "key"),
    [
        ("s3a://lake/a/b.json", "s3a://lake/a/b.json", "a/b.json"),
        ("S3://lake//a/./b/", "s3://lake/a/b", "a/b"),
        ("s3a://lake/", "s3a://lake", ""),
        ("s3n://lake/g=two words/x%20y", "s3n://lake/g=two words/x%20y", "g=two words/x%20y"),
        ("gs://lake/a/../b", "gs://lake/b", "b"),
        ("abfss://files@account.dfs.core.windows.net/a", "abfss://files@account.dfs.core.windows.net/a", "a"),
    ],
)
def test_a_uri_names_a_key_of_a_bucket(text: str, shown: str, key: str) -> None:
    place = place_of(text)
    assert isinstance(place, ObjectPath)
    assert (str(place), place.key) == (shown, key)
    assert place_of(str(place)) == place


def test_other_texts_are_local_or_refused() -> None:
    assert place_of("/a/b") == place_of("file:/a/b") == Path("/a/b")
    with pytest.raises(UnsupportedOperationError, match="hdfs"):
        place_of("hdfs://host/a")
    with pytest.raises(IllegalArgumentError, match="no bucket"):
        place_of("s3a:///a")
    with pytest.raises(IllegalArgumentError, match="no bucket"):
        place_of("s3a:/lake/a")
    # Secret keys have slashes, and what is cut off at one is no bucket.
    for text in ("s3a://key:hidden@lake/a", "s3n://key:hid/den@lake/a", "s3a://key:hid/den/x@lake", "s3a://key:hidden"):
        with pytest.raises(IllegalArgumentError, match="must not hold credentials") as caught:
            place_of(text)
        assert not [part for part in ("key:", "hid", "den/") if part in str(caught.value)]
    for text in ("s3a://two words/a", "gs://a?b/c", "s3://ä/a", "abfss://files/a", "abfss://files@/a"):
        with pytest.raises(IllegalArgumentError, match="is no name of a bucket|names no container"):
            place_of(text)


class PanicException(BaseException):
    """As Rust's libraries raise it."""


def test_what_a_client_cannot_do_is_an_error_of_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    place = place_of("s3a://lake/t")
    assert isinstance(place, ObjectPath)

    def panics(*_: object) -> None:
        raise PanicException("request valid: InvalidUri")

    monkeypatch.setattr(stores, "store_of", panics)
    with pytest.raises(StorageError, match=r"make a client for s3a://lake/t\. request valid"):
        place.exists()
    bucket = place_of("gs://lake/t")
    assert isinstance(bucket, ObjectPath)
    with pytest.raises(StorageError, match="GOOGLE_APPLICATION_CREDENTIALS"), bucket.asking("read"):
        raise ValueError("metadata.google.internal does not answer")


def test_the_methods_of_paths(bucket: ObjectPath) -> None:
    table = bucket / "db" / "t"
    assert (table.name, table.parent, (table / "x.tar.gz").suffix, (table / "x.gz").stem) == (
        "t", bucket / "db", ".gz", "x",
    )  # fmt: skip
    assert str((table / "g=1/x").relative_to(table)) == "g=1/x"
    assert [str(each) for each in table.parents] == ["s3a://lake/db", "s3a://lake"]
    assert not (bucket / "db/tables").is_relative_to(table)
    for name in ("b.json", "a.json", "deep/c.json", "t2.json"):
        (table / name).write_text(name)
    assert table.exists()
    assert table.is_dir()
    assert not table.is_file()
    assert not (bucket / "d").exists()
    assert [entry.place.name for entry in table.children()] == ["a.json", "b.json", "deep", "t2.json"]
    assert [place.name for place in table.glob("*.json")] == ["a.json", "b.json", "t2.json"]
    assert [place.name for place in table.glob("d*/*")] == ["c.json"]
    assert [place.name for place in table.rglob("[bc].json")] == ["b.json", "c.json"]
    assert (table / "a.json").stat().st_size == 6
    assert (table / "a.json").read_range(1, 3) == b".j"
    with (table / "a.json").open() as file:
        assert file.read() == b"a.json"
    with pytest.raises(FileNotFoundError, match="s3a://lake/db/t/none"):
        (table / "none").read_bytes()
    storage.move(table, bucket / "moved", last=lambda entry: entry.place.name == "a.json")
    assert not table.exists()
    assert len(list((bucket / "moved").listing())) == 4
    storage.delete_tree(bucket / "moved", first=lambda entry: entry.place.suffix == ".json")
    assert not (bucket / "moved").exists()


def test_of_several_who_make_a_file_one_does(bucket: ObjectPath, tmp_path: Path) -> None:
    for folder in (bucket / "log", tmp_path):
        made: list[bool] = []
        threads = [
            threading.Thread(target=lambda to=made, at=folder / "7", n=n: to.append(storage.create_new(at, b"%d" % n)))
            for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert sorted(made) == [False] * 7 + [True]
        assert not storage.create_new(folder / "7", (folder / "7").read_bytes()), "the same content of another"
        storage.replace(folder / "7", b"new")
        assert (folder / "7").read_bytes() == b"new"


class _AnswerLost:
    """A store whose first answer to a put is lost, after the put."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._lost = False

    def put(self, *args: object, **kwargs: object) -> object:
        done = self._store.put(*args, **kwargs)  # type: ignore[arg-type]
        if not self._lost:
            from obstore.exceptions import GenericError

            self._lost = True
            raise GenericError("connection closed before message completed")
        return done

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


def test_a_put_whose_answer_is_lost_is_known_as_ones_own(bucket: ObjectPath, monkeypatch: pytest.MonkeyPatch) -> None:
    store = _AnswerLost(MemoryStore())
    monkeypatch.setattr(stores, "store_of", lambda *_: store)
    assert storage.create_new(bucket / "_delta_log/7", b"mine")
    assert not storage.create_new(bucket / "_delta_log/7", b"mine")


def test_a_log_in_a_bucket(bucket: ObjectPath) -> None:
    log = DeltaLog(bucket / "t")
    assert not log.exists()
    assert log.latest_version() is None
    assert log.put(0, b'{"commitInfo":{}}')
    assert not log.put(0, b'{"commitInfo":{"a":1}}')
    stamp = log.stamp(0)
    assert (log.versions(), log.exists(), log.stamp(0), log.stamp(1)) == ([0], True, stamp, None)
    assert log.read(0).version == 0


def test_a_long_log_is_listed_from_its_last_checkpoint(bucket: ObjectPath) -> None:
    log = DeltaLog(bucket / "t")
    for version in range(1100):
        (log.directory / f"{version:020d}.json").write_bytes(b'{"commitInfo":{}}')
    assert log.newest() == (1099, None), "without a checkpoint all is listed"
    file = log.directory / f"{1090:020d}.checkpoint.parquet"
    file.write_bytes(b"")
    (log.directory / "_last_checkpoint").write_bytes(b'{"version":1090,"size":2}')
    newest = log.newest()
    assert newest is not None
    assert (newest[0], newest[1] and newest[1].version) == (1099, 1090)
    assert [commit.version for commit in log.commits(1091, 1099)] == list(range(1091, 1100))
    (log.directory / "_last_checkpoint").write_bytes(b"{")
    assert log.newest() == newest
    file.unlink()
    (log.directory / "_last_checkpoint").write_bytes(b'{"version":1090,"size":2}')
    assert log.newest() == (1099, None), "a note of what is not there"
    (log.directory / f"{1095:020d}.json").unlink()
    with pytest.raises(FileNotFoundError):
        list(log.commits(1091, 1099))


def test_large_files_are_read_in_ranges(bucket: ObjectPath, tmp_path: Path) -> None:
    rows = pa.table({"a": range(2_000_000), "b": [f"row {n}" for n in range(2_000_000)]})
    pq.write_table(rows, tmp_path / "x.parquet", compression="none", use_dictionary=False)
    storage.upload(tmp_path / "x.parquet", bucket / "x.parquet")
    content = (tmp_path / "x.parquet").read_bytes()
    with pq.ParquetFile(storage.open_input(bucket / "x.parquet")) as file:
        assert file.read(columns=["a"]).equals(rows.select(["a"]))
    raw = RangeFile(bucket / "x.parquet", len(content))
    raw.seek(-100, 2)
    assert raw.read(40) == content[-100:-60]
    raw.prefetch([(10, 20), (5_000_000, 5_000_100), (15, 30)])
    raw.seek(5_000_000)
    assert raw.read(50) == content[5_000_000:5_000_050]
    raw.seek(0)
    assert raw.readall() == content
    with pytest.raises(FileNotFoundError):
        storage.open_input(bucket / "none")


def test_settings_of_a_bucket_go_before_those_of_all() -> None:
    settings = StorageSettings.of(
        {
            "spark.hadoop.fs.s3a.access.key": "general",
            "spark.hadoop.fs.s3a.secret.key": "general-secret",
            "fs.s3a.bucket.lake.access.key": "own",
            "fs.s3a.bucket.lake.secret.key": "own-secret",
            "fs.s3a.endpoint": "127.0.0.1:9",
            "fs.s3a.connection.ssl.enabled": "false",
            "fs.s3a.path.style.access": "true",
            "spark.sql.shuffle.partitions": "2",
        }
    )
    keys = stores.static_keys("lake", settings)
    assert keys is not None
    assert (keys.access_key, keys.secret_key) == ("own", "own-secret")
    keys = stores.static_keys("other", settings)
    assert keys is not None
    assert keys.access_key == "general"
    assert stores.s3_config("lake", settings)["endpoint"] == "http://127.0.0.1:9"
    assert "secret" not in repr(settings)
    virtual = settings.over({"fs.s3a.path.style.access": "false", "fs.s3a.endpoint": "https://s3.example.org"})
    assert stores.s3_config("lake", virtual)["endpoint"] == "https://lake.s3.example.org"
    with pytest.raises(IllegalArgumentError, match="secret.key is not"):
        stores.static_keys("lake", StorageSettings.of({"fs.s3a.access.key": "alone"}))


def test_a_token_goes_with_the_keys_it_was_made_for() -> None:
    server = StorageSettings.of(
        {"fs.s3a.access.key": "a", "fs.s3a.secret.key": "b", "fs.s3a.session.token": "of a"}
        | {"fs.s3a.bucket.lake.access.key": "c", "fs.s3a.bucket.lake.secret.key": "d"}
    )
    session = server.over({"fs.s3a.access.key": "e", "fs.s3a.secret.key": "f"})
    found = [stores.static_keys(bucket, each) for each in (server, session) for bucket in ("other", "lake")]
    assert [keys and (keys.access_key, keys.token) for keys in found] == [
        ("a", "of a"), ("c", None), ("e", None), ("c", None),
    ]  # fmt: skip
    tokens = session.over({"fs.s3a.bucket.lake.session.token": "of c", "spark.hadoop.fs.s3a.session.token": "of e"})
    found = [stores.static_keys(bucket, tokens) for bucket in ("other", "lake")]
    assert [keys and keys.token for keys in found] == ["of e", "of c"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500", 0.5),
        ("60s", 60),
        ("2M", 120),
        ("1d", 3600),
        ("0", 3600),
        ("1us", 0.001),
        ("1.5s", None),
        ("s", None),
        ("5 min", None),
    ],
)
def test_times_are_hadoops(text: str, seconds: float | None) -> None:
    settings = StorageSettings.of({"fs.s3a.connection.timeout": text})
    if seconds is not None:
        assert stores._seconds(settings, "lake", "connection.timeout", 1) == seconds
        return
    with pytest.raises(IllegalArgumentError, match=f"connection.timeout must be a time .* found '{text}'"):
        stores._seconds(settings, "lake", "connection.timeout", 1)


@pytest.mark.parametrize(
    "text", ["ftp://host", "https://two words", "http://host:port", "https://key:hidden@host", "://"]
)
def test_an_endpoint_is_checked(text: str) -> None:
    with pytest.raises(IllegalArgumentError, match="fs.s3a.endpoint must be https://HOST") as caught:
        stores.s3_config("lake", StorageSettings.of({"fs.s3a.endpoint": text}))
    assert "hidden" not in str(caught.value)
    fine = {"fs.s3a.endpoint": "[::1]:9000/", "fs.s3a.connection.ssl.enabled": "false"}
    assert stores.s3_config("lake", StorageSettings.of(fine))["endpoint"] == "http://[::1]:9000"


def test_a_thread_has_settings_and_a_place_keeps_them() -> None:
    settings = StorageSettings.of({"fs.s3a.access.key": "a", "fs.s3a.secret.key": "b"})
    with storage.using(settings):
        mine = place_of("s3a://lake/x")
        found: list[storage.Place] = []
        for work in (lambda: found.append(place_of("s3a://lake/x")), storage.carried(lambda: found.append(mine / "y"))):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join(10)
    assert mine != found[0]
    assert isinstance(found[1], ObjectPath)
    assert found[1].settings is settings
    assert place_of("s3a://lake/x") == found[0]


def test_the_environment_and_the_profile_are_asked_last(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "credentials").write_text("[other]\naws_access_key_id = p\naws_secret_access_key = q\n")
    (tmp_path / "config").write_text("[profile other]\nregion = eu-central-1\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    assert stores.static_keys("lake", storage.NO_SETTINGS) is None
    monkeypatch.setenv("AWS_PROFILE", "other")
    keys = stores.static_keys("lake", storage.NO_SETTINGS)
    assert keys is not None
    assert keys.access_key == "p"
    assert stores.s3_config("lake", storage.NO_SETTINGS)["region"] == "eu-central-1"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "e")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "f")
    keys = stores.static_keys("lake", storage.NO_SETTINGS)
    assert keys is not None
    assert keys.access_key == "e"


def test_what_moves_between_storages_is_refused(bucket: ObjectPath, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="same storage"):
        storage.move(tmp_path, bucket / "x")
    (bucket / "x").write_bytes(b"x")
    for other in ("s3a://other/x", "gs://lake/x"):
        with pytest.raises(StorageError, match="same storage"):
            storage.move(bucket / "x", place_of(other))
    assert (bucket / "x").exists()
