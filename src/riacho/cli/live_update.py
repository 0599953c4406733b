"""A continuous update for a show: it runs while input comes in, and is stopped when all of that has come through."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from riacho.cli.continuous_view import ContinuousView
from riacho.cli.failures import CommandError
from riacho.cli.pipeline import Selection, update
from riacho.cli.systems import Demo
from riacho.cli.terminal import counted
from riacho.conf import CONTINUOUS

if TYPE_CHECKING:
    from pyspark.pipelines.cli import PipelineSpec
    from pyspark.sql import SparkSession

REST_S = 1.5
"""When all flows have rested for so long, everything has come through."""
LIMIT_S = 120.0
LOOK_S = 0.1
_ON = {CONTINUOUS.key: "true"}


class LiveUpdate:
    """One such update of a demo's pipeline."""

    def __init__(self, spark: SparkSession, show: Demo, console: Console) -> None:
        self._spark = spark
        self._show = show
        self._console = console
        self._view = ContinuousView(console, spark)
        self._told: list[str] = []
        self._done = threading.Event()
        self._over = threading.Event()

    def run(self, spec: PipelineSpec, spec_path: Path) -> list[str]:
        """Run until all input has come through; lines that tell of it.

        Raises what `update` raises, and CommandError if the pipeline does not come to rest.
        """
        from pyspark.errors import PySparkException

        helper = threading.Thread(target=self._feed, name="input", daemon=True)
        helper.start()
        try:
            update(self._spark, spec, spec_path, Selection(), self._console, view=self._view, confs=_ON)
        except PySparkException:
            if not self._done.is_set():
                raise
        finally:
            self._over.set()
            helper.join(LIMIT_S)
        if not self._done.is_set():
            raise CommandError("the pipeline did not come to rest", "look at its events with `riacho events`")
        return [
            f"{counted(self._view.rows, 'row')} went through {counted(self._view.board.total, 'flow')}",
            *self._told,
        ]

    def _feed(self) -> None:
        """Let the input come in once the flows run, and stop the update when they rest after it."""
        if not self._wait_for_rest():
            return
        with self._show.live() as what_came:
            pass
        self._told.extend(what_came())
        if self._wait_for_rest():
            self._done.set()
        self._spark.interruptAll()

    def _wait_for_rest(self) -> bool:
        """Wait until no flow has anything to do; whether that came in time."""
        deadline, since = time.monotonic() + LIMIT_S, None
        while time.monotonic() < deadline and not self._over.wait(LOOK_S):
            if not self._view.rests:
                since = None
                continue
            since = since or time.monotonic()
            if time.monotonic() - since > REST_S:
                return True
        return False
