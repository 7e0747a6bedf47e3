"""Regular expressions that strangers write: RE2, whose time is linear in the text whatever the expression."""

import importlib
from typing import Any, Protocol

# Without type stubs; nothing but this module touches it.
_re2: Any = importlib.import_module("re2")


class Pattern(Protocol):
    """A compiled expression."""

    def fullmatch(self, text: str) -> object | None:
        """Return something if the whole text matches, else None."""
        ...


class PatternError(ValueError):
    """A text that is no expression of RE2: malformed, or with look-around or references."""


def compile_pattern(text: str) -> Pattern:
    """Return the compiled expression.

    Raises:
        PatternError: the text is none.
    """
    options = _re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    try:
        compiled: Pattern = _re2.compile(text, options)
    except _re2.error as error:
        said = error.args[0] if error.args else ""
        raise PatternError(said.decode(errors="replace") if isinstance(said, bytes) else str(said)) from None
    return compiled
