"""MongoDB, `format("mongodb")`: the options, types and rules of MongoDB's own connector for Spark, on Arrow.

    source      the data source: which reader or writer
    options     what the user asks for
    client      the connection, and what goes wrong with it
    infer       a schema from documents          convert   documents as rows, exactly
    fast        documents as rows, quickly, where that is the same
    text        values as JSON text              filters   what the server can leave out
    partitions  ranges of `_id`                  reader    batches
    changes     a stream of changes              tail      a stream of what is new, without them
    documents   rows as documents                writer    batches and streams of writes

Source: https://www.mongodb.com/docs/spark-connector/current/ and the connector's own code, version 10.5.
"""
