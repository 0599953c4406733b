"""The options of the incremental reader, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from riacho.connectors import bad_records
from riacho.connectors.bad_records import BadRecords
from riacho.connectors.postgres.address import ADDRESS, PgAddress
from riacho.errors import IllegalArgumentError
from riacho.options import Option, Options

OPTIONS: Final[tuple[Option, ...]] = (
    *ADDRESS,
    Option("table", None, "the table, as SQL names it", ("dbtable",)),
    Option(
        "cursorColumn",
        None,
        "a column that grows with each insert (and, to see updates, with each update): `updated_at`, or an identity",
        ("cursor",),
    ),
    Option(
        "lag",
        None,
        "how far behind the newest rows a row may still appear: a time (`10m`) for a date or a timestamp, a number for "
        "numbers. By default `10m`, or `10000`",
    ),
    Option("maxRowsPerTrigger", "100000", "how many rows a batch has at most"),
    Option("startAt", None, "rows whose cursor is less are not read"),
    Option("preferTimestampNTZ", "true", "`false`: `timestamp` and `time` are TIMESTAMP, taken as UTC"),
    *bad_records.OPTIONS,
)


@dataclass(frozen=True)
class IncrementalSettings:
    """What the user wants. `lag`: as written; None for the default."""

    address: PgAddress
    table: str
    cursor: str
    lag: str | None
    lag_ms: int | None
    rows: int
    start_at: str | None
    prefer_ntz: bool
    bad_records: BadRecords

    @classmethod
    def of(cls, given: Mapping[str, str]) -> IncrementalSettings:
        """Raises IllegalArgumentError for a value that an option cannot have, and for one that is missing."""
        options = Options.check("PostgreSQL incremental reader", OPTIONS, given)
        for name, example in (("table", "public.orders"), ("cursorColumn", "updated_at")):
            if not options.text(name):
                raise IllegalArgumentError(
                    f"The PostgreSQL incremental reader needs the option {name}, such as {example!r}"
                )
        lag = options.maybe("lag")
        address = PgAddress.of(options)
        return cls(
            address=address,
            table=options.text("table"),
            cursor=options.text("cursorColumn"),
            lag=lag,
            lag_ms=None if lag is None else options.duration_ms("lag"),
            rows=options.positive("maxRowsPerTrigger") or 1,
            start_at=options.maybe("startAt"),
            prefer_ntz=options.flag("preferTimestampNTZ"),
            bad_records=BadRecords.of(
                options,
                given,
                format="postgres_incremental",
                source=f"postgres_incremental/{address.shown}/{options.text('table')}",
                replay={},
            ),
        )
