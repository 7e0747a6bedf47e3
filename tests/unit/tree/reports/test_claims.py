import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gongfu.tree.reports.claims import Answer, Claim, ClaimError, ClaimReason, Claims, ForeignDevices, HomeClaims


def test_the_first_claim_counts_and_the_next_one_when_it_is_released() -> None:
    home, a, b = HomeClaims("h"), ForeignDevices("a"), ForeignDevices("b")
    claimed = a.register("10/x")
    assert a.pending() == ["10/x"]
    assert not a.counts("10/x")
    (yes,) = home.claim(claimed)
    assert a.answer(yes)
    assert a.counts("10/x")
    (no,) = home.claim(b.register("10/x"))
    assert not b.answer(no)
    assert b.pending() == []
    assert (a.counted(), b.counted(), home.counted_at("10/x")) == (1, 0, "a")
    answers = home.claim(a.unregister("10/x"))
    assert [(answer.claimer, answer.counts) for answer in answers] == [("a", False), ("b", True)]
    for answer in answers:
        a.answer(answer)
        b.answer(answer)
    assert (a.counted(), b.counted(), home.counted_at("10/x")) == (0, 1, "b")


def test_the_home_comes_before_every_claim() -> None:
    home, a = HomeClaims("h"), ForeignDevices("a")
    for answer in home.claim(a.register("10/x")):
        a.answer(answer)
    for answer in home.register("10/x"):
        a.answer(answer)
    assert (a.counted(), home.own_count(), home.counted_at("10/x")) == (0, 1, "h")
    for answer in home.unregister("10/x"):
        a.answer(answer)
    assert (a.counted(), home.own_count(), home.counted_at("10/x")) == (1, 0, "a")


def test_late_messages_say_nothing() -> None:
    home, a = HomeClaims("h"), ForeignDevices("a")
    first = a.register("10/x")
    released = a.unregister("10/x")
    assert home.claim(released) == []
    (answer,) = home.claim(first)
    assert not answer.counts
    assert home.counted_at("10/x") is None
    again = a.register("10/x")
    (yes,) = home.claim(again)
    a.answer(yes)
    # An answer to the first registration, which was given up: it must not count for the second.
    assert not a.answer(Answer("10/x", "a", yes.revision + 1, first.revision, False))
    assert a.counts("10/x")
    assert not a.answer(yes)


def test_a_claim_that_was_given_up_goes_to_the_end() -> None:
    home, a, b = HomeClaims("h"), ForeignDevices("a"), ForeignDevices("b")
    home.claim(a.register("10/x"))
    home.claim(b.register("10/x"))
    home.claim(a.unregister("10/x"))
    home.claim(a.register("10/x"))
    assert home.counted_at("10/x") == "b"
    # Stating anew keeps the place.
    home.restate(b.restate(["10/x"]))
    assert home.counted_at("10/x") == "b"


def test_a_claimer_that_was_removed_is_not_believed_until_it_states_its_claims() -> None:
    home, a, b = HomeClaims("h"), ForeignDevices("a"), ForeignDevices("b")
    first = a.register("10/x")
    home.claim(first)
    home.claim(b.register("10/x"))
    (answer,) = home.remove_claimer("a")
    assert (answer.claimer, answer.counts) == ("b", True)
    on_its_way = a.register("10/y")
    assert home.claim(on_its_way) == []
    assert home.counted_at("10/y") is None
    home.restate(a.restate(["10/x", "10/y"]))
    assert (home.counted_at("10/x"), home.counted_at("10/y")) == ("b", "a")


def test_malformed_messages_are_refused() -> None:
    home = HomeClaims("h")
    for device in ("", "x\n", "x" * 257):
        for call in (
            lambda d=device: home.claim(Claim(d, "a", 1, True)),
            lambda d=device: home.restate(Claims("a", 1, (d,))),
            lambda d=device: ForeignDevices("a").register(d),
        ):
            with pytest.raises(ClaimError) as caught:
                call()
            assert caught.value.reason is ClaimReason.DEVICE
    with pytest.raises(ClaimError) as caught:
        home.claim(Claim("10/x", "a", 0, True))
    assert caught.value.reason is ClaimReason.REVISION
    message = Claim("10/x", "a", 7, True)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=Claim) == message


DEVICES = ["10/x", "10/y", "10/z"]


@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 60))
@settings(max_examples=300, deadline=None)
def test_every_device_counts_once_when_it_is_quiet(seed: int, n: int, steps: int) -> None:
    rnd = random.Random(seed)
    home = HomeClaims("home")
    claimers = {str(i): ForeignDevices(str(i)) for i in range(n)}
    epochs = dict.fromkeys([*claimers, "home"], 1)
    held: dict[str, set[str]] = {who: set() for who in [*claimers, "home"]}
    # Links keep what the other end has not taken yet; order is lost, and messages repeat.
    up: list[tuple[str, Claim | Claims]] = []
    down: list[Answer] = []

    def take(everything: bool) -> None:
        for mail in (up, down):
            rnd.shuffle(mail)
            some = len(mail) if everything else rnd.randint(0, len(mail))
            now = mail[:some] + rnd.sample(mail[:some], rnd.randint(0, some))
            del mail[:some]
            for message in now:
                if isinstance(message, Answer):
                    claimers[message.claimer].answer(message)
                elif isinstance(message[1], Claim):
                    down.extend(home.claim(message[1]))
                else:
                    down.extend(home.restate(message[1]))

    for _ in range(steps):
        who, device, what = rnd.choice([*claimers, "home"]), rnd.choice(DEVICES), rnd.random()
        if what < 0.35:
            held[who].add(device)
            if who == "home":
                down.extend(home.register(device))
            else:
                up.append((who, claimers[who].register(device)))
        elif what < 0.55:
            held[who].discard(device)
            if who == "home":
                down.extend(home.unregister(device))
            else:
                up.append((who, claimers[who].unregister(device)))
        elif what < 0.65:
            # Restored from a backup: it knows its registrations only, takes a larger epoch, and all is stated anew.
            epochs[who] += 1
            if who == "home":
                home = HomeClaims("home", epochs[who])
                for own in held["home"]:
                    home.register(own)
                up.extend((c, claimer.restate(DEVICES)) for c, claimer in claimers.items())
            else:
                claimers[who] = ForeignDevices(who, epochs[who])
                held[who] = {d for d in held[who] if rnd.random() < 0.5}
                for own in held[who]:
                    claimers[who].register(own)
                up.append((who, claimers[who].restate(DEVICES)))
        else:
            take(everything=False)
    while up or down:
        take(everything=True)
    for device in DEVICES:
        counting = [who for who, claimer in claimers.items() if claimer.counts(device)]
        counting += ["home"] if home.counted_at(device) == "home" else []
        holders = [who for who, devices in held.items() if device in devices]
        assert len(counting) == (1 if holders else 0)
        assert set(counting) <= set(holders)
        assert not any(claimer.pending() for claimer in claimers.values())
        if device in held["home"]:
            assert counting == ["home"]
