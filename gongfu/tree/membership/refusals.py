"""Why something that a node was shown is not believed: one error with a reason code."""

from enum import StrEnum, auto

from gongfu.kernel.errors import Problem


class Reason(StrEnum):
    """Stable, machine-readable reason of a refusal, in kebab case; it is also the code of the problem."""

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[str]) -> str:
        return name.lower().replace("_", "-")

    # What is signed
    KEY_MALFORMED = auto()
    SIGNED_MALFORMED = auto()
    CONTEXT_WRONG = auto()
    SIGNER_WRONG = auto()
    SIGNATURE_WRONG = auto()
    # Chain
    CHAIN_MALFORMED = auto()
    CHAIN_EMPTY = auto()
    CHAIN_TOO_LONG = auto()
    MEMBERSHIP_MALFORMED = auto()
    MEMBERSHIP_EXPIRED = auto()
    MEMBERSHIP_NOT_YET_VALID = auto()
    KEY_WRONG = auto()
    NODE_WRONG = auto()
    NODE_REPEATED = auto()
    NODE_SUSPENDED = auto()
    NODE_RETIRED = auto()
    PARENT_WRONG = auto()
    PATH_WRONG = auto()
    REVISION_REPLAYED = auto()
    REVISION_CONFLICT = auto()
    NOT_IN_CHAIN = auto()
    # Prefix
    PREFIX_WRONG = auto()
    GRANT_MALFORMED = auto()
    GRANT_WRONG = auto()
    GRANT_EXPIRED = auto()
    GRANT_NOT_YET_VALID = auto()
    # Transitions and re-homing
    TRANSITION_WRONG = auto()
    RELEASE_MALFORMED = auto()
    RELEASE_MISSING = auto()
    RELEASE_WRONG = auto()
    RELEASE_EXPIRED = auto()
    RELEASE_NOT_YET_VALID = auto()
    # Join token
    TOKEN_MALFORMED = auto()
    TOKEN_TAMPERED = auto()
    TOKEN_EXPIRED = auto()
    TOKEN_NOT_YET_VALID = auto()
    TOKEN_USED = auto()
    TOKEN_REVOKED = auto()
    TOKEN_UNKNOWN = auto()
    TOKEN_WRONG_PARENT = auto()
    TIER_WRONG = auto()
    # Joining
    REQUEST_MALFORMED = auto()
    ANSWER_MALFORMED = auto()
    ANSWER_WRONG = auto()
    # Certificates
    CSR_MALFORMED = auto()
    CERTIFICATE_MALFORMED = auto()
    CERTIFICATE_WRONG = auto()


class Refused(Problem):
    """What was shown is not believed (403).

    Attributes:
        reason: why; the same word is the code of the problem.
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(403, reason.value, f"Refused: {reason.value.replace('-', ' ')}", detail)
        self.reason = reason
