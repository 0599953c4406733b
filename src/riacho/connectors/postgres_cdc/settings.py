"""The options of the change stream, checked."""

from __future__ import annotations

import hashlib
import re
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
    Option(
        "tables",
        None,
        'the tables, separated by commas, as SQL names them: `public.orders, shop."Items"`',
        ("table", "dbtable"),
    ),
    Option("publication", None, "a publication; without `tables`, all of its tables. By default named as the slot"),
    Option("createPublication", "true", "make the publication if it is not there"),
    Option(
        "slot",
        None,
        "the replication slot; each stream needs its own. By default named after the tables",
        ("slotName",),
    ),
    Option("createSlot", "true", "make the slot if it is not there"),
    Option(
        "snapshotMode",
        "initial",
        "`initial`: all rows first, then changes; `never`: changes alone; `only`: all rows, and no slot",
        ("snapshot",),
    ),
    Option("maxSnapshotRowsPerTrigger", "100000", "how many rows of the snapshot a batch has at most"),
    Option(
        "maxBytesPerTrigger",
        "64m",
        "how much of the log a batch covers; a transaction is never cut, so a batch may have more",
    ),
    Option("heartbeat", "16m", "after so much of the log without a change of the tables an empty batch moves the slot"),
    Option(
        "unchangedToast",
        "fetch",
        "large values that an update did not touch: `fetch` them from the table, or leave them `null`; `_unchanged` "
        "names them",
    ),
    Option(
        "schemaChange", "fail", "a column that is new to the stream: `fail` (the next start has it), or `ignore` it"
    ),
    Option("before", "false", "add `_before`: the row before the change, as far as its REPLICA IDENTITY tells it"),
    Option("metadataPrefix", "_", "how the names of the columns begin that are not the table's"),
    Option("preferTimestampNTZ", "true", "`false`: `timestamp` and `time` are TIMESTAMP, taken as UTC"),
    *bad_records.OPTIONS,
)
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "snapshotMode": ("initial", "never", "only"),
    "unchangedToast": ("fetch", "null"),
    "schemaChange": ("fail", "ignore"),
}
_LONGEST_NAME: Final = 63


@dataclass(frozen=True)
class CdcSettings:
    """What the user wants. `tables`: as written; empty for all of the publication."""

    address: PgAddress
    tables: tuple[str, ...]
    slot: str
    publication: str
    creates_slot: bool
    creates_publication: bool
    snapshot_mode: str
    snapshot_rows: int
    bytes_per_batch: int
    heartbeat_bytes: int
    fetches_toast: bool
    fails_at_new_columns: bool
    before: bool
    prefix: str
    prefer_ntz: bool
    bad_records: BadRecords

    @classmethod
    def of(cls, given: Mapping[str, str]) -> CdcSettings:
        """Raises IllegalArgumentError for a value that an option cannot have, and where none says which tables."""
        options = Options.check("PostgreSQL change stream", OPTIONS, given)
        for name, known in _CHOICES.items():
            if options.text(name).lower() not in known:
                raise options.illegal(name, options.text(name), f"must be one of {', '.join(known)}")
        tables = split_names(options.text("tables"))
        if not tables and not options.is_given("publication"):
            raise IllegalArgumentError(
                "The PostgreSQL change stream does not know which tables to follow: give the option `tables`, such as "
                "'public.orders,public.items', or the option `publication`"
            )
        slot = options.maybe("slot") or _slot_of(tables or (options.text("publication"),))
        if not re.fullmatch(r"[a-z0-9_]{1,63}", slot):
            raise options.illegal("slot", slot, "must have only lower case letters, digits and underscores, at most 63")
        address = PgAddress.of(options)
        return cls(
            address=address,
            tables=tables,
            slot=slot,
            publication=options.maybe("publication") or slot,
            creates_slot=options.flag("createSlot"),
            creates_publication=options.flag("createPublication"),
            snapshot_mode=options.text("snapshotMode").lower(),
            snapshot_rows=options.positive("maxSnapshotRowsPerTrigger") or 1,
            bytes_per_batch=options.size_bytes("maxBytesPerTrigger") or 1,
            heartbeat_bytes=options.size_bytes("heartbeat") or 1,
            fetches_toast=options.text("unchangedToast").lower() == "fetch",
            fails_at_new_columns=options.text("schemaChange").lower() == "fail",
            before=options.flag("before"),
            prefix=options.text("metadataPrefix"),
            prefer_ntz=options.flag("preferTimestampNTZ"),
            bad_records=BadRecords.of(
                options,
                given,
                format="postgres_cdc",
                source=f"postgres_cdc/{address.shown}",
                replay={"metadataPrefix": options.text("metadataPrefix")},
            ),
        )


def split_names(text: str) -> tuple[str, ...]:
    """Names that commas separate, but for commas inside double quotes."""
    found, quoted = [""], False
    for char in text:
        quoted ^= char == '"'
        if char == "," and not quoted:
            found.append("")
        else:
            found[-1] += char
    return tuple(name.strip() for name in found if name.strip())


def _slot_of(tables: tuple[str, ...]) -> str:
    """A name that other tables would not have: it ends with a part of their hash where it does not tell them whole."""
    plain = "_".join(("riacho", *tables)).lower()
    name = re.sub(r"[^a-z0-9_]+", "_", plain)
    if name == plain.replace(".", "_") and len(name) <= _LONGEST_NAME:
        return name
    return f"{name[: _LONGEST_NAME - 9]}_{hashlib.sha256(plain.encode()).hexdigest()[:8]}"
