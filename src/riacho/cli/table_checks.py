"""What `riacho doctor TABLE` reports about a Delta table, and how it repairs it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from riacho.cli.checks import Finding, Health
from riacho.cli.failures import CommandError
from riacho.clock import SystemClock
from riacho.server.catalog.warehouse import WarehouseCatalog
from riacho.server.delta import repair as repairs
from riacho.server.delta.log import DeltaLog
from riacho.server.delta.repair import Damage
from riacho.storage import Place, place_of

_MEANINGS = {
    Damage.NOT_REMOVED: "were removed under another name: other readers still see their rows",
    Damage.NOT_ENCODED: "are named without encoding: readers look for them elsewhere",
    Damage.TWICE: "are in the table twice",
    Damage.MISSING: "do not exist: their rows are lost",
    Damage.CARRIED_ON: "were removed under another name, and a later version copied their rows into other files",
}


def check_table(table: str, warehouse: Place, *, repair: bool) -> list[Finding]:
    """What is wrong with a table; with `repair` it is repaired, and the findings say so.

    Raises CommandError for a table that does not exist, and what `examine` raises.
    """
    folder = _folder(table, warehouse)
    found = repairs.repair(folder, SystemClock()) if repair else repairs.examine(folder)
    version = DeltaLog(folder).latest_version()
    if not found:
        return [Finding("table", Health.OK, f"{folder}: version {version}, every file exists once")]
    findings = []
    for damage, count in Counter(finding.damage for finding in found).items():
        first = next(finding for finding in found if finding.damage is damage)
        since = "" if first.version is None else f", since version {first.version}"
        what = f"{count} files {_MEANINGS[damage]}{since}, the first is {first.file.path}"
        if not first.mendable:
            findings.append(Finding("table", Health.FAIL, what, _undo(folder, first)))
        elif repair:
            findings.append(Finding("table", Health.OK, f"repaired in version {version}: {what}"))
        else:
            findings.append(Finding("table", Health.FAIL, what, f"riacho doctor {table} --repair"))
    return findings


def _undo(folder: Place, finding: repairs.BrokenFile) -> str:
    before = (finding.later or 1) - 1
    return (
        f"go back to before version {finding.later}, repair, and repeat later changes: RESTORE TABLE delta.`{folder}` "
        f"TO VERSION AS OF {before}, then FSCK REPAIR TABLE delta.`{folder}`"
    )


def _folder(table: str, warehouse: Place) -> Place:
    if "/" in table or DeltaLog(Path(table)).exists():
        return place_of(table)
    if not warehouse.is_dir():
        raise CommandError(f"there is no warehouse at {warehouse.absolute()}", "choose another with --warehouse")
    catalog = WarehouseCatalog(warehouse)
    known = catalog.table(catalog.qualify(table))
    if known is None:
        raise CommandError(f"there is no table {table} in {warehouse.absolute()}", "`riacho tables` lists them")
    return known.location
