"""Applications: every step from every state, and the code of an enterprise."""

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongfu.identify.onboarding.application import (
    Application,
    ApplicationState,
    Document,
    Event,
    Step,
    StepError,
    StepReason,
    take,
    valid_credit_code,
)

# The example of GB 32100-2015, annex B.
CODE = "91350100M000100Y43"
DRAFT = Application(
    name="示例泵业", credit_code=CODE, applicant="wang", documents=(Document("licence", "0" * 64),), prefix=""
)
TABLE = {
    (ApplicationState.DRAFT, Step.SUBMIT): ApplicationState.SUBMITTED,
    (ApplicationState.RETURNED, Step.SUBMIT): ApplicationState.SUBMITTED,
    (ApplicationState.SUBMITTED, Step.RETURN): ApplicationState.RETURNED,
    (ApplicationState.SUBMITTED, Step.REFUSE): ApplicationState.REFUSED,
    (ApplicationState.SUBMITTED, Step.APPROVE): ApplicationState.APPROVED,
    (ApplicationState.APPROVED, Step.SUSPEND): ApplicationState.SUSPENDED,
    (ApplicationState.SUSPENDED, Step.RESUME): ApplicationState.APPROVED,
    (ApplicationState.APPROVED, Step.REVOKE): ApplicationState.REVOKED,
    (ApplicationState.SUSPENDED, Step.REVOKE): ApplicationState.REVOKED,
}


@pytest.mark.parametrize(("state", "step"), list(itertools.product(ApplicationState, Step)))
def test_every_step_from_every_state(state: ApplicationState, step: Step) -> None:
    application = msgspec.structs.replace(DRAFT, state=state)
    expected = TABLE.get((state, step))
    if expected is None:
        with pytest.raises(StepError) as raised:
            take(application, step, "li", 5, words="why", prefix="99.1")
        assert raised.value.reason is StepReason.STATE
        return
    after = take(application, step, "li", 5, words="why", prefix="99.1")
    assert after.state is expected
    assert after.history == (Event(step, "li", 5, "why"),)
    assert after.prefix == ("99.1" if step is Step.APPROVE else "")


WRONG_CODE = msgspec.structs.replace(DRAFT, credit_code=CODE[:-1] + "5")
SUBMITTED = take(DRAFT, Step.SUBMIT, "wang", 1)


@pytest.mark.parametrize(
    ("application", "step", "person", "words", "prefix", "reason"),
    [
        (SUBMITTED, Step.APPROVE, "wang", "", "99.1", StepReason.OWN_APPLICATION),
        (SUBMITTED, Step.APPROVE, "li", "", "", StepReason.PREFIX_MISSING),
        (SUBMITTED, Step.RETURN, "li", " ", "", StepReason.WORDS_MISSING),
        (msgspec.structs.replace(DRAFT, documents=()), Step.SUBMIT, "wang", "", "", StepReason.DOCUMENTS_MISSING),
        (
            msgspec.structs.replace(DRAFT, credit_code=CODE[:-1] + "5"),
            Step.SUBMIT,
            "wang",
            "",
            "",
            StepReason.CODE_WRONG,
        ),
    ],
)
def test_refused(
    application: Application, step: Step, person: str, words: str, prefix: str, reason: StepReason
) -> None:
    with pytest.raises(StepError) as raised:
        take(application, step, person, 2, words=words, prefix=prefix)
    assert raised.value.reason is reason


def test_credit_code() -> None:
    assert valid_credit_code(CODE)
    for wrong in ("", CODE[:-1], CODE + "1", CODE.lower(), "91350100I000100Y43", "9135010XM000100Y43"):
        assert not valid_credit_code(wrong)


@given(st.integers(0, 17), st.sampled_from("0123456789ABCDEFGHJKLMNPQRTUWXY"))
def test_one_wrong_character_is_found(at: int, character: str) -> None:
    damaged = CODE[:at] + character + CODE[at + 1 :]
    assert valid_credit_code(damaged) is (damaged == CODE)
