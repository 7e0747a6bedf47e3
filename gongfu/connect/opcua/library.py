"""asyncua's types as ``ua``, untyped: its annotations want wrapped integers (Int32, …) where it takes plain ones."""

from typing import Any

import asyncua.ua

ua: Any = asyncua.ua
