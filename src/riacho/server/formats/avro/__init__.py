"""Avro: schemas, their Spark types, and whole columns of messages to and from Arrow without work per message.

schema      Avro's JSON → `Schema`, and back
sql_types   Avro's types ↔ Spark's (`SchemaConverters`)
cursors     many messages read side by side: varints, lengths, bounds
leaves      values without parts, as readers of one column
readers     records, unions, lists and maps of those
resolution  writer's schema + reader's schema → readers (Avro's schema evolution)
decode      a column of messages → values
encode      values → a column of messages
options     the options of `from_avro`
"""
