"""The life of an enterprise's application for a prefix: submitted, reviewed, approved, suspended, revoked.

Every step is by a person, at a time, with words where it takes something away or sends something back. Whoever applied
does not review.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

Words = Annotated[str, Meta(max_length=1000)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
MAX_DOCUMENTS = 20


class ApplicationState(StrEnum):
    """State of an application. Prefixes of approved ones resolve and register; of suspended ones resolve only."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    RETURNED = "returned"
    REFUSED = "refused"
    APPROVED = "approved"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


class Step(StrEnum):
    """What a person does with it."""

    SUBMIT = "submit"
    RETURN = "return"
    REFUSE = "refuse"
    APPROVE = "approve"
    SUSPEND = "suspend"
    RESUME = "resume"
    REVOKE = "revoke"


class StepReason(StrEnum):
    """Why a step is refused."""

    STATE = "application-state"
    OWN_APPLICATION = "own-application"
    WORDS_MISSING = "words-missing"
    DOCUMENTS_MISSING = "documents-missing"
    CODE_WRONG = "credit-code-wrong"
    PREFIX_MISSING = "prefix-missing"


class StepError(ValueError):
    """A step is refused.

    Attributes:
        reason: why.
    """

    def __init__(self, reason: StepReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A document that was handed in: what it is, and the SHA-256 of its bytes (64 hex digits)."""

    kind: Name
    digest: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


class Event(msgspec.Struct, frozen=True):
    """One step that was taken: ``at`` is UTC ns."""

    step: Step
    person: str
    at: int
    words: str = ""


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """An enterprise that has applied.

    Attributes:
        name: of the enterprise.
        credit_code: unified social credit code (GB 32100-2015), 18 characters.
        region: GB/T 2260.
        industry: GB/T 4754.
        applicant: who applies.
        documents: what was handed in.
        prefix: what was granted; "" before.
        state: state.
        history: all steps, oldest first.
    """

    name: Name
    credit_code: str
    region: Annotated[str, Meta(pattern=r"^([0-9]{2}|[0-9]{4}|[0-9]{6})?\Z")] = ""
    industry: Annotated[str, Meta(pattern=r"^([A-T]|[A-T]?[0-9]{2,4})?\Z")] = ""
    applicant: Name
    documents: Annotated[tuple[Document, ...], Meta(max_length=MAX_DOCUMENTS)] = ()
    prefix: str = ""
    state: ApplicationState = ApplicationState.DRAFT
    history: tuple[Event, ...] = ()


_FROM: Mapping[Step, frozenset[ApplicationState]] = {
    Step.SUBMIT: frozenset({ApplicationState.DRAFT, ApplicationState.RETURNED}),
    Step.RETURN: frozenset({ApplicationState.SUBMITTED}),
    Step.REFUSE: frozenset({ApplicationState.SUBMITTED}),
    Step.APPROVE: frozenset({ApplicationState.SUBMITTED}),
    Step.SUSPEND: frozenset({ApplicationState.APPROVED}),
    Step.RESUME: frozenset({ApplicationState.SUSPENDED}),
    Step.REVOKE: frozenset({ApplicationState.APPROVED, ApplicationState.SUSPENDED}),
}
_TO = {
    Step.SUBMIT: ApplicationState.SUBMITTED,
    Step.RETURN: ApplicationState.RETURNED,
    Step.REFUSE: ApplicationState.REFUSED,
    Step.APPROVE: ApplicationState.APPROVED,
    Step.SUSPEND: ApplicationState.SUSPENDED,
    Step.RESUME: ApplicationState.APPROVED,
    Step.REVOKE: ApplicationState.REVOKED,
}
_NEEDS_WORDS = frozenset({Step.RETURN, Step.REFUSE, Step.SUSPEND, Step.REVOKE})


def next_steps(state: ApplicationState) -> list[Step]:
    """Return what can be done with an application in a state."""
    return [step for step, states in _FROM.items() if state in states]


def take(
    application: Application, step: Step, person: str, at: int, *, words: str = "", prefix: str = ""
) -> Application:
    """Return the application after a step.

    Args:
        application: as it is.
        step: what is done.
        person: who does it.
        at: UTC ns.
        words: why; needed for what sends back or takes away.
        prefix: what is granted; needed for approval.

    Raises:
        StepError: it cannot be done.
    """
    if application.state not in _FROM[step]:
        raise StepError(StepReason.STATE, f"an application that is {application.state}: no {step}")
    if step is Step.SUBMIT:
        if not valid_credit_code(application.credit_code):
            raise StepError(
                StepReason.CODE_WRONG,
                f"{application.credit_code!r} is no unified social credit code: its form or check character is wrong",
            )
        if not application.documents:
            raise StepError(StepReason.DOCUMENTS_MISSING, "hand in the licence of the enterprise at least")
    elif person == application.applicant:
        raise StepError(StepReason.OWN_APPLICATION, person)
    if step in _NEEDS_WORDS and not words.strip():
        raise StepError(StepReason.WORDS_MISSING, f"say why: {step}")
    if step is Step.APPROVE and not prefix:
        raise StepError(StepReason.PREFIX_MISSING, "an approval grants a prefix")
    return msgspec.structs.replace(
        application,
        state=_TO[step],
        prefix=prefix if step is Step.APPROVE else application.prefix,
        history=(*application.history, Event(step, person, at, words[:1000])),
    )


# GB 32100-2015: the alphabet leaves out I, O, Z, S and V; weights are powers of 3 modulo 31.
_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_WEIGHTS = [pow(3, place, 31) for place in range(17)]


def valid_credit_code(code: str) -> bool:
    """Return whether a text is a unified social credit code, by its form and its check character (GB 32100-2015)."""
    if len(code) != 18 or not set(code) <= set(_ALPHABET) or not code[2:8].isdecimal():
        return False
    total = sum(_ALPHABET.index(character) * weight for character, weight in zip(code[:17], _WEIGHTS, strict=True))
    return _ALPHABET[-total % 31] == code[17]
