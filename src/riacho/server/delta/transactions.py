"""What a table's log says of a numbered write that was committed before."""

from __future__ import annotations

from typing import Final

from riacho.server.delta.log import DeltaLog
from riacho.server.delta.write import AppTransaction
from riacho.storage import Place

_MOST: Final = 100_000
"""Versions that are looked at. Others may have written to the table since, but a repetition follows soon."""


def committed_rows(table: Place, numbered: AppTransaction) -> int | None:
    """The rows in the files that the write added; None if the log does not have it any more, or does not say.

    Reads the log from its end until it finds the write.
    """
    log = DeltaLog(table)
    version = log.latest_version()
    if version is None:
        return None
    for at in range(version, max(version - _MOST, -1), -1):
        try:
            commit = log.read(at)
        except FileNotFoundError:
            return None
        number = commit.transactions.get(numbered.application)
        if number == numbered.number:
            counts = [add.num_records for add in commit.adds]
            return None if None in counts else sum(count or 0 for count in counts)
        if number is not None and number < numbered.number:
            return None
    return None
