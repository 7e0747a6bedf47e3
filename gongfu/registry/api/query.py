"""Query parameters of the registry's lists."""

from gongfu.kernel.errors import invalid
from gongfu.rest.routing import Call

_SEARCH_LIMIT = 200


def search_of(call: Call) -> str:
    """Return ``?search``, empty when absent.

    Raises:
        Problem: 400 when it is too long.
    """
    text = call.query.get("search", "")
    if len(text) > _SEARCH_LIMIT or "\0" in text:
        raise invalid(f"search must have at most {_SEARCH_LIMIT} characters")
    return text


def flag_of(call: Call, name: str) -> bool | None:
    """Return a parameter that is ``true`` or ``false``, None when absent.

    Raises:
        Problem: 400 when it is something else.
    """
    text = call.query.get(name)
    if text is None:
        return None
    if text not in ("true", "false"):
        raise invalid(f"{name} must be true or false")
    return text == "true"


def number_of(call: Call, name: str) -> int | None:
    """Return a parameter that is an id, None when absent.

    Raises:
        Problem: 400 when it is not a number of at most 18 digits.
    """
    text = call.query.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise invalid(f"{name} must be an integer")
    return int(text)
