"""Requests of somebody who has a key: the answer to a challenge is part of the request."""

import hashlib
from collections.abc import Awaitable, Callable

from gongfu.identify.authentication.public_keys import PrivateKey, sign
from gongfu.identify.authentication.secret_keys import MacCode, prove
from gongfu.identify.handle.bodies import (
    ChallengeAnswer,
    decode_challenge,
    encode_challenge_answer,
    split_digest,
)
from gongfu.identify.handle.codes import DigestAlgorithm, OpCode, OpFlag, ResponseCode
from gongfu.identify.handle.envelope import Header, Message, encode_signed
from gongfu.identify.handle.predefined import HS_PUBKEY, HS_SECKEY
from gongfu.identify.handle.wire import MalformedError

Ask = Callable[[Message], Awaitable[Message]]
"""Sends a message to a server and returns its answer (``handle.client``)."""

Prove = Callable[[bytes], ChallengeAnswer]
"""Answers a challenge: nonce and digest of the request."""

_DIGESTS = {DigestAlgorithm.MD5: "md5", DigestAlgorithm.SHA1: "sha1", DigestAlgorithm.SHA256: "sha256"}


def with_secret(handle: str, index: int, key: bytes, code: MacCode = MacCode.HMAC_SHA256) -> Prove:
    """Return what proves that somebody has the secret key ``index:handle``."""
    return lambda challenge: ChallengeAnswer(HS_SECKEY, handle, index, prove(code, key, challenge))


def with_private_key(handle: str, index: int, key: PrivateKey) -> Prove:
    """Return what proves that somebody has the private key of the public key ``index:handle``."""
    return lambda challenge: ChallengeAnswer(HS_PUBKEY, handle, index, sign(key, challenge))


async def ask_as(ask: Ask, request: Message, who: Prove) -> Message:
    """Return the answer to a request, proving who asks where the server wants to know.

    Raises:
        MalformedError: the challenge is none, or is of another request: nothing is proved then.
    """
    answer = await ask(request)
    if answer.header.response != ResponseCode.AUTHENTICATION_NEEDED:
        return answer
    digest, body = split_digest(answer.body)
    expected = hashlib.new(
        _DIGESTS[DigestAlgorithm(digest[0])], encode_signed(request.header, request.body), usedforsecurity=False
    )
    if digest[1:] != expected.digest():
        raise MalformedError("digest", "the challenge is of another request")
    proof = who(decode_challenge(body) + digest[1:])
    flags = request.header.flags & OpFlag.KEEP_CONNECTION
    header = Header(OpCode.CHALLENGE_RESPONSE, flags=flags)
    return await ask(Message(header, encode_challenge_answer(proof), session=answer.session))
