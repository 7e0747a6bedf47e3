"""Commands of signatures (``identify.<command>``)."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gongfu.bus.commands import Command
from gongfu.identify.management.signing import Signing
from gongfu.identify.management.write_problems import outcome_problem
from gongfu.kernel.permissions import Subject

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


def commands(signing: Signing) -> list[Command]:
    """Return the commands."""

    async def sign(_: Subject, wish: SignWish) -> Signed:
        outcome = await signing.sign(wish.handle)
        problem = outcome_problem(wish.handle, outcome)
        if problem is not None:
            raise problem
        return Signed(wish.handle, signing.issuer)

    async def sign_batch(_: Subject, wish: BatchWish) -> Any:
        return await signing.sign_batch(wish.prefix)

    async def proof(_: Subject, wish: SignWish) -> Any:
        return await signing.proof(wish.handle)

    return [
        Command("sign", SignWish, sign),
        Command("sign-batch", BatchWish, sign_batch),
        Command("proof", SignWish, proof),
    ]
