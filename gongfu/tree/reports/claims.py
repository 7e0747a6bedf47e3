"""A device counts once.

It counts at the home of its identifier. A node at which a device with a foreign identifier is registered claims it
there; the home counts it itself when it is registered there too, and else says yes to the claim that came first. Claims
and answers are numbered, the larger number wins: both may be repeated, late and out of order. A node that was restored
from a backup takes a larger epoch and states its claims anew.
"""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

EPOCH_BITS = 40
MAX_DEVICE_BYTES = 256


class ClaimReason(StrEnum):
    """Why a message about claims is refused."""

    DEVICE = "device-malformed"
    REVISION = "revision-out-of-range"


class ClaimError(ValueError):
    """A message about claims is refused.

    Attributes:
        reason: the stable code.
    """

    def __init__(self, reason: ClaimReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class Claim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Claimer to home: the device is registered here, or (``held`` False) no more."""

    device: str
    claimer: str
    revision: int
    held: bool


class Claims(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Claimer to home: these are all devices of yours that are registered here, as of a revision."""

    claimer: str
    revision: int
    devices: tuple[str, ...]


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Home to claimer: the device counts at the claimer, or not. ``claim`` is the revision of the claim it answers."""

    device: str
    claimer: str
    revision: int
    claim: int
    counts: bool


class Held(msgspec.Struct):
    """What a home knows of one claim, to store it: revision, whether it is held, place in the order of arrival."""

    revision: int
    held: bool
    arrival: int


class ClaimedDevice(msgspec.Struct):
    """What a home knows of one device, to store it: claims by claimer, and who counts it."""

    claims: dict[str, Held]
    counted: str | None = None


def _check(device: str, revision: int) -> None:
    if not device or not device.isprintable() or len(device.encode()) > MAX_DEVICE_BYTES:
        raise ClaimError(ClaimReason.DEVICE, f"an identifier is 1 to {MAX_DEVICE_BYTES} printable bytes")
    if not 1 <= revision < 2**62:
        raise ClaimError(ClaimReason.REVISION, f"{revision} is out of range")


class HomeClaims:
    """At a home: its own devices, the claims to them, and who counts each.

    ``epoch`` is larger than any before whenever the state may be older than what claimers were told.
    """

    def __init__(self, home: str, epoch: int = 1) -> None:
        self.home = home
        self._revision = epoch << EPOCH_BITS
        self._arrival = 0
        self._registered: set[str] = set()
        self._devices: dict[str, ClaimedDevice] = {}
        # Claimer → revision of its last complete statement: what is older says nothing any more.
        self._floors: dict[str, int] = {}
        self._gone: set[str] = set()

    @property
    def revision(self) -> int:
        """Return the revision of the last answer."""
        return self._revision

    def device(self, device: str) -> ClaimedDevice | None:
        """Return what is known of a device, to store it."""
        return self._devices.get(device)

    def restore(
        self, revision: int, devices: dict[str, ClaimedDevice], registered: Iterable[str], floors: dict[str, int]
    ) -> None:
        """Take back what was stored, of some devices or all: the last answer's revision, devices, those of the home's
        own, and by claimer the revision of its last complete statement."""
        self._revision = max(self._revision, revision)
        self._devices |= devices
        self._registered |= set(registered)
        self._floors |= floors
        arrivals = [held.arrival for device in devices.values() for held in device.claims.values()]
        self._arrival = max([self._arrival, *arrivals])

    def register(self, device: str) -> list[Answer]:
        """The home registers a device of its own; return the answers that change."""
        _check(device, 1)
        self._registered.add(device)
        return self._decide(device)

    def unregister(self, device: str) -> list[Answer]:
        """The home has the device no more; the first claim counts then. Return the answers that change."""
        self._registered.discard(device)
        return self._decide(device)

    def claim(self, claim: Claim) -> list[Answer]:
        """Take a claim or its release; return answers, also to one that was repeated.

        Raises:
            ClaimError: it is malformed.
        """
        _check(claim.device, claim.revision)
        if claim.claimer in self._gone:
            return []
        if claim.revision < self._floors.get(claim.claimer, 0):
            return self._repeat(claim.device, claim.claimer)
        entry = self._devices.setdefault(claim.device, ClaimedDevice({}))
        held = entry.claims.get(claim.claimer)
        if held is not None and held.revision >= claim.revision:
            return self._repeat(claim.device, claim.claimer)
        self._arrival += 1
        # A claim that is only stated anew keeps its place; one that was given up in between goes to the end.
        keeps = held is not None and held.held and claim.held
        arrival = held.arrival if held is not None and keeps else self._arrival
        entry.claims[claim.claimer] = Held(claim.revision, claim.held, arrival)
        return self._decide(claim.device, also=claim.claimer if claim.held else None)

    def restate(self, claims: Claims) -> list[Answer]:
        """Take all claims of a claimer at once: others of it, with an older revision, are released.

        Raises:
            ClaimError: it is malformed.
        """
        for device in claims.devices:
            _check(device, claims.revision)
        floor = self._floors.get(claims.claimer, 0)
        if claims.revision < floor or (claims.claimer in self._gone and claims.revision == floor):
            return []
        self._gone.discard(claims.claimer)
        stated = set(claims.devices)
        answers: list[Answer] = []
        for device, entry in list(self._devices.items()):
            held = entry.claims.get(claims.claimer)
            if held is not None and held.held and held.revision < claims.revision and device not in stated:
                answers += self.claim(Claim(device, claims.claimer, claims.revision, False))
        for device in claims.devices:
            answers += self.claim(Claim(device, claims.claimer, claims.revision, True))
        self._floors[claims.claimer] = claims.revision
        for device, entry in list(self._devices.items()):
            held = entry.claims.get(claims.claimer)
            # Nothing older than the statement is taken any more: that a claim was released need not be remembered.
            if held is not None and not held.held and held.revision <= claims.revision:
                del entry.claims[claims.claimer]
                if not entry.claims:
                    del self._devices[device]
        return answers

    def remove_claimer(self, claimer: str) -> list[Answer]:
        """Release all claims of a node that is none any more; return the answers to others.

        Nothing is taken from it until it states its claims anew.
        """
        answers: list[Answer] = []
        self._gone.add(claimer)
        for device, entry in list(self._devices.items()):
            held = entry.claims.get(claimer)
            if held is not None and held.held:
                entry.claims[claimer] = Held(held.revision, False, 0)
                answers += self._decide(device)
        return [answer for answer in answers if answer.claimer != claimer]

    def counted_at(self, device: str) -> str | None:
        """Return the node at which a device counts; None when nobody has it."""
        if device in self._registered:
            return self.home
        entry = self._devices.get(device)
        return entry.counted if entry is not None else None

    def own_count(self) -> int:
        """Return how many devices count at the home itself."""
        return len(self._registered)

    def _decide(self, device: str, also: str | None = None) -> list[Answer]:
        entry = self._devices.get(device)
        if entry is None:
            return []
        held = [(claim.arrival, claimer) for claimer, claim in entry.claims.items() if claim.held]
        counted = self.home if device in self._registered else min(held)[1] if held else None
        told = {also} if also is not None else set[str]()
        if counted != entry.counted:
            # Who counted is told first, so that on one path the device is rather nowhere than twice.
            told |= {who for who in (entry.counted, counted) if who is not None and who != self.home}
        before, entry.counted = entry.counted, counted
        order = sorted(told, key=lambda who: (who != before, who))
        return [self._answer(device, who, entry) for who in order if who in entry.claims]

    def _repeat(self, device: str, claimer: str) -> list[Answer]:
        entry = self._devices.get(device)
        if entry is None or claimer not in entry.claims:
            return []
        return [self._answer(device, claimer, entry)]

    def _answer(self, device: str, claimer: str, entry: ClaimedDevice) -> Answer:
        self._revision += 1
        return Answer(device, claimer, self._revision, entry.claims[claimer].revision, entry.counted == claimer)


class Registration(msgspec.Struct):
    """What a claimer knows of one device, to store it: revisions of the claim and of its answer, and what it said."""

    revision: int
    answer: int = 0
    counts: bool = False


class ForeignDevices:
    """At a claimer: devices with an identifier of another home, and whether they count here.

    Until the home has answered a device does not count here: rather late than twice.
    """

    def __init__(self, claimer: str, epoch: int = 1) -> None:
        self.claimer = claimer
        self._revision = epoch << EPOCH_BITS
        self._devices: dict[str, Registration] = {}

    @property
    def revision(self) -> int:
        """Return the revision of the last claim."""
        return self._revision

    def registration(self, device: str) -> Registration | None:
        """Return what is known of a device, to store it."""
        return self._devices.get(device)

    def restore(self, revision: int, devices: dict[str, Registration]) -> None:
        """Take back what was stored: the last claim's revision, and devices."""
        self._revision = max(self._revision, revision)
        self._devices |= devices

    def register(self, device: str) -> Claim:
        """Register a device with a foreign identifier; return the claim to send to its home."""
        _check(device, 1)
        if device not in self._devices:
            self._revision += 1
            self._devices[device] = Registration(self._revision)
        return Claim(device, self.claimer, self._devices[device].revision, True)

    def unregister(self, device: str) -> Claim:
        """The device is here no more; return the release to send to its home."""
        self._revision += 1
        self._devices.pop(device, None)
        return Claim(device, self.claimer, self._revision, False)

    def answer(self, answer: Answer) -> bool:
        """Take an answer; return whether it changed what counts here. One to an earlier claim says nothing."""
        registration = self._devices.get(answer.device)
        if registration is None or answer.claimer != self.claimer or answer.revision <= registration.answer:
            return False
        if answer.claim < registration.revision:
            return False
        changed = registration.counts != answer.counts
        registration.answer, registration.counts = answer.revision, answer.counts
        return changed

    def restate(self, devices: Iterable[str]) -> Claims:
        """Return everything that is claimed of one home's devices, for a home or a claimer that was restored."""
        self._revision += 1
        known = tuple(sorted(device for device in devices if device in self._devices))
        for device in known:
            registration = self._devices[device]
            registration.revision = self._revision
        return Claims(self.claimer, self._revision, known)

    def counts(self, device: str) -> bool:
        """Whether a device counts here."""
        registration = self._devices.get(device)
        return registration is not None and registration.counts

    def counted(self) -> int:
        """Return how many foreign devices count here."""
        return sum(registration.counts for registration in self._devices.values())

    def pending(self) -> list[str]:
        """Return the devices whose home has not answered yet; they do not count here."""
        return sorted(device for device, registration in self._devices.items() if not registration.answer)
