"""What is told of a connection that runs while some of its values are not stored."""

from gongfu.connect.kit.hints import hints_of, refused_figures


def test_addresses_that_are_not_there_are_named() -> None:
    assert refused_figures([]) == {}
    figures = refused_figures([f"holding:{n}" for n in range(7)])
    (hint,) = hints_of(figures, {}, "")
    assert hint.reason == "address-unknown"
    assert "7 of the addresses: holding:0, holding:1, holding:2, holding:3, holding:4 and 2 more" in hint.what
    assert hint.advice


def test_rejections_say_what_to_do() -> None:
    (hint,) = hints_of({}, {"model_range": 3}, "'t': 21.5 is above the maximum 20 Cel")
    assert hint.reason == "model_range"
    assert "3 values" in hint.what
    assert "21.5 is above the maximum 20 Cel" in hint.what
    assert "gongfu model check" in hint.advice
    (other,) = hints_of({}, {"something": 1}, "")
    assert "docs/telemetry.md" in other.advice
    assert hints_of({}, {}, "an old one") == []
