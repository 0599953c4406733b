"""The SQL side of pipelines: definition files, and the tables that a query's text reads."""
