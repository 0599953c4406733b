"""Arrow rows as the bytes of files, as Spark's writers spell them: JSON, CSV, text, Parquet, ORC and Avro.

The mirror image of the readers in `formats`. Whole columns are spelled at a time; which files there are, and where, is
decided in `server/files`.
"""
