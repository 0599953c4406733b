"""SQL databases: `format("jdbc")`, `spark.read.jdbc`, `df.write.jdbc`, with Spark's options, types and errors.

    source      the data source: what a read or a write asks for
    options     the table of options, and what Spark refuses about them
    url         JDBC URLs and driver classes: which database, and how libpq calls it
    connection  one connection by ADBC: statements, rows as Arrow, errors without passwords
    partitions  the WHERE clauses of partitioned reads, Spark's strides
    filters     Spark's filters as SQL
    read        a reader and its partitions
    write       tables made, truncated and filled
    postgres    PostgreSQL: its types both ways, how its values are asked for and given
    sqlite      SQLite, likewise

Rows travel as Arrow: PostgreSQL gives and takes them by COPY in binary form. There is no JVM, and no JDBC driver: what
a URL says is translated.
"""
