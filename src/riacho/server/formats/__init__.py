"""The file formats that streams read, decoded to Arrow with Spark's results; see `base` for what a format gives."""
