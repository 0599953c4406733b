"""What Apache Spark answered to the tests of the specification, so that `make test` need not ask the same again.

A test of tests/spec asserts by itself. What Spark answered is that it passed there, with exactly this text: its own,
that of all helpers and fixtures it uses (`fingerprint`), and with these versions of Spark, Delta Lake and PySpark's
client (`versions`). `tests/spec/answers.txt` has a line for each such test (`answers`). Whatever is not there runs on
Spark as ever; `make record` writes the file, nothing else does.
"""
