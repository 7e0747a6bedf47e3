"""Operations of which some need a proof of who asks: challenge, answer, and the operation with the asker known."""

from collections.abc import Awaitable, Mapping
from inspect import isawaitable

import msgspec

from gongfu.identify.administration.operations import GuardedOperation
from gongfu.identify.authentication.authenticator import Authenticator, Refusal
from gongfu.identify.authentication.challenges import Challenges
from gongfu.identify.handle.answering import Asked, Operation
from gongfu.identify.handle.bodies import (
    decode_challenge_answer,
    encode_challenge,
    encode_error,
    request_digest,
)
from gongfu.identify.handle.codes import DigestAlgorithm, OpCode, OpFlag, ResponseCode
from gongfu.identify.handle.envelope import Header, Message, decode_message
from gongfu.identify.handle.resolution import respond
from gongfu.identify.handle.wire import MalformedError


class Challenging:
    """Makes operations that a server can answer of operations that ask who asks."""

    def __init__(
        self, operations: Mapping[int, GuardedOperation], authenticator: Authenticator, challenges: Challenges
    ) -> None:
        """Make it."""
        self._guarded = operations
        self._authenticator = authenticator
        self._challenges = challenges

    def operations(self) -> dict[int, Operation]:
        """Return the operations by their code, that of the answer to a challenge among them."""
        made: dict[int, Operation] = {code: self._first(operation) for code, operation in self._guarded.items()}
        made[OpCode.CHALLENGE_RESPONSE] = self._answered
        return made

    def _first(self, operation: GuardedOperation) -> Operation:
        def first(asked: Asked) -> Message | Awaitable[Message]:
            said = operation(asked, None)
            return self._challenge(asked) if said is None else said

        return first

    def _challenge(self, asked: Asked) -> Message:
        request = asked.message
        digest = request_digest(DigestAlgorithm.SHA256, request.signed)
        challenge = self._challenges.make(asked.data, digest[1:])
        flags = request.header.flags & OpFlag.KEEP_CONNECTION | OpFlag.REQUEST_DIGEST
        header = Header(request.header.operation, ResponseCode.AUTHENTICATION_NEEDED, flags)
        return Message(header, digest + encode_challenge(challenge.nonce), session=challenge.session)

    async def _answered(self, asked: Asked) -> Message:
        request = asked.message
        try:
            answer = decode_challenge_answer(request.body)
        except MalformedError as error:
            return respond(request, ResponseCode.PROTOCOL_ERROR, encode_error(str(error)))
        challenge = self._challenges.take(asked.envelope.session)
        if challenge is None:
            words = encode_error("no challenge waits for this answer: it was answered, or its time is over")
            return respond(request, ResponseCode.AUTHENTICATION_TIMEOUT, words)
        first = decode_message(challenge.request)
        try:
            asker = await self._authenticator.by_proof(answer, challenge.proved)
        except Refusal as refusal:
            return respond(first, refusal.code, encode_error(str(refusal)))
        said = self._guarded[first.header.operation](Asked(first, asked.envelope, challenge.request), asker)
        if said is None:
            return respond(first, ResponseCode.UNABLE_TO_AUTHENTICATE, encode_error("who asks does not help here"))
        message = await said if isawaitable(said) else said
        # What somebody may see who has proved who it is, is not for the next who asks the same.
        return msgspec.structs.replace(message, depends="")
