"""A schema registry with Confluent's interface: Confluent's own, Apicurio, Karapace, Redpanda.

client      its REST interface: schemas by id and by subject, compatibility
references  a schema with what it refers to, as one text
json_schema a JSON Schema as columns
"""
