"""Sail, and everything that knows it: its process, its sessions, its dialect, its quirks."""
