"""Nation, province and site: what the site signs is trusted by all, because each is certified by the one above."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from gongfu.identify.handle.names import parse_handle
from gongfu.identify.handle.resolution import Found
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.service.writes import Operation
from gongfu.identify.trust.keys import Algorithm, SigningKey
from gongfu.identify.trust.signing import sign_values
from gongfu.kernel.counters import Counters
from gongfu.kernel.errors import Problem
from gongfu.kernel.times import SystemClock
from gongfu.node.identifier_delegations import IdentifierDelegations
from gongfu.node.identifier_trust import IdentifierTrust
from gongfu.tree.services.messages import encode_values
from gongfu.tree.services.section import OwnService, ServicesSection
from tests.contract.identify.test_delegated_by_the_tree import ADMIN, HANDLE, LEVELS, Nodes
from tests.contract.identify.test_delegated_by_the_tree import nodes as nodes  # a fixture

KEYS = {"nation": Algorithm.RS256, "province": Algorithm.SM2, "site": Algorithm.EDDSA}


class Trusts:
    """The trust of each node, with what the tree carries of it."""

    def __init__(self, nodes: Nodes, folder: Path) -> None:
        self.nodes = nodes
        self.by_name: dict[str, IdentifierTrust] = {}
        for name, _, prefix in LEVELS:
            made = nodes.identifiers[name]
            trust = IdentifierTrust(
                SigningKey.generate(KEYS[name]),
                folder / name,
                prefix,
                made.core.identifiers,
                made.resolver,
                lambda name=name: nodes.delegations[name].roots,
                SystemClock(),
                Counters(),
            )
            self.by_name[name] = trust
            nodes.delegations[name] = IdentifierDelegations(
                nodes.tree[name].engine,
                made.core.identifiers,
                made.resolver,
                (),
                Counters(),
                certify=trust.signing.certificate_for,
            )
            made.find_roots = lambda name=name: nodes.delegations[name].roots

    async def state(self, name: str) -> None:
        """Let a node say where its service is and what its key is."""
        await self.by_name[name].signing.begin()
        values = encode_values((self.nodes.identifiers[name].site(), self.by_name[name].signing.key_value))
        section = next(one for one in self.nodes.tree[name].more if isinstance(one, ServicesSection))
        (command,) = [one for one in section.commands() if one.name == "identifier-service"]
        await command.answer(ADMIN, OwnService(values))
        await self.nodes.look()
        assert await self.by_name[name].look() is (name != "nation")
        for node in self.nodes.identifiers.values():
            # What the nodes announce to one another when values of a prefix have changed.
            node.resolver.forget((), ("98",))

    async def seen(self, name: str, handle: str = HANDLE) -> tuple[str, str]:
        """Return state and detail of a record as a node sees it."""
        made = self.nodes.identifiers[name]
        here = made.core.identifiers.lookup(parse_handle(handle))
        values = here.values if isinstance(here, Found) else await made.resolver.values(handle)
        assert values is not None
        view = await self.by_name[name].signing.verify(parse_handle(handle), values)
        return view.state, view.detail


@pytest_asyncio.fixture
async def trusts(nodes: Nodes, tmp_path: Path) -> AsyncIterator[Trusts]:
    made = Trusts(nodes, tmp_path / "trust")
    for name, _, _ in LEVELS:
        await made.state(name)
    yield made


async def test_all_trust_what_the_site_signs(trusts: Trusts):
    assert (await trusts.by_name["site"].signing.sign(HANDLE)).done
    for name in KEYS:
        assert await trusts.seen(name) == ("trusted", "")
    # The way up: the site, the province, the nation, which certifies itself.
    values = await trusts.nodes.identifiers["nation"].resolver.values(HANDLE)
    assert values is not None
    view = await trusts.by_name["nation"].signing.verify(parse_handle(HANDLE), values)
    assert view.report is not None
    issuers = [hop["issuer"] for hop in view.report["signatures"][0]["hops"]]
    assert issuers == ["302:0.NA/98.1.2", "302:0.NA/98.1", "302:0.NA/98", "302:0.NA/98"]


async def test_a_batch_of_the_site_is_trusted_by_it_and_proved_to_others(trusts: Trusts):
    core = trusts.nodes.identifiers["site"].core
    for number in range(20):
        await core.create(f"98.1.2/{number}", HandleValue(1, "URL", b"x"))
    signing = trusts.by_name["site"].signing
    batch = await signing.sign_batch("98.1.2")
    assert batch.size == 21
    assert await trusts.seen("site", "98.1.2/7") == ("trusted", "")
    assert (await signing.proof("98.1.2/7")).proof.path
    await core.write(Operation.MODIFY_VALUES, "98.1.2/7", values=(HandleValue(1, "URL", b"y"),))
    state, detail = await trusts.seen("site", "98.1.2/7")
    assert state == "unsigned"
    assert "changed since batch 1" in detail
    with pytest.raises(Problem, match="has changed"):
        await signing.proof("98.1.2/7")
    await core.create("98.1.2/later", HandleValue(1, "URL", b"x"))
    with pytest.raises(Problem, match="signed batch"):
        await signing.proof("98.1.2/later")


async def test_a_changed_value_is_seen_from_above(trusts: Trusts):
    await trusts.by_name["site"].signing.sign(HANDLE)
    core = trusts.nodes.identifiers["site"].core
    await core.write(Operation.MODIFY_VALUES, HANDLE, values=(HandleValue(1, "URL", b"elsewhere"),))
    state, detail = await trusts.seen("nation")
    assert state == "broken"
    assert detail == "values that are not as they were signed: 1"


async def test_a_site_may_not_sign_for_another_prefix(trusts: Trusts):
    upper = trusts.nodes.identifiers["province"].core
    await upper.create("98.1/own", HandleValue(1, "URL", b"x"))
    site = trusts.by_name["site"].signing
    handle = "98.1/own"
    found = upper.identifiers.lookup(parse_handle(handle))
    assert isinstance(found, Found)
    forged = sign_values(handle, found.values, site.key, site.issuer, now=SystemClock().now_ns() // 10**9)
    await upper.write(Operation.ADD_VALUES, handle, values=(forged,))
    assert (await trusts.seen("province", handle))[0] == "broken"
    assert (await trusts.seen("site", handle))[0] == "broken"


async def test_a_new_key_needs_a_new_certificate(trusts: Trusts):
    nodes = trusts.nodes
    before = await certificate(nodes, "98.1.2")
    await trusts.state("site")
    assert await certificate(nodes, "98.1.2") == before
    made = nodes.identifiers["site"]
    trust = trusts.by_name["site"]
    trust.signing.key = SigningKey.generate(Algorithm.EDDSA)
    await trusts.state("site")
    assert await certificate(nodes, "98.1.2") != before
    await trust.signing.sign(HANDLE)
    assert await trusts.seen("site") == ("trusted", "")
    assert made.core.identifiers.lookup(parse_handle(HANDLE))


async def certificate(nodes: Nodes, prefix: str) -> bytes:
    found = nodes.identifiers["province"].core.identifiers.lookup(parse_handle(f"0.NA/{prefix}"))
    assert isinstance(found, Found)
    return next(value.data for value in found.values if value.type == "HS_CERT")
