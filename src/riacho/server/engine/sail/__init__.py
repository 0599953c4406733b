"""Sail, and everything that is specific to it: its process, its sessions, its dialect, its quirks."""
