"""The interface of China's second-level nodes as applications use it (SNMS v3 and v5, identityv2): 13 end points."""
