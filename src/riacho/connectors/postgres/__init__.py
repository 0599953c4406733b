"""What the connectors to PostgreSQL share: addresses, connections, the catalog, types, values written as text."""
