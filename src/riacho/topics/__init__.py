"""Kafka topics as a file says they should be: what is wanted, what there is, and what has to be done.

wanted  the file
plan    the difference, as a list of steps; pure
broker  what there is, and doing the steps
"""
