"""Commands of signatures (``identify.<command>``)."""

from typing import Any

from gongfu.bus.commands import Command
from gongfu.identify.management.signature_documents import BatchWish, Signed, SignWish
from gongfu.identify.management.signing import Signing
from gongfu.identify.management.write_problems import outcome_problem
from gongfu.kernel.permissions import Subject


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
