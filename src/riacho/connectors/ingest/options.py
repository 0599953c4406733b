"""The options of `format("ingest")`."""

from __future__ import annotations

from typing import Final

from riacho.connectors import bad_records
from riacho.options import Option

READ: Final = (
    Option("endpoint", None, "the name of the endpoint: `orders` for what is posted to `/ingest/orders`; required"),
    Option(
        "path",
        None,
        "the folder with the logs of the endpoints (`riacho ingest serve --folder`). riacho knows the one of its own "
        "warehouse",
    ),
    Option(
        "startingOffsets",
        None,
        "where a new stream or a batch starts: `earliest`, `latest` or an offset; by default `earliest`",
    ),
    Option("endingOffsets", "latest", "where a batch ends: `latest` or the offset of the first event that is left out"),
    Option("maxOffsetsPerTrigger", None, "the most events in one batch of a stream"),
    Option(
        "failOnDataLoss", "true", "fail if events that were not read yet are gone; `false`: go on with what is there"
    ),
    Option("includeHeaders", "true", "whether there is a column `headers`"),
    Option(
        "reader",
        None,
        "the name under which a stream tells how far it has read, so that nothing it needs is removed; by default the "
        "query's id on riacho, `default` elsewhere",
    ),
    *bad_records.OPTIONS,
)
