"""`deploy/`, as far as it can be checked without Docker: its files agree with each other and with `.env.example`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values
from jsonschema import Draft7Validator

from systems.crypto.tests.conftest import SYSTEM

DEPLOY = SYSTEM / "deploy"
ROOT = SYSTEM.parents[1]
STAGES = ("development", "staging", "production")
PARTS = {
    "kafka", "registry", "mongodb", "riacho", "spark-master", "spark-worker", "spark-connect", "postgres", "airflow",
    "airflow-scheduler", "airflow-dag-processor", "prometheus", "grafana",
}  # fmt: skip
SCHEMA = Path(__file__).with_name("compose-spec.json")
"""https://github.com/compose-spec/compose-spec, schema/compose-spec.json of 2026-06-23, Apache License 2.0."""
PINNED = re.compile(r"[\w./-]+:v?\d+(\.\d+)*[\w.-]*")
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)\}")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return found


def stage(name: str) -> dict[str, str | None]:
    return dotenv_values(DEPLOY / "env" / f"{name}.env")


def test_it_is_what_the_compose_specification_allows(compose: dict[str, Any]) -> None:
    wrong = [
        f"{error.json_path}: {error.message}"
        for error in Draft7Validator(json.loads(SCHEMA.read_text())).iter_errors(compose)
    ]
    assert not wrong
    assert set(compose["services"]) >= PARTS


def test_every_service_is_pinned_looked_after_and_restarted(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert PINNED.fullmatch(service["image"]), name
        assert service["healthcheck"]["test"], name
        assert service["restart"] == "${RESTART}", name
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", ())), name
        for needed, how in service.get("depends_on", {}).items():
            assert needed in compose["services"], name
            assert how == {"condition": "service_healthy"}, name
    bases = re.findall(r"^FROM (\S+)", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert len(bases) == 4
    assert all(PINNED.fullmatch(base) for base in bases)


def test_what_is_built_and_mounted_is_there(compose: dict[str, Any]) -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    used = set()
    for name, service in compose["services"].items():
        if build := service.get("build"):
            assert (DEPLOY / build["context"]).resolve() == ROOT
            assert ROOT / build["dockerfile"] == DEPLOY / "Dockerfile"
            assert f"AS {build['target']}\n" in dockerfile
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).exists(), name
            else:
                used.add(source)
    assert used == set(compose["volumes"])
    for line in re.findall(r"^COPY (?!--from)(.+)", dockerfile, re.MULTILINE):
        assert all((ROOT / source).exists() for source in line.split()[:-1])


def test_every_name_is_given_and_every_given_name_is_used(compose: dict[str, Any]) -> None:
    asked = set(VARIABLE.findall((DEPLOY / "compose.yaml").read_text()))
    secrets = set(dotenv_values(SYSTEM / ".env.example"))
    settings = set(stage("development"))

    assert asked <= secrets | settings
    assert settings <= asked
    assert not settings & secrets, "the last file would win"
    inside = compose["services"]["airflow-scheduler"]["environment"]
    assert secrets - asked == {"KAFKA_BOOTSTRAP_SERVERS", "SCHEMA_REGISTRY_URL", "MONGODB_URI"} <= set(inside)
    code = "".join(file.read_text() for folder in ("dags", "tasks") for file in (SYSTEM / folder).glob("*.py"))
    read = set(re.findall(r"env(?:iron)?(?:\.get\(|\[)\"([A-Z_]+)\"", code))
    assert len(read) > 8
    assert read - {"CRYPTO_WAREHOUSE"} <= set(inside), "a task would not find it"


def test_stages_have_the_same_settings_and_differ_in_each() -> None:
    found = [stage(name) for name in STAGES]

    assert found[0].keys() == found[1].keys() == found[2].keys()
    for name in found[0]:
        assert len({settings[name] for settings in found}) > 1, f"{name} need not stand there"
    assert all(int(settings["SPARK_WORKERS"] or 0) > 1 for settings in found)


def test_prometheus_asks_services_that_are_there(compose: dict[str, Any]) -> None:
    jobs = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["scrape_configs"]
    asked = {target.split(":")[0] for job in jobs for how in job.get("static_configs", ()) for target in how["targets"]}
    asked |= {name for job in jobs for how in job.get("dns_sd_configs", ()) for name in how["names"]}
    assert asked == {"prometheus", "kafka-exporter", "spark-master", "spark-worker", "grafana"}
    assert asked <= set(compose["services"])
