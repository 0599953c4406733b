"""A client from nothing to one file's rows in a table: `python -m bench.first_row URL LANDING WORK`."""

from __future__ import annotations

import sys
from pathlib import Path

from pyspark.sql import SparkSession

from bench.jobs import ingest

if __name__ == "__main__":
    url, landing, work = sys.argv[1:]
    ingest(SparkSession.builder.remote(url).getOrCreate(), Path(landing), Path(work), 1, 0)
