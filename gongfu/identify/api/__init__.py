"""HTTP of identifiers, below /v1. The routes check the action; the identifier role answers."""
