"""Python data sources: the user's classes, run in processes of their own.

    server                                         workers
    ──────                                         ───────
    nursery   starts the nurse, asks for workers ► nurse   has PySpark loaded, forks a worker in milliseconds
    worker    calls, answers, rows        ◄ wire ► child   makes the user's objects and calls them
    reading   a reader, its partitions side by side
    writing   a writer, its tasks, commit or abort

The server never unpickles what a worker sent: the user's objects are bytes to it, and only workers load them.
"""
