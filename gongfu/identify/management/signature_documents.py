"""Documents of signatures, as the API and the commands have them."""

from typing import Annotated

import msgspec
from msgspec import Meta

Handle = Annotated[str, Meta(min_length=1, max_length=2048)]


class SignWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An identifier whose values are to be signed, or that is to be proved."""

    handle: Handle


class BatchWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A prefix whose records are to be signed, all at once."""

    prefix: Annotated[str, Meta(min_length=1, max_length=64)]


class Signed(msgspec.Struct, frozen=True):
    """A record that was signed."""

    handle: str
    signer: str


class SignedBatch(msgspec.Struct, frozen=True):
    """A batch that was signed once for all its records."""

    number: int
    prefix: str
    size: int
    root: str
