"""Made-up rows, `format("faker")`: described in YAML, the same for the same seed, in batches and as streams.

options      the table of options
description  what a description says; `kinds` what a field may be
draws        random numbers that belong to a row
makers       the values of a field, a column at a time; `pools` from Faker, `texts` made of bytes, `expressions`
rates        when rows happen: by the hour of the day, in bursts
generator    rows from one number to another; `json_text` as JSON, with what may be wrong in them
source       the data source
"""

from riacho.connectors.faker.source import FakerDataSource, rows

__all__ = ["FakerDataSource", "rows"]
