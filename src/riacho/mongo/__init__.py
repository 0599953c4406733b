"""Collections of MongoDB as a file says they should be: what is wanted, what there is, and what has to be done.

wanted  the file
plan    the difference, as a list of steps; pure
server  what there is, and doing the steps
"""
