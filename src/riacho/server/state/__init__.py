"""The versioned columnar store of streaming state. It knows nothing of Spark."""
