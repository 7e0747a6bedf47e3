"""Life of a version in the store, as one table: who may do what when.

draft --submit--> submitted --checked--> reviewed --publish--> published --withdraw--> withdrawn
                      \\                     \\--refuse--> refused          (withdraw: also from draft to reviewed)
                       \\--refuse--> refused
"""

from enum import StrEnum


class State(StrEnum):
    """Of a version. ``reviewed`` means that the automatic checks are done and a person decides next."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    REVIEWED = "reviewed"
    PUBLISHED = "published"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


class Step(StrEnum):
    """What is done to a version."""

    SUBMIT = "submit"
    CHECKED = "checked"
    PUBLISH = "publish"
    REFUSE = "refuse"
    WITHDRAW = "withdraw"


STEPS: dict[tuple[State, Step], State] = {
    (State.DRAFT, Step.SUBMIT): State.SUBMITTED,
    (State.DRAFT, Step.WITHDRAW): State.WITHDRAWN,
    (State.SUBMITTED, Step.CHECKED): State.REVIEWED,
    (State.SUBMITTED, Step.REFUSE): State.REFUSED,
    (State.SUBMITTED, Step.WITHDRAW): State.WITHDRAWN,
    (State.REVIEWED, Step.PUBLISH): State.PUBLISHED,
    (State.REVIEWED, Step.REFUSE): State.REFUSED,
    (State.REVIEWED, Step.WITHDRAW): State.WITHDRAWN,
    (State.PUBLISHED, Step.WITHDRAW): State.WITHDRAWN,
}


def after(state: State, step: Step) -> State | None:
    """Return the state after a step, None when it cannot be taken."""
    return STEPS.get((state, step))
