"""The file formats that streams read, each decoded to Arrow with Spark's results. See `base` for what a format gives."""
