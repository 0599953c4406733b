"""Data quality for pipelines, as plain DataFrame operations: they run on riacho and on any Spark server alike."""
