"""Asset Administration Shell (IDTA-01001 v3.0), by ``basyx-python-sdk``: the extra ``gongfu[aas]``."""
