"""Python data sources: the user's classes, run in processes of their own.

    server                                           workers
    ──────                                           ───────
    fork_server  starts the program, asks it for ► fork_server_program  has PySpark loaded, forks a worker
                 workers                                                in milliseconds
    worker       calls, answers, rows       ◄ wire ► child              makes the user's objects, calls them
    pool         the workers of a reader or writer
    reading      a reader, its partitions side by side
    writing      a writer, its tasks, commit or abort

The server never unpickles what a worker sent: the user's objects are bytes to it, and only workers load them.
"""
