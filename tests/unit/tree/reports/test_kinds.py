import msgspec
import pytest

from gongfu.tree.reports.kinds import (
    Form,
    KindError,
    KindReason,
    Leaving,
    Measure,
    ReportKind,
    check_evolution,
    check_kind,
)

DEVICES = Measure(name="devices", form=Form.COUNT, unit="{device}")
ENERGY = Measure(name="energy", form=Form.SUM, unit="kW.h", decimals=3)
KIND = ReportKind(
    name="devices.state",
    period=60,
    keys=("region", "industry", "state"),
    measures=(DEVICES, ENERGY),
    leaving=(Leaving(tier="province", keys=("region",), measures=("devices",), lengths={"region": 2}),),
)


LENGTH = KindReason.LEAVING_LENGTH


def changed(**what: object) -> ReportKind:
    return msgspec.structs.replace(KIND, **what)


def test_a_right_declaration_is_taken_and_survives_json() -> None:
    check_kind(KIND)
    check_kind(changed(period=0, keys=(), leaving=()))
    assert msgspec.json.decode(msgspec.json.encode(KIND), type=ReportKind) == KIND


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ({"name": "Devices"}, KindReason.NAME),
        ({"name": ""}, KindReason.NAME),
        ({"version": 0}, KindReason.VERSION),
        ({"period": 7}, KindReason.PERIOD),
        ({"period": -60}, KindReason.PERIOD),
        ({"period": 172_800}, KindReason.PERIOD),
        ({"keys": tuple("abcdefghi")}, KindReason.KEYS),
        ({"keys": ("Region",)}, KindReason.KEY),
        ({"keys": ("region", "region")}, KindReason.KEY_REPEATED),
        ({"measures": ()}, KindReason.MEASURES),
        ({"measures": (DEVICES, DEVICES)}, KindReason.MEASURE_REPEATED),
        ({"measures": (Measure(name="x y", form=Form.SUM),)}, KindReason.MEASURE),
        ({"measures": (Measure(name="x", form=Form.SUM, unit="kWh?"),)}, KindReason.UNIT),
        ({"measures": (Measure(name="x", form=Form.SUM, decimals=13),)}, KindReason.DECIMALS),
        ({"measures": (Measure(name="x", form=Form.COUNT, decimals=1),)}, KindReason.DECIMALS),
        ({"measures": (Measure(name="x", form=Form.COUNT, size=4),)}, KindReason.SIZE),
        ({"measures": (Measure(name="x", form=Form.DISTINCT, size=21),)}, KindReason.SIZE),
        ({"leaving": (Leaving(tier="a", keys=("size",), measures=("devices",)),)}, KindReason.LEAVING_KEY),
        ({"leaving": (Leaving(tier="a", keys=(), measures=("power",)),)}, KindReason.LEAVING_MEASURE),
        ({"leaving": (Leaving(tier="a", keys=(), measures=()),)}, KindReason.LEAVING_MEASURE),
        ({"leaving": (Leaving(tier="a", keys=(), measures=("devices",), lengths={"region": 2}),)}, LENGTH),
        ({"leaving": (Leaving(tier="a", keys=(), measures=("devices",)),) * 2}, KindReason.TIER),
        ({"least_contributors": 0}, KindReason.THRESHOLD),
        ({"least_contributors": 17}, KindReason.THRESHOLD),
    ],
)
def test_a_wrong_declaration_is_refused_with_its_reason(what: dict[str, object], reason: KindReason) -> None:
    with pytest.raises(KindError) as caught:
        check_kind(changed(**what))
    assert caught.value.reason == reason


def test_a_newer_version_may_add_measures() -> None:
    more = Measure(name="machines", form=Form.DISTINCT)
    check_evolution(KIND, changed(version=2, measures=(DEVICES, ENERGY, more)))
    check_evolution(KIND, changed(version=2, measures=(more, ENERGY, DEVICES), least_contributors=5))


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ({"version": 1}, KindReason.NOT_NEWER),
        ({"version": 2, "name": "devices.other"}, KindReason.OTHER_KIND),
        ({"version": 2, "period": 300}, KindReason.PERIOD_CHANGED),
        ({"version": 2, "keys": ("region", "industry"), "leaving": ()}, KindReason.KEYS_CHANGED),
        ({"version": 2, "measures": (DEVICES,)}, KindReason.MEASURE_REMOVED),
        (
            {"version": 2, "measures": (DEVICES, msgspec.structs.replace(ENERGY, decimals=2))},
            KindReason.MEASURE_CHANGED,
        ),
        ({"version": 2, "measures": (DEVICES, msgspec.structs.replace(ENERGY, unit="J"))}, KindReason.MEASURE_CHANGED),
        ({"version": 2, "least_contributors": 2}, KindReason.THRESHOLD_LOWERED),
        ({"version": 2, "period": 7}, KindReason.PERIOD),
    ],
)
def test_any_other_change_is_refused(what: dict[str, object], reason: KindReason) -> None:
    with pytest.raises(KindError) as caught:
        check_evolution(KIND, changed(**what))
    assert caught.value.reason == reason


def test_a_period_starts_at_a_multiple_of_its_length() -> None:
    assert KIND.period_start(119_999_999_999) == 60_000_000_000
    assert changed(period=0).period_start(119_999_999_999) == 0
