"""The checks of `riacho doctor`. Each checks one thing and reports its health and, if it is not well, what to do."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from riacho import storage
from riacho.cli.failures import explain
from riacho.cli.terminal import duration, size
from riacho.errors import SparkError

OLDEST_PYTHON = (3, 11)
SHARED_MEMORY = Path("/dev/shm")
ROOMY_SHARED_MEMORY = 256 << 20
ROOMY_MEMORY = 2 << 30
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?P<bounds>[^;]*)(?:;(?P<marker>.*))?")


class Health(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """What a check found. `way_out` is empty when all is well."""

    subject: str
    health: Health
    detail: str
    way_out: str = ""


@dataclass(frozen=True)
class Place:
    """What the checks are about: the port and the warehouse that `riacho up` would use."""

    port: int
    warehouse: storage.Place


def python(_: Place) -> Finding:
    version = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro} in {sys.prefix}"
    if sys.version_info < OLDEST_PYTHON:
        return Finding("Python", Health.FAIL, version, "riacho needs 3.11 or newer: create an environment with it")
    return Finding("Python", Health.OK, version)


def packages(_: Place) -> Finding:
    """All that riacho depends on is there; `==` bounds hold (a mere lower bound is pip's to keep)."""
    missing, other = [], []
    needed = list(_requirements())
    for name, bounds in needed:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
        else:
            if bounds.startswith("==") and bounds.removeprefix("==").strip() != version:
                other.append(f"{name} {version} (made for {bounds.removeprefix('==')})")
    if missing:
        return Finding("packages", Health.FAIL, f"missing: {', '.join(missing)}", f"pip install {' '.join(missing)}")
    if other:
        return Finding("packages", Health.WARN, ", ".join(other), "pip install --force-reinstall riacho")
    return Finding("packages", Health.OK, f"all {len(needed)} installed; the engine is pysail {_version('pysail')}")


def client(_: Place) -> Finding:
    """PySpark's client, and what in the environment would lead it astray."""
    light, full = _version("pyspark-client"), _version("pyspark")
    if full:
        detail = f"pyspark {full} and pyspark-client {light} share one folder and overwrite each other"
        return Finding(
            "client", Health.FAIL, detail, "pip uninstall pyspark pyspark-client; pip install pyspark-client"
        )
    if home := os.environ.get("SPARK_HOME"):
        detail = f"pyspark-client {light}; SPARK_HOME is {home}"
        return Finding("client", Health.WARN, detail, "unset SPARK_HOME unless you want to use that Spark")
    return Finding("client", Health.OK, f"pyspark-client {light}")


def shared_memory(_: Place) -> Finding:
    """Batches go to the engine through shared memory; where there is none, through a temporary folder."""
    if not SHARED_MEMORY.is_dir() or not os.access(SHARED_MEMORY, os.W_OK):
        detail = f"no {SHARED_MEMORY}; batches go through {tempfile.gettempdir()}"
        return Finding(
            "shared memory", Health.WARN, detail, "this works, but more slowly; on Linux, mount a tmpfs there"
        )
    free = shutil.disk_usage(SHARED_MEMORY).free
    if free < ROOMY_SHARED_MEMORY:
        detail = f"{size(free)} free in {SHARED_MEMORY}"
        return Finding("shared memory", Health.WARN, detail, "give a container more: docker run --shm-size=1g")
    return Finding("shared memory", Health.OK, f"{size(free)} free in {SHARED_MEMORY}")


def memory(_: Place) -> Finding:
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        available = _available_memory() or free
    except (ValueError, OSError):
        return Finding("memory", Health.OK, "this system does not report how much is free")
    if available < ROOMY_MEMORY:
        return Finding(
            "memory", Health.WARN, f"{size(available)} free", "large queries may need more: close other programs"
        )
    return Finding("memory", Health.OK, f"{size(available)} free, {os.cpu_count()} cores")


def port(place: Place) -> Finding:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", place.port))
        except OSError as error:
            detail = f"{place.port} cannot be used: {error.strerror}"
            return Finding(
                "port",
                Health.WARN,
                detail,
                "riacho may already be running; otherwise choose another: riacho up --port 0",
            )
    return Finding("port", Health.OK, f"{place.port} is free")


def warehouse(place: Place) -> Finding:
    folder = place.warehouse.absolute()
    if not isinstance(folder, Path):
        try:
            state = "" if folder.is_dir() else ", nothing there yet"
        except SparkError as error:
            return Finding("warehouse", Health.FAIL, error.message, "see docs/object-storage.md")
        return Finding("warehouse", Health.OK, f"{folder}{state}")
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        return Finding("warehouse", Health.FAIL, f"{existing} cannot be written to", "choose another with --warehouse")
    state = "" if folder.exists() else ", created when needed"
    return Finding("warehouse", Health.OK, f"{folder}{state}, {size(shutil.disk_usage(existing).free)} free")


def server(_: Place) -> Finding:
    """The whole way: start a server, connect PySpark, write a Delta table, read it."""
    from riacho.cli.session import session

    started = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="riacho-doctor-") as folder, session(Path(folder), None) as spark:
            up = time.monotonic() - started
            spark.range(3).write.saveAsTable("written_by_doctor")
            count = spark.table("written_by_doctor").count()
    except Exception as error:  # noqa: BLE001 (whatever it is, it is the finding)
        return Finding("server", Health.FAIL, explain(error).line, "run riacho doctor --verbose for details")
    if count != 3:
        return Finding("server", Health.FAIL, f"wrote 3 rows and read {count}", "please report this")
    return Finding("server", Health.OK, f"started and connected in {duration(up)}; wrote and read a Delta table")


def generators(_: Place) -> Finding:
    version = _version("faker")
    if version is None:
        detail = "Faker is not installed; `riacho generate` and `riacho demo` need it"
        return Finding("generators", Health.WARN, detail, "pip install 'riacho[generate]'")
    return Finding("generators", Health.OK, f"Faker {version}")


def java(_: Place) -> Finding:
    """Not needed, except to compare with Apache Spark."""
    found = shutil.which("java")
    detail = f"{found}, to compare with Apache Spark" if found else "none, and riacho does not need it"
    return Finding("Java", Health.OK, detail)


CHECKS: tuple[Callable[[Place], Finding], ...] = (
    *(python, packages, client, generators),
    *(memory, shared_memory, warehouse, port, server, java),
)
"""In the order of the report: a check comes after those it depends on."""


def _requirements() -> Iterator[tuple[str, str]]:
    """Name and bounds of what riacho cannot do without; extras are left out."""
    for text in importlib.metadata.requires("riacho") or ():
        found = _REQUIREMENT.fullmatch(text)
        if found and "extra" not in (found["marker"] or ""):
            yield found["name"], found["bounds"].strip()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _available_memory() -> int | None:
    """What Linux says programs could still take, caches included, in bytes."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), None)
