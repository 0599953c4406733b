"""Queries and expressions of SQL text as relations, where riacho must see their operators."""
