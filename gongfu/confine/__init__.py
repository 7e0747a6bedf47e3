"""Child processes that may do nothing but what they are given: foreign models and apps run in them.

``process.Confined`` is the starter's side, ``child.Line`` what the entry in the process talks with; ``types`` says what
is given, what is enforced and how it ended. Imports nothing of ours, and knows nothing of models.
"""
