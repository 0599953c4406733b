"""Where things lie that the options of a connector name: its worker knows no catalog."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from riacho.connectors.names import BAD_DATA_LOCATION, INGEST_FOLDER
from riacho.errors import AnalysisError
from riacho.server.catalog.records import FOLDER
from riacho.server.catalog.warehouse import WarehouseCatalog
from riacho.storage import Place

_TABLE: Final = "bad_data_table"


class ConnectorPlaces:
    """What a server tells its connectors. `options` is an `engine.base.ServerOptions`."""

    def __init__(self, catalog: WarehouseCatalog) -> None:
        self._catalog = catalog

    def options(self, given: Mapping[str, str], current_database: str) -> Mapping[str, str]:
        """Raises SCHEMA_NOT_FOUND, and AnalysisError for a table of dead letters that is a view or not Delta."""
        told = {INGEST_FOLDER: str(self._catalog.warehouse / FOLDER / "ingest")}
        table = next((value for key, value in given.items() if key.lower() == _TABLE), None)
        if table:
            told[BAD_DATA_LOCATION] = str(self._letters(table, current_database))
        return told

    def _letters(self, text: str, current_database: str) -> Place:
        name = self._catalog.qualify(text, current_database)
        found = self._catalog.table(name)
        if self._catalog.view(name) is not None or (found is not None and found.format != "delta"):
            raise AnalysisError(
                f"{text}, the table of dead letters, must be a Delta table: give another bad_data_table"
            )
        return self._catalog.location_for(name) if found is None else found.location
