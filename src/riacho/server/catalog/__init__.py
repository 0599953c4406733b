"""Names to Delta tables in a warehouse folder: durable, and seen by every session."""

from riacho.server.catalog.base import CATALOG_NAME, DEFAULT_DATABASE, Catalog, CatalogReader, Table, TableName, View

__all__ = ["CATALOG_NAME", "DEFAULT_DATABASE", "Catalog", "CatalogReader", "Table", "TableName", "View"]
