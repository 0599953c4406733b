"""The batch engine behind one narrow interface: give it a relation, get Arrow back.

Nothing outside this package knows which engine it is. `base` is the interface. Nothing is imported here: the engine's
own process runs a module of this package, and should load no more than that.
"""
