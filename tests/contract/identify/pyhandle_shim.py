"""Copied as ``conftest.py`` beside pyhandle's own tests, which are older than the rule that credentials name a client.

The only difference that it makes: ``PIDClientCredentials`` without ``client`` is one of the REST client.
"""

from typing import Any

from pyhandle.clientcredentials import PIDClientCredentials

_made = PIDClientCredentials.__init__


def _make(self: PIDClientCredentials, **args: Any) -> None:
    _made(self, **{"client": "rest", **args})


PIDClientCredentials.__init__ = _make
