"""Streaming queries: a loop that plans a batch, logs it, runs it, commits it, in Spark's own checkpoint layout."""
