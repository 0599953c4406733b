"""Synthetic input for the reference systems: seeded, so that a run can be repeated exactly, and vectorised.

A leaf: nothing of riacho but `clock` is imported here. Names and places come from Faker, the extra `generate`.
"""
