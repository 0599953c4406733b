"""SQL as text: tokens, a cursor, statements and their heads, the tables that a query reads. No plans here."""
