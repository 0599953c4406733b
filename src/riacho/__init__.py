"""riacho: Spark streaming code, unmodified, on one machine with no JVM."""

__version__ = "0.1.0"
