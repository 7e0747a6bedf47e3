"""Applications, prefixes, grants and figures of identifiers on both databases."""

import pytest
from sqlalchemy import Engine

from gongfu.identify.management import application_records, grant_records, prefix_records
from gongfu.identify.management.applications import Applications
from gongfu.identify.management.documents import ApplicationPatch, NewApplication
from gongfu.identify.onboarding.application import Step
from gongfu.identify.statistics import day_records
from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import NODE_TENANT, Role, Subject
from gongfu.kernel.times import SystemClock
from gongfu.store.records.engine import reading, writing

LI = Subject(0, "li", NODE_TENANT, Role.ENGINEER)
WANG = Subject(0, "wang", NODE_TENANT, Role.ADMIN)


def code_of(problem: pytest.ExceptionInfo[Problem]) -> str:
    return problem.value.code


def test_an_application_from_draft_to_revocation(records: Engine) -> None:
    applications = Applications(records, SystemClock())
    made = applications.create(LI, NewApplication("泵业%公司", "9137000073C000000", "370000", "C34"))
    with pytest.raises(Problem) as wrong:
        applications.take(LI, made.id, Step.SUBMIT)
    assert code_of(wrong) == "credit-code-wrong"
    applications.change(LI, made.id, ApplicationPatch(credit_code="91370000MA3C00000" + _last("91370000MA3C00000")))
    one = applications.add_document(LI, made.id, "licence", "a.pdf", "application/pdf", b"\x00\xff" * 1000)
    assert applications.add_document(LI, made.id, "licence", "b.pdf", "application/pdf", b"\x00\xff" * 1000) == one
    assert applications.document(made.id, one.documents[0].digest)[1] == b"\x00\xff" * 1000
    applications.take(LI, made.id, Step.SUBMIT)
    with pytest.raises(Problem) as own:
        applications.take(LI, made.id, Step.APPROVE, grant=lambda _: "99.1")
    assert code_of(own) == "own-application"
    with pytest.raises(Problem) as open_:
        applications.remove_document(LI, made.id, one.documents[0].digest)
    assert code_of(open_) == "application-state"
    approved = applications.take(WANG, made.id, Step.APPROVE, grant=lambda _: "99.1")
    assert (approved.state, approved.prefix, approved.steps) == ("approved", "99.1", ["suspend", "revoke"])
    applications.take(WANG, made.id, Step.REVOKE, "closed")
    assert [step.step for step in applications.steps(made.id)] == ["submit", "approve", "revoke"]
    others = [applications.create(LI, NewApplication(f"other {number}", "x")).id for number in range(3)]
    first, key = applications.page("", "", None, 2)
    rest, end = applications.page("", "", key, 2)
    assert [one.id for one in (*first, *rest)] == [*reversed(others), made.id]
    assert end is None
    assert [one.id for one in applications.page("", "业%公", None, 9)[0]] == [made.id]
    assert applications.states()["draft"] == 3
    with reading(records) as connection:
        assert application_records.by_prefix(connection) == {"99.1": made.id}


def _last(head: str) -> str:
    from gongfu.identify.onboarding.application import valid_credit_code

    return next(last for last in "0123456789ABCDEFGHJKLMNPQRTUWXY" if valid_credit_code(head + last))


def test_prefixes_are_paged_by_name_and_keep_their_numbers(records: Engine) -> None:
    def row(name: str) -> dict[str, object]:
        texts = dict.fromkeys(("enterprise", "region", "industry", "service"), "")
        rest = {"delegated": 0, "state": "active", "quota": 0, "seed": [], "created_at": 1}
        return {"name": name, "name_key": name.upper(), **texts, **rest}

    with writing(records) as connection:
        numbers = [prefix_records.insert(connection, row(name)) for name in ("99.1", "99.10", "99.2", "99.a")]
        assert numbers == sorted(set(numbers))
        prefix_records.change(connection, numbers[3], {"enterprise": "Works_%"})
    with reading(records) as connection:
        assert [found.name for found in prefix_records.page(connection, "99.1", 2)] == ["99.10", "99.2"]
        assert [found.name for found in prefix_records.page(connection, "", 9, search="99.A")] == ["99.a"]
        assert [found.name for found in prefix_records.page(connection, "", 9, search="_%")] == ["99.a"]
        assert list(prefix_records.below(connection, "99.1")) == []
        assert sorted(prefix_records.below(connection, "99")) == ["99.1", "99.10", "99.2", "99.A"]


def test_figures_of_a_day_take_the_place_of_earlier_ones(records: Engine) -> None:
    def row(prefix: str, explicit: int, real: int = 0) -> dict[str, object]:
        return {"prefix": prefix, "explicit": explicit, "ranged": 7_150_000_000, "real": real, "replayed": 1}

    with writing(records) as connection:
        day_records.put(connection, 10, [row("99.1", 1, 5), row("99.2", 2)])
        day_records.put(connection, 12, [row("99.1", 3)])
        day_records.put(connection, 12, [row("99.1", 4, 6), *(row(f"99.3.{number}", 1) for number in range(600))])
    with reading(records) as connection:
        last = {found.prefix: found.explicit for found in day_records.last_until(connection, 11)}
        assert last == {"99.1": 1, "99.2": 2}
        assert [(found.day, found.explicit) for found in day_records.of_prefix(connection, "99.1", 11)] == [
            (10, 1),
            (12, 4),
        ]
        assert len(day_records.of_day(connection, 12)) == 601
        sums = {found.prefix: int(found.real) for found in day_records.sums(connection)}
        assert (sums["99.1"], sums["99.2"]) == (11, 0)


def test_grants_are_found_by_whom_and_for_what(records: Engine) -> None:
    values = {
        "grantee": "99.1/a",
        "index": 300,
        "scope": "prefix",
        "target": "99.2",
        "attributes": ["price"],
        "rights": ["read"],
        "until": 0,
        "granted_by": "wang",
        "granted_at": 1,
    }
    with writing(records) as connection:
        number = grant_records.insert(connection, values)
        grant_records.insert(connection, {**values, "grantee": "99.1/b"})
    with reading(records) as connection:
        [found] = grant_records.page(connection, 0, 9, grantee="99.1/a")
        assert (found.id, found.index, found.attributes) == (number, 300, ["price"])
        assert len(grant_records.page(connection, number, None, target="99.2")) == 1
