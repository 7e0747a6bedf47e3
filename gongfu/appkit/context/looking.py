"""The context of a probe: it looks and changes nothing."""

from typing import Any, NoReturn

from gongfu.appkit.contract import Context

_CHANGES = frozenset({"write", "raise_alarm", "return_alarm", "publish", "put_object"})


class LookingContext:
    """A ``Context`` without what changes something; ``records`` are read-only meanwhile (``SqliteRecords.read_only``).

    Args:
        context: of the app.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        if name in _CHANGES:
            return _refuse
        return getattr(self._context, name)


def _refuse(*_: object, **__: object) -> NoReturn:
    raise PermissionError("a probe only looks: it changes nothing")
