"""Who asks."""

import msgspec

from gongfu.identify.handle.names import parse_handle


class Asker(msgspec.Struct, frozen=True, gc=False):
    """Somebody who has proved to hold a key.

    Attributes:
        handle: that has the key.
        index: of the value in which the key is.
        kind: how it was proved: ``HS_SECKEY``, ``HS_PUBKEY``, ``basic`` or ``token``.
    """

    handle: str
    index: int
    kind: str

    @property
    def key(self) -> str:
        """The handle as it is compared."""
        return parse_handle(self.handle).key

    def __str__(self) -> str:
        return f"{self.index}:{self.handle}"


class Secret(msgspec.Struct, frozen=True, gc=False):
    """A name and a password as they came: ``index:handle`` and what the value there should hold."""

    handle: str
    index: int
    password: bytes

    def __repr__(self) -> str:
        return f"Secret({self.index}:{self.handle})"
