import base64
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gongfu.identify.handle.codes import Permission as ValuePermission
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.trust.batch_verification import verify_batch_proof
from gongfu.identify.trust.batches import BatchProof, leaf_digests, leaf_of, proof_of, sign_root
from gongfu.identify.trust.claims import Claims, Permission, Scope, encode_claims, permits
from gongfu.identify.trust.jws import sign
from gongfu.identify.trust.keys import Algorithm, SigningKey
from gongfu.identify.trust.merkle import MerkleTree, leaf_hash
from gongfu.identify.trust.signing import HS_SIGNATURE, certify, prefix_permissions, sign_values
from gongfu.identify.trust.verification import RecordReport, Root, Trust, verify_record

NOW = 1_800_000_000
HANDLE = "99.1000.1/泵-7"


def _values() -> list[HandleValue]:
    return [
        HandleValue(1, "URL", b"https://example.com/7", timestamp=NOW),
        HandleValue(2000, "model", "泵".encode(), timestamp=NOW),
        HandleValue(2001, "cost", b"17", timestamp=NOW, permissions=ValuePermission.ADMIN_READ),
    ]


class Tree:
    """A root, a second-level node below it, an enterprise below that."""

    def __init__(self, algorithm: Algorithm = Algorithm.EDDSA) -> None:
        self.root, self.node, self.enterprise = (SigningKey.generate(algorithm) for _ in range(3))
        self.records: dict[str, list[HandleValue]] = {
            "0.NA/99": [self.certificate("99", self.root, "99", self.root)],
            "0.NA/99.1000": [self.certificate("99.1000", self.node, "99", self.root)],
            "0.NA/99.1000.1": [self.certificate("99.1000.1", self.enterprise, "99.1000", self.node)],
        }
        self.roots = [Root("300:0.NA/99", self.root.public)]

    def certificate(self, prefix: str, key: SigningKey, above: str, signer: SigningKey, **more: int) -> HandleValue:
        return certify(
            f"300:0.NA/{prefix}",
            key.public,
            [Permission(Scope.EVERYTHING)] if key is signer else prefix_permissions(prefix),
            signer,
            f"300:0.NA/{above}",
            now=NOW,
            expires=more.get("expires"),
        )

    async def lookup(self, handle: str) -> Sequence[HandleValue] | None:
        return self.records.get(handle)

    def signed(self, values: list[HandleValue]) -> list[HandleValue]:
        return [*values, sign_values(HANDLE, values, self.enterprise, "300:0.NA/99.1000.1", now=NOW)]

    async def verify(self, values: Sequence[HandleValue], handle: str = HANDLE, now: int = NOW) -> RecordReport:
        return await verify_record(handle, values, self.lookup, self.roots, now)


@pytest.mark.parametrize("algorithm", [Algorithm.EDDSA, Algorithm.SM2])
async def test_a_signed_record_below_a_trusted_root_is_trusted(algorithm: Algorithm) -> None:
    tree = Tree(algorithm)
    report = await tree.verify(tree.signed(_values()))
    assert report.trust is Trust.TRUSTED
    (signature,) = report.signatures
    assert signature.verified == (1, 2000, 2001)
    assert [hop.issuer for hop in signature.hops] == [
        "300:0.NA/99.1000.1",
        "300:0.NA/99.1000",
        "300:0.NA/99",
        "300:0.NA/99",
    ]
    assert not any(hop.wrong for hop in signature.hops)


async def test_values_that_are_not_shown_break_nothing() -> None:
    tree = Tree()
    shown = [value for value in tree.signed(_values()) if value.type != "cost"]
    report = await tree.verify(shown)
    assert report.trust is Trust.TRUSTED
    assert report.signatures[0].absent == (2001,)


async def test_a_changed_value_is_found_and_a_new_one_is_unsigned() -> None:
    tree = Tree()
    values = tree.signed(_values())
    values[0] = msgspec.structs.replace(values[0], data=b"https://evil.example/")
    report = await tree.verify(values)
    assert report.trust is Trust.BROKEN
    assert report.signatures[0].changed == (1,)
    values = tree.signed(_values())
    later = msgspec.structs.replace(values[0], timestamp=NOW + 5)
    assert (await tree.verify([later, *values[1:]])).trust is Trust.TRUSTED
    report = await tree.verify([*values, HandleValue(3, "URL", b"https://other.example/")])
    assert report.trust is Trust.UNSIGNED
    assert report.unsigned == (3,)


async def test_a_second_signature_over_what_changed_makes_it_whole_again() -> None:
    tree = Tree()
    values = tree.signed(_values())
    values[0] = msgspec.structs.replace(values[0], data=b"https://example.com/8")
    again = sign_values(HANDLE, values[:1], tree.enterprise, "300:0.NA/99.1000.1", now=NOW + 1, index=402)
    assert (await tree.verify([*values, again])).trust is Trust.TRUSTED


async def test_a_record_without_signature_is_unsigned() -> None:
    tree = Tree()
    assert (await tree.verify(_values())).trust is Trust.UNSIGNED
    assert (await tree.verify([])).trust is Trust.UNSIGNED


async def test_a_signature_of_another_handle_is_refused() -> None:
    tree = Tree()
    report = await tree.verify(tree.signed(_values()), handle="99.1000.1/泵-8")
    assert report.trust is Trust.BROKEN
    assert "泵-7" in report.signatures[0].why


async def test_a_key_from_the_side_may_not_sign() -> None:
    tree = Tree()
    tree.records["0.NA/99.1000.2"] = [tree.certificate("99.1000.2", tree.enterprise, "99.1000", tree.node)]
    values = [*_values(), sign_values(HANDLE, _values(), tree.enterprise, "300:0.NA/99.1000.2", now=NOW)]
    report = await tree.verify(values)
    assert report.trust is Trust.BROKEN
    assert "may not sign" in report.signatures[0].why


async def test_a_root_of_ones_own_is_not_trusted() -> None:
    tree = Tree()
    thief = Tree()
    thief.roots = tree.roots
    report = await thief.verify(thief.signed(_values()))
    assert report.trust is Trust.SIGNED
    assert "not trusted" in report.signatures[0].why


async def test_a_certificate_by_another_key_breaks_the_way() -> None:
    tree = Tree()
    tree.records["0.NA/99.1000"] = [tree.certificate("99.1000", tree.node, "99", SigningKey.generate(Algorithm.EDDSA))]
    report = await tree.verify(tree.signed(_values()))
    assert report.trust is Trust.BROKEN
    assert "did not sign" in report.signatures[0].why


async def test_a_certificate_ends_and_a_newer_one_takes_its_place() -> None:
    tree = Tree()
    tree.records["0.NA/99.1000.1"] = [
        tree.certificate("99.1000.1", tree.enterprise, "99.1000", tree.node, expires=NOW + 10)
    ]
    values = tree.signed(_values())
    assert (await tree.verify(values, now=NOW + 10)).trust is Trust.TRUSTED
    assert (await tree.verify(values, now=NOW + 11)).trust is Trust.BROKEN
    renewed = certify(
        "300:0.NA/99.1000.1",
        tree.enterprise.public,
        prefix_permissions("99.1000.1"),
        tree.node,
        "300:0.NA/99.1000",
        now=NOW + 5,
        index=402,
    )
    tree.records["0.NA/99.1000.1"].append(renewed)
    assert (await tree.verify(values, now=NOW + 11)).trust is Trust.TRUSTED
    assert (await tree.verify(values, now=NOW - 55)).trust is Trust.TRUSTED
    assert (await tree.verify(values, now=NOW - 120)).trust is Trust.BROKEN


async def test_a_missing_certificate_and_a_circle_end() -> None:
    tree = Tree()
    tree.records["0.NA/99.1000"] = []
    assert (await tree.verify(tree.signed(_values()))).trust is Trust.SIGNED
    key = tree.enterprise
    tree.records["0.NA/99.1000.1"] = [
        certify("300:0.NA/99.1000.1", key.public, prefix_permissions("99"), key, "301:0.NA/99.1000.1", now=NOW),
        certify("301:0.NA/99.1000.1", key.public, prefix_permissions("99"), key, "300:0.NA/99.1000.1", now=NOW),
    ]
    report = await tree.verify(tree.signed(_values()))
    assert report.trust is Trust.BROKEN


async def test_nonsense_in_the_place_of_a_signature_breaks_the_record() -> None:
    tree = Tree()
    other = sign(encode_claims(Claims(iss="300:0.NA/99.1000.1", sub=HANDLE)), tree.enterprise).encode()
    for data in (b"", b"\xff", b"a.b.c", other):
        report = await tree.verify([*_values(), HandleValue(400, HS_SIGNATURE, data)])
        assert report.trust is Trust.BROKEN


@pytest.mark.parametrize(
    ("scope", "base", "covered", "others"),
    [
        ("handlesUnderThisPrefix", "0.NA/99.A", ["99.a/x"], ["0.NA/99.A", "99.A.1/x", "99.AB/x"]),
        ("derivedPrefixes", "0.na/99.A", ["99.a.1/x", "0.NA/99.a.1"], ["99.AB/x", "99.A/x", "0.NA/99.A"]),
        ("thisHandle", "99.A/x", ["99.a/x"], ["99.A/X", "99.A/x/y"]),
        ("thisHandle", "0.NA/99.A", ["0.NA/99.a", "99.A/x"], ["99.A.1/x"]),
        ("everything", "", ["99.A/x", "0.NA/1"], []),
        ("all", "0.NA/99.A", [], ["99.A/x"]),
        ("derivedPrefixes", "99.A/x", [], ["99.A/x", "99.A.1/x"]),
    ],
)
def test_permissions_cover_what_they_say(scope: str, base: str, covered: list[str], others: list[str]) -> None:
    permissions = [Permission(scope, base)]
    assert [handle for handle in covered + others if permits(permissions, handle)] == covered


@given(st.lists(st.lists(st.integers(1, 9), max_size=5, unique=True), min_size=1, max_size=12), st.data())
async def test_each_record_of_a_batch_has_a_proof_and_no_other_record_has(
    sets: list[list[int]], data: st.DataObject
) -> None:
    tree = Tree()
    records = [
        (f"99.1000.1/{number}", [HandleValue(index, "x", bytes([index, number])) for index in indexes])
        for number, indexes in enumerate(sets)
    ]
    digests = [leaf_digests(values) for _, values in records]
    merkle = MerkleTree(
        [leaf_hash(leaf_of(handle, found)) for (handle, _), found in zip(records, digests, strict=True)]
    )
    signature = sign_root(merkle, tree.enterprise, "300:0.NA/99.1000.1", "0.NA/99.1000.1", now=NOW)
    at = data.draw(st.integers(0, len(records) - 1))
    handle, values = records[at]
    proof = proof_of(merkle, signature, at, digests[at])

    async def trust(handle: str, values: Sequence[HandleValue], proof: BatchProof) -> tuple[Trust, tuple[int, ...]]:
        report = await verify_batch_proof(handle, values, proof, tree.lookup, tree.roots, NOW)
        return report.trust, report.changed

    assert await trust(handle, values, proof) == (Trust.TRUSTED, ())
    assert (await trust(f"{handle}0", values, proof))[0] is Trust.BROKEN
    assert (await trust(f"99.2/{at}", values, proof))[0] is Trust.BROKEN
    if values:
        changed = [msgspec.structs.replace(values[0], data=b"changed"), *values[1:]]
        assert await trust(handle, changed, proof) == (Trust.TRUSTED, (values[0].index,))
        forged = msgspec.structs.replace(proof, digests=leaf_digests(changed))
        assert (await trust(handle, changed, forged))[0] is Trust.BROKEN
    wrong = msgspec.structs.replace(proof, path=(*proof.path, base64.b64encode(bytes(32)).decode()))
    assert (await trust(handle, values, wrong))[0] is Trust.BROKEN
