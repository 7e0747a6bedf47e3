"""Paths of routes: ``{name}`` never reaches over a colon, so ``/devices/{id}:send`` is not ``/devices/{id}``.

``{name+}`` at the end takes all that is left, with its slashes.
"""

import re

from starlette.convertors import StringConvertor, register_url_convertor

_PARAMETER = re.compile(r"\{(\w+)\}")
_REST = re.compile(r"\{(\w+)\+\}$")


class _Segment(StringConvertor):
    regex = "[^/:]+"


register_url_convertor("segment", _Segment())


def http_path(path: str) -> str:
    """Return Starlette's form of a route's path."""
    return _REST.sub(r"{\1:path}", _PARAMETER.sub(r"{\1:segment}", path))
