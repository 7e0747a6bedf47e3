"""What a noun's ``api.py`` is written with: calls, routes, paging. The web host turns routes into HTTP."""
