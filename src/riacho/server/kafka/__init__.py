"""Apache Kafka as Spark's `format("kafka")` shows it: what stream and batch, source and sink share.

Options are Spark's and checked as Spark checks them; settings of Spark's Java client (`kafka.*`) are translated for
librdkafka, which `confluent_kafka` wraps and which is loaded when it is first used. A position in a topic is Spark's
too: offset 6 means that 5 was the last message read.
"""
