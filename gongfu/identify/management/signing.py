"""The trust of a service: its key, what it signs, and what it thinks of records, its own and others'."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from gongfu.identify.handle.names import NAMING_AUTHORITY, HandleName, parse_handle
from gongfu.identify.handle.predefined import HS_PUBKEY
from gongfu.identify.handle.resolution import Found
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.handle.wire import MalformedError
from gongfu.identify.management.resolve_documents import TrustView
from gongfu.identify.management.signature_documents import SignedBatch
from gongfu.identify.service.identifiers import Identifiers
from gongfu.identify.service.writes import Operation, Outcome, Write
from gongfu.identify.trust.batch_files import MAX_BATCH, BatchFiles, BatchHeader, name_hash
from gongfu.identify.trust.batch_verification import verify_batch_proof
from gongfu.identify.trust.batches import BatchProof, leaf_digests, leaf_of, proof_of, sign_root
from gongfu.identify.trust.claims import Claims, decode_claims
from gongfu.identify.trust.jws import JwsError, parse
from gongfu.identify.trust.keys import KeyFormError, SigningKey, VerifyingKey
from gongfu.identify.trust.merkle import MerkleTree, leaf_hash
from gongfu.identify.trust.public_key_values import decode_key, encode_key
from gongfu.identify.trust.signing import (
    CERTIFICATE_INDEX,
    HS_CERT,
    SIGNATURE_INDEX,
    certify,
    prefix_permissions,
    sign_values,
)
from gongfu.identify.trust.verification import RecordReport, Root, SignatureReport, Trust, combine, verify_record
from gongfu.kernel.errors import conflict, invalid, not_found
from gongfu.kernel.times import SECOND, Clock

# Of the key that signs records; that of the administrator of a prefix is another.
KEY_INDEX = 302
_PAGE = 1000

FindValues = Callable[[str], Awaitable[Sequence[HandleValue] | None]]
"""Finds the values of a handle wherever it is."""


class Proof(msgspec.Struct, frozen=True):
    """What proves a record: with it anybody who trusts the root can check the record without this service."""

    handle: str
    batch: int
    proof: BatchProof


class Signing:
    """Signs with the key of the service, and verifies. On the event loop but for reading a batch."""

    def __init__(
        self,
        identifiers: Identifiers,
        key: SigningKey,
        root: str,
        batches: BatchFiles,
        clock: Clock,
        *,
        find: FindValues,
        roots: Callable[[], Sequence[Root]],
    ) -> None:
        """Make it.

        Args:
            identifiers: the store.
            key: of the service.
            root: prefix whose values have the key's certificate.
            batches: signed ones.
            clock: present time.
            find: finds certificates.
            roots: what is trusted besides the own key.
        """
        self._identifiers = identifiers
        self.key = key
        self._holder = f"{NAMING_AUTHORITY}/{root}"
        self.issuer = f"{KEY_INDEX}:{self._holder}"
        self._root = root
        self._batches = batches
        self._clock = clock
        self._find = find
        self._roots = roots

    @property
    def key_value(self) -> HandleValue:
        """The public key, as the values of the prefix have it."""
        return HandleValue(KEY_INDEX, HS_PUBKEY, encode_key(self.key.public))

    async def begin(self) -> None:
        """See that the values of the prefix have the key, and a certificate of it: by itself, where none is known."""
        values = {one.index: one for one in self._values(self._holder) or ()}
        held, key = values.get(CERTIFICATE_INDEX), values.get(KEY_INDEX)
        missing: list[HandleValue] = []
        if key is None or key.data != self.key_value.data:
            missing.append(self.key_value)
        if held is None or _certified(held) != self.key.public:
            missing.append(self.certify(self._root, self.key.public))
        if missing:
            await self._keep(*missing)

    async def adopt(self, values: Sequence[HandleValue]) -> bool:
        """Take the certificate that the service above has made of the key into the values of the prefix.

        Whoever asks finds it then, wherever the prefix is resolved.

        Args:
            values: of the prefix, as the service above has them.

        Returns:
            Whether there is one.
        """
        held = {one.index: one for one in self._values(self._holder) or ()}.get(CERTIFICATE_INDEX)
        for value in values:
            claims = _claims(value)
            if claims is None or claims.self_issued or claims.public_key != self.key.public:
                continue
            if held is None or held.data != value.data:
                await self._keep(msgspec.structs.replace(value, index=CERTIFICATE_INDEX))
            return True
        return False

    async def _keep(self, *values: HandleValue) -> None:
        write = Write(operation=Operation.ADD_VALUES, handle=self._holder, values=values, overwrite=True)
        (outcome,) = await self._identifiers.write([write])
        if not outcome.done:
            raise conflict(f"{self._holder} does not take the key of the service: {outcome.code} {outcome.detail}")

    def certify(self, prefix: str, key: VerifyingKey) -> HandleValue:
        """Return a certificate: the key may sign the prefix, what is below it and what is derived from it."""
        subject = f"{KEY_INDEX}:{NAMING_AUTHORITY}/{prefix}"
        return certify(subject, key, prefix_permissions(prefix), self.key, self.issuer, now=self._now())

    def certificate_for(self, prefix: str, values: Sequence[HandleValue]) -> HandleValue | None:
        """Return the certificate that the values of a delegated prefix still need; None where they need none.

        Args:
            prefix: that is delegated to another service.
            values: of the prefix, with the key that its service has stated.
        """
        stated = next((one for one in values if one.index == KEY_INDEX and one.type.upper() == HS_PUBKEY), None)
        if stated is None:
            return None
        try:
            key = decode_key(stated.data)
        except KeyFormError:
            return None
        held = next((one for one in values if one.index == CERTIFICATE_INDEX), None)
        if held is not None and _certified(held, by=self.key.public) == key:
            return None
        return self.certify(prefix, key)

    async def sign(self, handle: str) -> Outcome:
        """Put a signature over all its values into a record.

        Raises:
            Problem: 400: no handle; 404: it is not registered here.
        """
        name = _name(handle)
        values = self._values(str(name))
        if values is None:
            raise not_found(f"identifier {name}")
        value = sign_values(str(name), values, self.key, self.issuer, now=self._now(), index=_free_index(values))
        write = Write(operation=Operation.ADD_VALUES, handle=str(name), values=(value,), overwrite=True)
        return (await self._identifiers.write([write]))[0]

    async def sign_batch(self, prefix: str) -> SignedBatch:
        """Sign all records that a prefix has now, once.

        Raises:
            Problem: 404: no such prefix; 409: it has none of its own, or more than ``MAX_BATCH``.
        """
        known = self._identifiers.namespace.find_prefix(prefix)
        if known is None:
            raise not_found(f"prefix {prefix[:80]}")
        count = self._identifiers.count(known).explicit
        if not 0 < count <= MAX_BATCH:
            raise conflict(f"a batch has 1 to {MAX_BATCH:,} records; {known.name} has {count:,}")
        return await asyncio.to_thread(self._sign_batch, known.name)

    def _sign_batch(self, prefix: str) -> SignedBatch:
        entries: list[tuple[bytes, bytes]] = []
        after = ""
        while True:
            handles = self._identifiers.handles(prefix, after, _PAGE)
            if not handles:
                break
            for handle in handles:
                values = self._values(handle)
                if values is not None:
                    name = parse_handle(handle)
                    entries.append((name_hash(name.key), leaf_hash(leaf_of(handle, leaf_digests(values)))))
            after = parse_handle(handles[-1]).suffix
        entries.sort()
        tree = MerkleTree([leaf for _, leaf in entries])
        now = self._now()
        signature = sign_root(tree, self.key, self.issuer, f"{NAMING_AUTHORITY}/{prefix}", now=now)
        number = self._batches.add(BatchHeader(signature, prefix, len(entries), now), entries)
        return SignedBatch(number, prefix, len(entries), tree.root.hex())

    async def proof(self, handle: str) -> Proof:
        """Return what proves a record of this service.

        Raises:
            Problem: 400: no handle; 404: no such record, or it is in no batch; 409: it has changed since it was signed.
        """
        name = _name(handle)
        values = self._values(str(name))
        if values is None:
            raise not_found(f"identifier {name}")
        found = await asyncio.to_thread(self._proof, name, values)
        if found is None:
            raise not_found(f"a signed batch with {name}")
        number, proof = found
        if proof is None:
            raise conflict(f"{name} has changed since batch {number} was signed")
        return Proof(str(name), number, proof)

    def _proof(self, name: HandleName, values: Sequence[HandleValue]) -> tuple[int, BatchProof | None] | None:
        place = self._batches.find(name.key)
        if place is None:
            return None
        number, position = place
        digests = leaf_digests(values)
        if leaf_hash(leaf_of(str(name), digests)) != self._batches.leaf(number, position):
            return number, None
        return number, proof_of(self._batches.tree(number), self._batches.header(number).signature, position, digests)

    async def verify(self, name: HandleName, values: Sequence[HandleValue]) -> TrustView:
        """Return what is to be thought of a record, with the report of each signature."""
        now, roots = self._now(), [*self._roots(), *self._own_root()]
        report = await verify_record(str(name), values, self._find, roots, now)
        detail = ""
        if report.trust is Trust.UNSIGNED:
            found = await asyncio.to_thread(self._proof, name, values)
            if found is not None and found[1] is not None:
                proved = await verify_batch_proof(str(name), values, found[1], self._find, roots, now)
                report = combine([one for one in values if one.index in proved.verified], [proved, *report.signatures])
            elif found is not None:
                detail = f"it has changed since batch {found[0]} was signed"
        return _view(report, detail)

    def _own_root(self) -> list[Root]:
        """Return the own key where no other is trusted: then this service is a root."""
        return [] if self._roots() else [Root(self.issuer, self.key.public)]

    def _values(self, handle: str) -> Sequence[HandleValue] | None:
        found = self._identifiers.lookup(parse_handle(handle))
        return found.values if isinstance(found, Found) else None

    def _now(self) -> int:
        return self._clock.now_ns() // SECOND


def _certified(value: HandleValue, by: VerifyingKey | None = None) -> VerifyingKey | None:
    """Return the key that a certificate is of, if it is one, and made with the key ``by``."""
    try:
        jws = parse(value.data)
        return decode_claims(jws.payload).public_key if by is None or jws.verifies(by) else None
    except (JwsError, ValueError):
        return None


def _claims(value: HandleValue) -> Claims | None:
    if value.type.upper() != HS_CERT:
        return None
    try:
        return decode_claims(parse(value.data).payload)
    except (JwsError, ValueError):
        return None


def _name(handle: str) -> HandleName:
    try:
        return parse_handle(handle)
    except MalformedError as error:
        raise invalid(f"{handle[:80]!r} is no handle: {error}") from None


def _free_index(values: Sequence[HandleValue]) -> int:
    """Return where the signature goes: in the place of an earlier one, else behind what is there."""
    taken = {value.index: value.type.upper() for value in values}
    index = SIGNATURE_INDEX
    while taken.get(index, "HS_SIGNATURE") != "HS_SIGNATURE":
        index += 1
    return index


def _view(report: RecordReport, detail: str) -> TrustView:
    best: SignatureReport | None = max(report.signatures, key=lambda one: len(one.verified), default=None)
    wrong = next((one.why for one in report.signatures if one.why), "")
    changed = sorted({index for one in report.signatures for index in one.changed})
    if not detail and report.trust is Trust.BROKEN and changed:
        detail = f"values that are not as they were signed: {', '.join(map(str, changed[:20]))}"
    elif not detail and report.trust is Trust.UNSIGNED and report.signatures:
        detail = f"values without signature: {', '.join(map(str, report.unsigned[:20]))}"
    return TrustView(
        state=str(report.trust),
        signer=best.hops[0].issuer if best is not None and best.hops else "",
        checked=len(best.verified) if best is not None else 0,
        detail=detail or wrong,
        report=msgspec.to_builtins(report),
    )
