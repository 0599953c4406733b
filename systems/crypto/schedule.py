"""The steps of a run, for `riacho schedule crypto`: what the Airflow DAG does, and with the embedded queue as well."""

from __future__ import annotations

import os
from typing import Final

from riacho.cli.systems import ScheduledTask, ScheduleSettings

from .tasks.collector import extract_data
from .tasks.processing import transform_data
from .tasks.producer import Sent, send_to_kafka, send_to_queue
from .tasks.store import load_data

EVERY: Final = "10m"
SERVICES: Final = "services"
QUEUE: Final = "http://127.0.0.1:8089"


def tasks(settings: ScheduleSettings) -> list[ScheduledTask]:
    """Collect, send, transform; with the profile services through Kafka, and into MongoDB."""
    warehouse, services = str(settings.warehouse), settings.profile == SERVICES
    queue = os.environ.get("QUEUE_URL") or QUEUE

    def sent(found: Sent) -> str:
        letters = f", {found.dead_letters} to the dead letters" if found.dead_letters else ""
        return f"{found.sent} sent to {'Kafka' if services else queue}{letters}"

    steps = [
        ScheduledTask("extract_data", lambda _: extract_data(), lambda found: f"{len(found)} quotes"),
        ScheduledTask(
            "send_to_kafka", send_to_kafka if services else lambda quotes: send_to_queue(quotes, queue), sent
        ),
        ScheduledTask(
            "transform_data",
            lambda _: transform_data(warehouse, profile=settings.profile, remote=settings.remote),
            lambda printed: next((line for line in reversed(printed.splitlines()) if "✓" in line), "").strip(" ✓"),
        ),
    ]
    if services or os.environ.get("MONGODB_URI"):
        load = ScheduledTask(
            "load_data",
            lambda _: load_data(warehouse, remote=settings.remote),
            lambda written: f"{written} candles written to MongoDB",
        )
        steps.append(load)
    return steps
