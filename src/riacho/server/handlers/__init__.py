"""One module per family of requests. A handler unpacks a message, calls the part that does the work, and packs a reply."""
