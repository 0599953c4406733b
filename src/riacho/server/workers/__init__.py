"""User code in Python processes of its own."""
