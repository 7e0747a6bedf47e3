"""The app store on both databases: a package becomes a version that a second person publishes."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from sqlalchemy import Engine, insert

from gongfu.appkit.installed.records import InstalledRecords
from gongfu.appkit.installed.types import InstalledVersion
from gongfu.appkit.manifest import parse_manifest
from gongfu.appkit.package.publishers import NewPublisher, Publishers
from gongfu.appkit.package.types import key_id
from gongfu.appkit.store.catalogue import Catalogue, Search
from gongfu.appkit.store.checks import SelfTest
from gongfu.appkit.store.documents import Decision, Installed, Listing, Metered, NewCertification, NewRating
from gongfu.appkit.store.levels import Certifications
from gongfu.appkit.store.meters import Meters
from gongfu.appkit.store.observing import Observing
from gongfu.appkit.store.opinions import Ratings
from gongfu.appkit.store.plans import Statements
from gongfu.appkit.store.pricing import Plan
from gongfu.appkit.store.publications import Publications
from gongfu.kernel.errors import Problem
from gongfu.kernel.permissions import Role, Subject
from gongfu.reason.models.tables import model_usage
from gongfu.registry import audit
from gongfu.registry.tables import tenant
from gongfu.store.objects.folder import ObjectFolder
from gongfu.store.records.engine import writing
from gongfu.tree.membership.keys import NodeKey
from tests.unit.appkit.package.example import KEY, packed

ENGINEER = Subject(1, "li", 1, Role.ENGINEER)
REVIEWER = Subject(2, "wang", 1, Role.ADMIN)
THEIRS = Subject(3, "zhao", 2, Role.ADMIN)
# 2026-10-31 12:00 UTC.
BEGIN = 1_793_448_000 * 10**9
DAY = 86_400 * 10**9

TEXT = """\
[app]
id = "{id}"
version = "{version}"
title = {{ zh = "{zh}", en = "Vibration" }}

[needs]
routes = {routes}

[[needs.points]]
asset = "泵/*"
point = "振动"
"""


def manifest(
    version: str = "1.0.0", *, id: str = "com.example.vibration", zh: str = "振动", routes: bool = False
) -> bytes:
    return TEXT.format(id=id, version=version, zh=zh, routes=str(routes).lower()).encode()


def package(version: str = "1.0.0", key: NodeKey | None = KEY, **parts: Any) -> bytes:
    files = {"app.toml": manifest(version, **parts), "app.py": b"app = None\n", "tests/test_it.py": b"\n"}
    return packed(files, key)


@dataclass
class Store:
    """The services of a store, and a clock that is set."""

    engine: Engine
    folder: Path
    now: int = BEGIN
    present: str = "1.0.0"
    tests: SelfTest = field(default_factory=lambda: SelfTest(True, True, "3 passed"))
    ran: list[Path] = field(default_factory=list[Path])

    def now_ns(self) -> int:
        return self.now

    def __post_init__(self) -> None:
        engine = self.engine
        self.publishers = Publishers(engine, self)
        self.publications = Publications(
            engine, self, ObjectFolder(self.folder), self.publishers.trusted, self._run_tests
        )
        self.catalogue = Catalogue(engine, self)
        self.ratings, self.meters = Ratings(engine, self), Meters(engine, self, lambda tenant, app: self.present)
        self.certifications, self.statements = Certifications(engine, self), Statements(engine, self)
        with writing(engine) as connection:
            for name in ("works", "customer", "another"):
                connection.execute(insert(tenant).values(name=name, created_at=1))
        self.trust(KEY)

    def _run_tests(self, folder: Path) -> SelfTest:
        assert (folder / "app.toml").is_file()
        self.ran.append(folder)
        return self.tests

    def trust(self, key: NodeKey) -> None:
        public = {
            "format": "gongfu-publisher-key/1", "publisher": "Works", "id": key_id(key.public_key),
            "key": key.public_key,
        }  # fmt: skip
        self.publishers.trust(REVIEWER, NewPublisher(msgspec.Raw(msgspec.json.encode(public))))

    def published(self, data: bytes) -> int:
        made = self.publications.draft(ENGINEER, data)
        self.publications.submit(ENGINEER, made.id)
        assert self.publications.check(made.id).state == "reviewed"
        self.publications.decide(REVIEWER, made.id, Decision("publish", made.sha256))
        return made.id

    def found(self, **search: Any) -> list[str]:
        return [item.id for item in self.catalogue.page(Search(**search), None, 50)[0]]


@pytest.fixture
def store(records: Engine, tmp_path: Path) -> Store:
    return Store(records, tmp_path / "objects")


def refusal(action: Callable[..., object], *arguments: object) -> tuple[int, str]:
    with pytest.raises(Problem) as caught:
        action(*arguments)
    return caught.value.status, caught.value.code


def test_a_version_is_published_by_a_second_person(store: Store) -> None:
    data = package()
    made = store.publications.draft(ENGINEER, data, "first")
    assert (made.state, made.version, made.author) == ("draft", "1.0.0", "li")
    assert store.publications.draft(ENGINEER, data).id == made.id
    assert store.found() == []
    decision = Decision("publish", made.sha256)
    assert refusal(store.publications.decide, REVIEWER, made.id, decision) == (409, "conflict")
    store.publications.submit(ENGINEER, made.id)
    assert store.publications.to_check() == [made.id]
    store.publications.check(made.id)
    assert store.ran
    assert not store.ran[0].exists()
    detail = store.catalogue.version(REVIEWER, made.id)
    assert {check.name: check.outcome for check in detail.checks} == {
        "signature": "passed", "manifest": "passed", "size": "passed", "permissions": "noted", "tests": "passed",
    }  # fmt: skip
    assert detail.provenance["built_by"] == "a test"
    self_review = Subject(1, "li", 1, Role.ADMIN)
    assert refusal(store.publications.decide, self_review, made.id, decision) == (403, "same-person")
    assert refusal(store.publications.decide, THEIRS, made.id, decision) == (403, "forbidden")
    other = Decision("publish", hashlib.sha256(b"another").hexdigest())
    assert refusal(store.publications.decide, REVIEWER, made.id, other) == (409, "conflict")
    assert refusal(store.publications.package, THEIRS, made.sha256) == (404, "not-found")
    assert store.publications.decide(REVIEWER, made.id, decision).state == "published"
    assert store.found() == ["com.example.vibration"]
    assert store.publications.package(THEIRS, made.sha256).read_bytes() == data
    audited = [entry.action for entry in audit.entries(store.engine, 1, None, 50)[0]]
    assert audited == ["store.publish", "store.submit", "store.draft", "publisher.trust"]
    store.publications.withdraw(ENGINEER, made.id, "it hums")
    assert store.found() == []
    assert store.catalogue.version(THEIRS, made.id).reason == "it hums"


def test_what_is_refused(store: Store) -> None:
    draft = store.publications.draft
    assert refusal(draft, ENGINEER, b"rubbish") == (400, "package-refused")
    assert refusal(draft, ENGINEER, package(key=None)) == (400, "package-refused")
    assert refusal(draft, ENGINEER, package(key=NodeKey(bytes(32)))) == (400, "package-refused")
    assert refusal(draft, ENGINEER, package("1.0")) == (400, "manifest-invalid")
    made = store.published(package("1.1.0"))
    assert refusal(draft, ENGINEER, package("1.0.9")) == (409, "conflict")
    assert refusal(draft, ENGINEER, package("1.1.0", zh="别")) == (409, "conflict")
    assert refusal(draft, THEIRS, package("1.2.0")) == (403, "forbidden")
    assert refusal(store.publications.submit, ENGINEER, made) == (409, "conflict")
    assert refusal(store.publications.submit, THEIRS, made) == (404, "not-found")
    # Its own tests fail.
    store.tests = SelfTest(True, False, "1 failed")
    failing = draft(ENGINEER, package("1.2.0"))
    store.publications.submit(ENGINEER, failing.id)
    store.publications.check(failing.id)
    assert refusal(store.publications.decide, REVIEWER, failing.id, Decision("publish", failing.sha256))[0] == 409
    refuse = Decision("refuse", failing.sha256)
    assert refusal(store.publications.decide, REVIEWER, failing.id, refuse)[0] == 409
    refused = store.publications.decide(REVIEWER, failing.id, Decision("refuse", failing.sha256, "its test fails"))
    assert (refused.state, refused.reason) == ("refused", "its test fails")


def test_a_revoked_key_publishes_nothing_more(store: Store) -> None:
    made = store.publications.draft(ENGINEER, package())
    store.publishers.revoke(REVIEWER, key_id(KEY.public_key), "stolen")
    assert refusal(store.publications.draft, ENGINEER, package("1.0.1")) == (400, "package-refused")
    store.publications.submit(ENGINEER, made.id)
    store.publications.check(made.id)
    assert [check.outcome for check in store.catalogue.version(REVIEWER, made.id).checks] == ["failed"]


def test_permissions_that_a_version_asks_for_anew_are_shown(store: Store) -> None:
    store.published(package("1.0.0"))
    later = store.published(package("1.1.0", routes=True))
    detail = store.catalogue.version(THEIRS, later)
    assert detail.changes_against == "1.0.0"
    assert [(change.change, change.kind) for change in detail.changes] == [("added", "routes")]
    assert store.found(without=("routes",)) == []
    assert store.found(without=("write",)) == ["com.example.vibration"]


def test_search(store: Store) -> None:
    for name, zh in (("com.example.a", "泵诊断"), ("com.example.b", "阀门诊断"), ("com.example.c", "能耗 100%")):
        store.published(package(id=name, zh=zh))
    assert store.found(text="诊断") == ["com.example.a", "com.example.b"]
    assert store.found(text="VIBRATION 阀") == ["com.example.b"]
    assert store.found(text="%") == ["com.example.c"]
    assert store.found(text="_xample") == []
    for name, code in (("com.example.a", "C38"), ("com.example.b", "c")):
        store.catalogue.list_as(ENGINEER, name, Listing(industry=code))
    assert store.found(industry="C3811") == ["com.example.a", "com.example.b", "com.example.c"]
    assert store.found(industry="C39") == ["com.example.b", "com.example.c"]
    assert store.found(industry="A") == ["com.example.c"]
    assert refusal(store.catalogue.list_as, ENGINEER, "com.example.a", Listing(industry="A38"))[0] == 400
    first, key = store.catalogue.page(Search(order="newest"), None, 2)
    rest, end = store.catalogue.page(Search(order="newest"), key, 2)
    assert sorted(item.id for item in [*first, *rest]) == ["com.example.a", "com.example.b", "com.example.c"]
    assert end is None


def test_certification_ends(store: Store) -> None:
    key = store.published(package())
    name = "com.example.vibration"

    def certify(level: Literal["tested", "certified"], until: str) -> int:
        request = NewCertification(level, "Institute", "report 7", f"{until}T00:00:00Z")
        return store.certifications.certify(REVIEWER, key, request).id

    certify("certified", "2026-11-05")
    tested = certify("tested", "2026-12-31")
    assert store.found(level="certified") == [name]
    store.now += 10 * DAY
    assert store.found(level="certified") == []
    assert store.found(level="tested") == [name]
    assert [c.state for c in store.catalogue.get(THEIRS, name).certifications] == ["valid", "expired"]
    store.certifications.end(REVIEWER, tested, "withdrawn by the institute")
    assert store.found(level="tested") == []


def test_what_this_node_has_is_counted_by_itself(store: Store) -> None:
    name = "com.example.vibration"
    key = store.published(package())
    sha256 = store.catalogue.version(REVIEWER, key).sha256
    parsed = parse_manifest(manifest())
    held = InstalledVersion(
        version="1.0.0", generation=1, sha256=sha256, publisher="Works", manifest=parsed, granted=parsed.needs,
        models=("vibration.rms",),
    )  # fmt: skip
    installed = InstalledRecords(store.engine, store)
    installed.add(THEIRS, name, held)
    hour = BEGIN // (3600 * 10**9)
    with writing(store.engine) as connection:
        for at, calls in ((hour, 5), (hour - 1, 2), (hour - 24, 3), (hour - 60, 100)):
            connection.execute(
                insert(model_usage).values(
                    tenant_id=2, model="vibration.rms", caller="x", hour=at, calls=calls, rows=1, cpu_us=1, failures=0,
                    refused=0,
                )
            )  # fmt: skip
    observing = Observing(store.engine, store, installed, store.meters)
    observing.observe()
    observing.observe()
    shown = store.catalogue.get(THEIRS, name)
    assert (shown.installs, shown.installed) == (1, "1.0.0")
    assert store.statements.of_month(THEIRS, "2026-10").lines[0].calls == 10
    store.ratings.rate(THEIRS, name, NewRating(4))
    installed.remove(THEIRS, name)
    observing.observe()
    assert store.catalogue.get(THEIRS, name).installs == 0


def test_only_who_has_it_rates_it_and_once(store: Store) -> None:
    name, other = "com.example.vibration", Subject(9, "qian", 3, Role.OPERATOR)
    store.published(package())
    assert refusal(store.ratings.rate, THEIRS, name, NewRating(5)) == (403, "not-installed")
    assert refusal(store.ratings.rate, ENGINEER, name, NewRating(5)) == (403, "own-app")
    store.present = ""
    assert refusal(store.meters.installed, THEIRS, name, Installed("1.0.0")) == (409, "conflict")
    store.present = "1.0.0"
    for subject in (THEIRS, other):
        store.meters.installed(subject, name, Installed("1.0.0"))
    store.ratings.rate(THEIRS, name, NewRating(1, "hums"))
    store.ratings.rate(THEIRS, name, NewRating(4, "better"))
    store.ratings.rate(other, name, NewRating(5))
    shown = store.catalogue.get(THEIRS, name)
    assert (shown.rating, shown.ratings, shown.installs, shown.installed) == (4.5, 2, 2, "1.0.0")
    assert shown.rated is not None
    assert shown.rated.comment == "better"
    assert store.found(rating=4.5) == [name]
    assert store.found(rating=4.6) == []
    page, following = store.ratings.page(name, None, 1)
    rest, _ = store.ratings.page(name, following, 1)
    assert sorted(item.stars for item in [*page, *rest]) == [4, 5]


def test_statements_follow_from_meters_and_plans(store: Store) -> None:
    name = "com.example.vibration"
    store.published(package())
    plan = Plan(kind="per-call", amount=25, included=100)
    store.catalogue.list_as(ENGINEER, name, Listing(plan=plan))
    store.meters.installed(THEIRS, name, Installed("1.0.0"))
    for calls in (90, 250, 120):
        store.meters.count(2, name, Metered("2026-10-31", calls, 3))
    line = store.statements.of_month(THEIRS, "2026-10").lines[0]
    assert (line.calls, line.amount, line.tenant_name) == (250, 150 * 25, "customer")
    # Nobody's running month changes.
    dearer = Listing(plan=Plan(kind="per-device-month", amount=1000), plan_from="2026-10-31")
    assert refusal(store.catalogue.list_as, ENGINEER, name, dearer)[0] == 409
    store.catalogue.list_as(ENGINEER, name, Listing(plan=Plan(kind="per-device-month", amount=1000)))
    store.now += 40 * DAY
    for day in ("2026-11-01", "2026-11-02"):
        store.meters.count(2, name, Metered(day, 0, 10))
    statement = store.statements.of_month(ENGINEER, "2026-11")
    assert statement.final
    # 20 device-days of 30 at 10.00 each month: 6.67.
    assert [(line.device_days, line.amount) for line in statement.lines] == [(20, 667)]
    assert store.statements.of_month(ENGINEER, "2026-10").lines[0].amount == 150 * 25
    assert store.statements.of_month(Subject(9, "qian", 3, Role.ADMIN), "2026-11").lines == []
