"""`riacho topics` and `riacho schemas` with a real broker and a real registry."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from riacho.cli.app import app
from riacho.registry.client import RegistryClient
from riacho.testing.registry_server import SchemaRegistryServer
from riacho.topics.broker import Broker
from tests.connectors.topics import Kafka

RUNNER = CliRunner()


def run(*words: str | Path) -> tuple[int, str]:
    done = RUNNER.invoke(app, [str(word) for word in words], env={"COLUMNS": "160"})
    return done.exit_code, done.output


def test_topics_become_what_the_file_says(kafka: Kafka, tmp_path: Path) -> None:
    name = f"t-{uuid4().hex[:8]}"
    file = tmp_path / "topics.yml"

    def write(partitions: int, retention: str, more: str = "") -> None:
        file.write_text(
            f"bootstrap: {kafka.bootstrap}\ntopics:\n  {name}:\n    partitions: {partitions}\n    replication: 1\n"
            f"    retention: {retention}\n    config: {{compression.type: zstd}}\n    dead-letter: true\n{more}"
        )

    broker = Broker({"bootstrap.servers": kafka.bootstrap})
    names = [name, f"{name}.dlq"]
    write(2, "7d")
    code, told = run("topics", "plan", file)
    assert code == 0
    assert "create: 2 partitions, 1 replica, compression.type zstd, retention.ms 7 d" in told
    assert broker.topics(names) == {}
    code, told = run("topics", "apply", file)
    assert (code, "nobody to ask" in told, broker.topics(names)) == (1, True, {})
    assert run("topics", "apply", file, "--yes")[0] == 0
    found = broker.topics(names)
    assert [(t.partitions, t.replication) for t in found.values()] == [(2, 1), (1, 1)]
    assert found[name].config["retention.ms"] == "604800000"
    code, told = run("topics", "apply", file)
    assert (code, "nothing to do" in told) == (0, True)
    write(3, "36h")
    code, told = run("topics", "apply", file, "-y")
    assert code == 0
    assert "partitions 2 → 3" in told
    assert "retention.ms 7 d → 1 d 12 h" in told
    grown = broker.topics([name])[name]
    assert (grown.partitions, grown.config["retention.ms"], grown.config["compression.type"]) == (
        3,
        "129600000",
        "zstd",
    )
    write(1, "1h", "  other-topic: {}\n")
    code, told = run("topics", "apply", file, "-y")
    assert code == 1
    assert "Kafka cannot take any away" in told
    assert broker.topics([name, "other-topic"]) == {name: grown}, "if one thing cannot be done, nothing is"


def test_what_is_wrong_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("riacho.topics.broker.REACH_S", 1.0)
    file = tmp_path / "topics.yml"
    file.write_text("topics: {a: {}}")
    assert run("topics", "plan", file)[1].startswith("error: which Kafka cluster? → give --broker")
    assert run("topics", "plan", file, "--client", "nonsense", "-b", "x:1")[0] == 2
    code, told = run("topics", "plan", file, "-b", "127.0.0.1:1")
    assert code == 1
    assert told.startswith("error: No Kafka broker answers at 127.0.0.1:1")


@pytest.fixture
def folder(tmp_path: Path, subject: str) -> Path:
    (tmp_path / "order.avsc").write_text('{"type":"record","name":"Order","fields":[{"name":"id","type":"long"}]}')
    click = {"schema": {"type": "object", "properties": {"id": {"type": "integer"}}}, "type": "JSON"}
    subjects = {subject: "order.avsc", f"clicks-{subject}": click}
    (tmp_path / "schemas.yml").write_text(json.dumps({"compatibility": "BACKWARD", "subjects": subjects}))
    return tmp_path


def test_schemas_are_registered_unless_one_is_incompatible(
    schema_registry: SchemaRegistryServer, registry: RegistryClient, folder: Path, subject: str
) -> None:
    file, at = folder / "schemas.yml", ("--registry", schema_registry.url)
    code, told = run("schemas", "check", file, *at)
    assert (code, told.count("new subject")) == (0, 2)
    assert registry.versions(subject) == []
    code, told = run("schemas", "register", file, *at)
    assert (code, told.count("→ BACKWARD")) == (0, 2)
    assert [registry.level(s) for s in (subject, f"clicks-{subject}")] == ["BACKWARD"] * 2
    code, told = run("schemas", "register", file, *at)
    assert (code, told.count("registered")) == (0, 2)
    assert registry.versions(subject) == [1]

    (folder / "order.avsc").write_text(
        '{"type":"record","name":"Order","fields":[{"name":"id","type":"long"},{"name":"must","type":"string"}]}'
    )
    document = json.loads(file.read_text())
    document["subjects"][f"new-{subject}"] = {"schema": {"type": "string"}}
    file.write_text(json.dumps(document))
    for command in ("check", "register"):
        code, told = run("schemas", command, file, *at)
        assert code == 1
        assert "must: it is new and has no default (reading version 1)" in told
    assert registry.versions(subject) == [1]
    assert registry.versions(f"new-{subject}") == [], "nothing is sent if one is incompatible"
    code, told = run("schemas", "diff", file, *at)
    assert code == 0
    assert '+      "name": "must",' in told

    document["subjects"][f"clicks-{subject}"]["schema"]["properties"]["id"]["type"] = "string"
    del document["subjects"][subject]
    file.write_text(json.dumps(document))
    code, told = run("schemas", "register", file, *at)
    assert code == 1
    assert registry.versions(f"clicks-{subject}") == [1]
    assert run("schemas", "check", folder / "nope.yml", *at)[1].startswith(
        f"error: {folder / 'nope.yml'} cannot be read"
    )
