"""AUTO CDC: flows that apply a feed of changes to a streaming table, row by row and key by key."""
