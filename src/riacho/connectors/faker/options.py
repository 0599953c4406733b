"""The options of `faker`. What rows are made of is a description: a file, or the same as text in `fields`."""

from __future__ import annotations

from typing import Final

from riacho.options import Option

OPTIONS: Final = (
    Option("config", None, "a description, in YAML or JSON; options that are given beside it count more", ("path",)),
    Option("fields", None, "the fields of a description, as text in YAML or JSON"),
    Option("table", None, "a table of the description to make, instead of its main fields"),
    Option("seed", "0", "another seed gives other rows; the same gives the same"),
    Option("locale", "en_US", "whose names and addresses Faker makes: `pt_BR`, …"),
    Option("count", None, "how many rows there are: required in batches, except of a table; where a stream ends"),
    Option("start", None, "when the first row happens: in batches 2026-01-01, in streams when the query first starts"),
    Option("rowsPerSecond", "1", "how many rows happen each second, `0.5` or `3000/m` too", ("rate",)),
    Option(
        "profile", None, "what the rate is multiplied with in each hour of the day (UTC): a list of 24, or a mapping"
    ),
    Option("bursts", None, "times in which more rows come, as text in YAML or JSON"),
    Option("bad", None, "the share of rows that are bad, or a mapping with `share` and `kinds`"),
    Option("output", "columns", "`columns`, or `json`: each row is a JSON text in the column `value`"),
    Option(
        "numPartitions", None, "how many tasks make a batch; the rows are the same. By default one for 500,000 rows"
    ),
    Option("rowsPerBatch", None, "streams: so many rows in each batch, whatever the clock says"),
    Option("maxRowsPerBatch", "1000000", "streams: how many rows a batch has at most"),
)
IN_DESCRIPTION: Final = {
    "seed": "seed", "locale": "locale", "start": "start", "rowsPerSecond": "rate", "profile": "profile",
    "bursts": "bursts", "bad": "bad", "output": "output", "fields": "fields", "count": "count",
}  # fmt: skip
"""Options that stand in descriptions too, and what they are called there."""
