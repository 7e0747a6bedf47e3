"""Report kinds: what is reported, how often, by which keys, in which forms, and what of it may leave a tier."""

import re
from enum import StrEnum

import msgspec

from gongfu.kernel.units import UnitError, check_unit

MAX_KEYS = 8
MAX_MEASURES = 32
MAX_TIERS = 16
MAX_DECIMALS = 12
MAX_TIER_LENGTH = 40
MAX_THRESHOLD = 16
ANY_TIER = "*"
DAY_SECONDS = 86_400

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}(?:\.[a-z][a-z0-9_-]{0,62}){0,3}")
_WORD = re.compile(r"[a-z][a-z0-9_]{0,62}")
# What is counted, without a dimension: loading the UCUM parser for it would cost a second.
_COUNTED = re.compile(r"1|\{[\x21-\x7a\x7c\x7e]{1,38}\}")


class Form(StrEnum):
    """How the states of a measure merge."""

    COUNT = "count"
    SUM = "sum"
    MIN = "min"
    MAX = "max"
    DISTINCT = "distinct"
    QUANTILES = "quantiles"
    TOP = "top"


EXACT_FORMS = frozenset({Form.COUNT, Form.SUM, Form.MIN, Form.MAX})
# Form -> smallest, usual and largest size: log2 of the registers, compression k, log2 of the items kept.
SKETCH_SIZES = {Form.DISTINCT: (7, 12, 14), Form.QUANTILES: (20, 200, 500), Form.TOP: (3, 6, 10)}


class KindReason(StrEnum):
    """Why a report kind is refused."""

    NAME = "name-malformed"
    VERSION = "version-out-of-range"
    PERIOD = "period-not-a-part-of-the-day"
    KEYS = "keys-too-many"
    KEY = "key-malformed"
    KEY_REPEATED = "key-repeated"
    MEASURES = "measures-none-or-too-many"
    MEASURE = "measure-malformed"
    MEASURE_REPEATED = "measure-repeated"
    UNIT = "unit-malformed"
    DECIMALS = "decimals-out-of-range"
    SIZE = "size-out-of-range"
    TIER = "tier-malformed-repeated-or-too-many"
    LEAVING_KEY = "leaving-key-unknown"
    LEAVING_MEASURE = "leaving-measure-unknown"
    LEAVING_LENGTH = "leaving-length-malformed"
    THRESHOLD = "threshold-out-of-range"
    NOT_NEWER = "version-not-newer"
    OTHER_KIND = "name-changed"
    PERIOD_CHANGED = "period-changed"
    KEYS_CHANGED = "keys-changed"
    MEASURE_CHANGED = "measure-changed"
    MEASURE_REMOVED = "measure-removed"
    THRESHOLD_LOWERED = "threshold-lowered"


class KindError(ValueError):
    """A report kind is refused.

    Attributes:
        reason: the stable code.
    """

    def __init__(self, reason: KindReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class Measure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One figure of a cell.

    Attributes:
        name: unique in the kind.
        form: how it merges.
        unit: UCUM code of the value; of the ranked weight for ``top``.
        decimals: an exact form is a whole number of 10^-decimals of the unit, so that a sum does not
            depend on its order.
        size: of a sketch, see ``SKETCH_SIZES``; 0 is the usual one.
    """

    name: str
    form: Form
    unit: str = "1"
    decimals: int = 0
    size: int = 0

    @property
    def exact(self) -> bool:
        """Whether the state is a whole number and merging is exact."""
        return self.form in EXACT_FORMS

    @property
    def sketch_size(self) -> int:
        """Return the size of the sketch with the usual one filled in; 0 for exact forms."""
        return 0 if self.exact else self.size or SKETCH_SIZES[self.form][1]


class Leaving(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may leave the nodes of one tier upward.

    Attributes:
        tier: name of the tier, as memberships have it; ``*`` for those that no other rule names.
        keys: keys that stay; cells that differ in another key only are merged.
        measures: measures that stay.
        lengths: key → how many first characters of its value stay, such as 2 for the province of a GB/T 2260 code.
    """

    tier: str
    keys: tuple[str, ...]
    measures: tuple[str, ...]
    lengths: dict[str, int] = {}


class ReportKind(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The declaration of a kind of report.

    Attributes:
        name: dotted, such as ``devices.online``.
        version: 1, 2, …; a newer one may only add measures.
        period: seconds, a part of the day; 0 for a snapshot (one standing period, the latest statement holds).
        keys: names of the keys, in order.
        measures: the figures.
        leaving: by tier; from a tier that is not named nothing leaves.
        least_contributors: a published cell has at least so many enterprises.
    """

    name: str
    version: int = 1
    period: int = 0
    keys: tuple[str, ...] = ()
    measures: tuple[Measure, ...]
    leaving: tuple[Leaving, ...] = ()
    least_contributors: int = 3

    @property
    def exact(self) -> tuple[Measure, ...]:
        """Return the measures with an exact form, in order."""
        return tuple(measure for measure in self.measures if measure.exact)

    @property
    def sketches(self) -> tuple[Measure, ...]:
        """Return the measures that are sketches, in order."""
        return tuple(measure for measure in self.measures if not measure.exact)

    def leaving_from(self, tier: str) -> Leaving | None:
        """Return what may leave a tier; None: nothing."""
        by_tier = {rule.tier: rule for rule in self.leaving}
        return by_tier.get(tier, by_tier.get(ANY_TIER))

    def period_start(self, time: int) -> int:
        """Return the start (UTC ns) of the period that a time (UTC ns) is in; 0 for a snapshot."""
        length = self.period * 1_000_000_000
        return time - time % length if length else 0


def _check_measure(measure: Measure) -> None:
    if not _WORD.fullmatch(measure.name):
        raise KindError(KindReason.MEASURE, f"{measure.name!r} is not a name of small letters, digits and _")
    if not _COUNTED.fullmatch(measure.unit):
        try:
            check_unit(measure.unit)
        except UnitError as error:
            raise KindError(KindReason.UNIT, str(error)) from None
    whole = not measure.exact or measure.form is Form.COUNT
    if not 0 <= measure.decimals <= (0 if whole else MAX_DECIMALS):
        raise KindError(KindReason.DECIMALS, f"{measure.name} cannot have {measure.decimals} decimals")
    if measure.exact:
        allowed = measure.size == 0
    else:
        least, _, most = SKETCH_SIZES[measure.form]
        allowed = measure.size == 0 or least <= measure.size <= most
    if not allowed:
        raise KindError(KindReason.SIZE, f"{measure.name} cannot have size {measure.size}")


def _check_leaving(kind: ReportKind) -> None:
    tiers = [rule.tier for rule in kind.leaving]
    named = all(1 <= len(tier) <= MAX_TIER_LENGTH and tier.isprintable() for tier in tiers)
    if len(tiers) > MAX_TIERS or len(set(tiers)) != len(tiers) or not named:
        raise KindError(KindReason.TIER, f"a tier is named once, in printable characters; at most {MAX_TIERS}")
    measures = {measure.name for measure in kind.measures}
    for rule in kind.leaving:
        if not set(rule.keys) <= set(kind.keys) or len(set(rule.keys)) != len(rule.keys):
            raise KindError(KindReason.LEAVING_KEY, f"tier {rule.tier} names a key that is not there, or one twice")
        if not rule.measures or not set(rule.measures) <= measures or len(set(rule.measures)) != len(rule.measures):
            raise KindError(KindReason.LEAVING_MEASURE, f"tier {rule.tier} names a measure that is not there, or none")
        if not set(rule.lengths) <= set(rule.keys) or not all(1 <= n <= 64 for n in rule.lengths.values()):
            raise KindError(KindReason.LEAVING_LENGTH, f"tier {rule.tier} shortens a key that does not leave")


def check_name(name: str, version: int) -> None:
    """Check name and version of a declaration.

    Raises:
        KindError: one of them is wrong.
    """
    if not _NAME.fullmatch(name):
        raise KindError(KindReason.NAME, f"{name[:80]!r} is not a dotted name of small letters")
    if not 1 <= version <= 65_535:
        raise KindError(KindReason.VERSION, f"{version} is not between 1 and 65535")


def check_kind(kind: ReportKind) -> None:
    """Check a declaration.

    Raises:
        KindError: with the reason of the first thing that is wrong.
    """
    check_name(kind.name, kind.version)
    if kind.period and (kind.period < 0 or kind.period > DAY_SECONDS or DAY_SECONDS % kind.period):
        raise KindError(KindReason.PERIOD, f"{kind.period} s does not divide a day")
    if len(kind.keys) > MAX_KEYS:
        raise KindError(KindReason.KEYS, f"more than {MAX_KEYS}")
    for key in kind.keys:
        if not _WORD.fullmatch(key):
            raise KindError(KindReason.KEY, f"{key!r} is not a name of small letters, digits and _")
    if len(set(kind.keys)) != len(kind.keys):
        raise KindError(KindReason.KEY_REPEATED, "a key is named twice")
    if not 1 <= len(kind.measures) <= MAX_MEASURES:
        raise KindError(KindReason.MEASURES, f"between 1 and {MAX_MEASURES}")
    for measure in kind.measures:
        _check_measure(measure)
    if len({measure.name for measure in kind.measures}) != len(kind.measures):
        raise KindError(KindReason.MEASURE_REPEATED, "a measure is named twice")
    _check_leaving(kind)
    if not 1 <= kind.least_contributors <= MAX_THRESHOLD:
        raise KindError(KindReason.THRESHOLD, f"least contributors is between 1 and {MAX_THRESHOLD}")


def check_evolution(old: ReportKind, new: ReportKind) -> None:
    """Check that cells of two versions of a kind can be merged: the newer one only adds measures.

    Raises:
        KindError: it does something else, or the new declaration itself is wrong.
    """
    check_kind(new)
    if new.name != old.name:
        raise KindError(KindReason.OTHER_KIND, f"{old.name} became {new.name}")
    if new.version <= old.version:
        raise KindError(KindReason.NOT_NEWER, f"{new.version} is not after {old.version}")
    if new.period != old.period:
        raise KindError(KindReason.PERIOD_CHANGED, f"{old.period} s became {new.period} s")
    if new.keys != old.keys:
        raise KindError(KindReason.KEYS_CHANGED, f"{old.keys} became {new.keys}")
    there = {measure.name: measure for measure in new.measures}
    for measure in old.measures:
        if measure.name not in there:
            raise KindError(KindReason.MEASURE_REMOVED, measure.name)
        kept = there[measure.name]
        if (kept.form, kept.unit, kept.decimals, kept.sketch_size) != (
            measure.form,
            measure.unit,
            measure.decimals,
            measure.sketch_size,
        ):
            raise KindError(KindReason.MEASURE_CHANGED, measure.name)
    if new.least_contributors < old.least_contributors:
        raise KindError(KindReason.THRESHOLD_LOWERED, f"{old.least_contributors} became {new.least_contributors}")
