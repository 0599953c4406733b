"""What batch reads need that the engine does not have: files found as Spark finds them, versions of tables."""
