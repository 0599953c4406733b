"""One module per family of requests: unpack a message, call the part that does the work, pack a reply."""
