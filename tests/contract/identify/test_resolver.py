"""Resolution down a tree of Handle services on real sockets: caches, referrals, and what must not be believed."""

import asyncio
import random

import msgspec
import pytest

from gongfu.identify.handle.bodies import Record, encode_record
from gongfu.identify.handle.codes import Permission, ResponseCode
from gongfu.identify.handle.envelope import Message
from gongfu.identify.handle.names import parse_handle
from gongfu.identify.handle.resolution import Found, respond
from gongfu.identify.handle.values import HandleValue
from gongfu.identify.resolver.resolver import Resolver
from gongfu.identify.resolver.types import CacheState
from gongfu.kernel.counters import Counters
from tests.fixtures.resolution import IMPATIENCE, PATIENCE, Asking, Service, chain, referral, site_value

LEVELS = ("99", "99.1", "99.1.2", "99.1.2.3")
HANDLE = "99.1.2.3/泵/a?b#c%"


async def test_four_levels_cold_and_warm():
    async with chain(*LEVELS) as services:
        services[-1].put(HANDLE, "here")
        services[-1].put("99.1.2.3/b", "there")
        ask = Asking(services[0].site())
        cold = await ask(HANDLE)
        assert [(hop.code, hop.referral, hop.cache) for hop in cold.hops] == [
            (ResponseCode.PREFIX_REFERRAL, "99.1", CacheState.MISS),
            (ResponseCode.PREFIX_REFERRAL, "99.1.2", CacheState.MISS),
            (ResponseCode.PREFIX_REFERRAL, "99.1.2.3", CacheState.MISS),
            (ResponseCode.SUCCESS, "", CacheState.MISS),
        ]
        assert [hop.server for hop in cold.hops] == [f"udp 127.0.0.1:{service.port}" for service in services]
        assert (cold.questions, cold.authority, cold.values[0].data) == (4, "99.1.2.3", b"here")
        warm = await ask(HANDLE)
        assert (warm.questions, warm.values, warm.hops[0].cache) == (0, cold.values, CacheState.HIT)
        sibling = await ask("99.1.2.3/b")
        assert (sibling.questions, sibling.hops[0].cache) == (1, CacheState.DELEGATION)
        assert [len(service.asked) for service in services] == [1, 1, 1, 2]


async def test_a_referral_without_sites_costs_one_question_more():
    async with chain("99", "99.1") as (root, child):
        child.put("99.1/a", "x")
        known = root.delegations["99.1"]
        root.before = lambda m: referral(m, "99.1") if root.asked[-1] == "99.1/a" else None
        root.delegations["99.1"] = known
        resolved = await Asking(root.site())("99.1/a")
        assert (resolved.code, resolved.questions) == (ResponseCode.SUCCESS, 3)


async def test_values_hold_as_long_as_they_say():
    async with chain("99") as (root,):
        ask = Asking(root.site(), negative_ttl=15)
        root.put("99/relative", "1", ttl=100)
        root.put("99/absolute", "1", ttl=int(ask.clock.seconds) + 50, absolute=True)
        root.put("99/over", "1", ttl=int(ask.clock.seconds) - 1, absolute=True)
        root.put("99/never", "1", ttl=0)
        names = ("relative", "absolute", "over", "never", "none")
        for name in names:
            assert await ask.text(f"99/{name}") == (None if name == "none" else "1")
        for name in names:
            root.put(f"99/{name}", "2")

        async def seen() -> list[str | None]:
            return [await ask.text(f"99/{name}") for name in names]

        assert await seen() == ["1", "1", "2", "2", None]
        ask.clock.seconds += 14.9
        assert await seen() == ["1", "1", "2", "2", None]
        ask.clock.seconds += 0.2
        assert await seen() == ["1", "1", "2", "2", "2"]
        ask.clock.seconds += 34.9
        assert await seen() == ["1", "2", "2", "2", "2"]
        ask.clock.seconds += 50
        assert await seen() == ["2", "2", "2", "2", "2"]


async def test_what_is_known_to_have_changed_is_forgotten():
    async with chain("99", "99.1") as (root, child):
        ask = Asking(root.site())
        child.put("99.1/a", "old")
        assert await ask.text("99.1/a") == "old"
        assert await ask.text("99.1/new") is None
        child.put("99.1/a", "changed")
        child.put("99.1/new", "registered")
        assert await ask.text("99.1/a") == "old"
        assert await ask.text("99.1/new") is None
        ask.resolver.forget(["99.1/a", "99.1/new"])
        assert await ask.text("99.1/a") == "changed"
        assert await ask.text("99.1/new") == "registered"


async def test_a_revoked_prefix_has_nothing_once_it_is_known():
    async with chain("99", "99.1") as (root, child):
        ask = Asking(root.site())
        child.put("99.1/a", "x")
        assert await ask.text("99.1/a") == "x"
        del root.delegations["99.1"]
        ask.resolver.forget([], ["99.1"])
        assert await ask.text("99.1/a") is None
        assert len(child.asked) == 1


async def test_a_delegation_that_changes_while_it_is_kept():
    async with chain("99", "99.1") as (root, former), chain("99.1") as (latter,):
        ask = Asking(root.site(), negative_ttl=5, delegation_ttl=300)
        former.put("99.1/a", "former")
        former.put("99.1/b", "former")
        assert await ask.text("99.1/a") == "former"
        root.delegations["99.1"] = (latter.site(),)
        latter.put("99.1/a", "latter")
        latter.put("99.1/b", "latter")
        # Nobody has told: for as long as the delegation holds, the former is asked.
        assert await ask.text("99.1/b") == "former"
        # What it has no more is looked for from above.
        former.records.clear()
        ask.clock.seconds += 10
        resolved = await ask("99.1/c")
        assert resolved.code == ResponseCode.HANDLE_NOT_FOUND
        latter.put("99.1/d", "latter")
        assert await ask.text("99.1/d") == "latter"
        # And all of it once that is known.
        ask.resolver.forget([], ["99.1"])
        assert await ask.text("99.1/a") == "latter"
        assert await ask.text("99.1/b") == "latter"


@pytest.mark.parametrize("how", ["refers upwards", "is gone"])
async def test_a_service_that_is_no_longer_responsible_is_left(how: str):
    async with chain("99", "99.1") as (root, former), chain("99.1") as (latter,):
        ask = Asking(root.site())
        former.put("99.1/a", "former")
        assert await ask.text("99.1/a") == "former"
        root.delegations["99.1"] = (latter.site(),)
        latter.put("99.1/b", "latter")
        former.prefixes.clear()
        former.records.clear()
        former.above = (root.site(),)
        if how == "is gone":
            await former.stop()
        resolved = await ask("99.1/b")
        assert resolved.values[0].data == b"latter"
        assert resolved.hops[0].cache is CacheState.DELEGATION
        assert await ask.text("99.1/b") == "latter"


async def test_a_change_that_becomes_known_while_it_is_asked_for():
    async with chain("99", "99.1") as (root, child):
        ask = Asking(root.site())
        child.put("99.1/a", "old")
        said = list[int]()

        def change(_: Message) -> None:
            # The answer is of before the change, which comes to the resolver before the answer does.
            if not said:
                said.append(1)
                asyncio.get_running_loop().call_soon(child.put, "99.1/a", "new")
                ask.resolver.forget(["99.1/a"])

        child.before = change
        assert await ask.text("99.1/a") == "new"
        assert await ask.text("99.1/a") == "new"
        assert len(child.asked) == 2


async def test_equal_questions_at_the_same_time_are_one():
    async with chain("99", "99.1") as (root, child):
        child.put("99.1/a", "x")
        ask = Asking(root.site())
        resolved = await asyncio.gather(*(ask("99.1/a") for _ in range(50)))
        assert {one.values[0].data for one in resolved} == {b"x"}
        assert (len(root.asked), len(child.asked)) == (1, 1)
        assert sum(one.hops[0].cache is CacheState.JOINED for one in resolved) == 49


async def test_who_gives_up_does_not_end_it_for_the_others():
    async with chain("99") as (root,):
        root.put("99/a", "x")
        ask = Asking(root.site())
        first = asyncio.create_task(ask("99/a"))
        await asyncio.sleep(0)
        second = asyncio.create_task(ask("99/a"))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).code == ResponseCode.SUCCESS
        assert len(root.asked) == 1


async def test_what_is_often_asked_is_fetched_before_it_ends():
    async with chain("99") as (root,):
        ask = Asking(root.site(), prefetch_uses=3)
        root.put("99/hot", "1", ttl=100)
        root.put("99/cold", "1", ttl=100)
        for _ in range(4):
            await ask.text("99/hot")
        await ask.text("99/cold")
        ask.clock.seconds += 95
        root.put("99/hot", "2", ttl=100)
        assert await ask.text("99/hot") == "1"
        await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name() == "resolve 99/hot"))
        assert await ask.text("99/hot") == "2"
        ask.clock.seconds += 6
        assert await ask.text("99/hot") == "2"
        assert root.asked.count("99/hot") == 2
        assert root.asked.count("99/cold") == 1


async def test_nothing_stale_when_the_service_is_away():
    async with chain("99") as (root,):
        ask = Asking(root.site())
        root.put("99/a", "x", ttl=10)
        assert await ask.text("99/a") == "x"
        await root.stop()
        assert await ask.text("99/a") == "x"
        ask.clock.seconds += 10
        resolved = await ask("99/a")
        assert (resolved.code, resolved.values) == (ResponseCode.SERVER_NOT_RESPONDING, ())
        assert all(hop.reason for hop in resolved.hops)


async def test_tcp_where_there_is_no_udp_and_the_next_site_where_there_is_no_server():
    async with chain("99") as (root,):
        root.put("99/a", "x")
        assert (await Asking(root.site(udp=False))("99/a")).hops[0].server.startswith("tcp ")
        gone = Service()
        await gone.start()
        await gone.stop()
        resolved = await Asking(gone.site(primary=0), root.site())("99/a")
        assert resolved.code == ResponseCode.SUCCESS
        assert [hop.server.split()[0] for hop in resolved.hops] == ["udp", "tcp", "udp"]


async def test_a_large_answer():
    async with chain("99") as (root,):
        root.records["99/a"] = tuple(HandleValue(n, "DESC", bytes(200)) for n in range(1, 100))
        assert len((await Asking(root.site())("99/a")).values) == 99
        root.records["99/b"] = tuple(HandleValue(n, "DESC", bytes(200)) for n in range(1, 400))
        resolved = await Asking(root.site())("99/b")
        assert len(resolved.values) == 399
        assert [hop.server.split()[0] for hop in resolved.hops] == ["udp", "tcp"]


async def test_a_service_answers_only_for_its_own_prefixes():
    """Who has 99.1 may neither answer for 99.2, nor refer to it, nor upwards, nor in a circle."""
    async with chain("99", "99.1") as (root, child), chain("99.2") as (stranger,):
        stranger.put("99.2/a", "stolen")
        ask = Asking(root.site())
        circle = site_value(child.port, serial=2)
        for prefix, upward in (("99.2", False), ("99", False), ("99.1", False), ("99.1.9", False), ("0", True)):
            child.before = lambda m, p=prefix, u=upward: referral(m, p, stranger.site(), circle, upward=u)
            resolved = await ask("99.1/a")
            assert resolved.code == ResponseCode.SERVER_NOT_RESPONDING, (prefix, upward)
        assert not stranger.asked
        child.before = lambda _: None
        child.put("99.1/a", "x")
        assert await ask.text("99.1/a") == "x"


async def test_values_of_another_handle_are_no_answer():
    async with chain("99") as (root,):
        other = encode_record(Record("99/b", (HandleValue(1, "URL", b"x"),)))
        root.before = lambda message: respond(message, ResponseCode.SUCCESS, other)
        assert (await Asking(root.site())("99/a")).code == ResponseCode.SERVER_NOT_RESPONDING


async def test_upward_referrals_end():
    """Two services that refer to one another as being above."""
    async with chain("99") as (one,), chain("98") as (other,):
        one.above, other.above = (other.site(),), (one.site(),)
        resolved = await Asking(one.site())("97/a")
        assert resolved.code == ResponseCode.SERVER_NOT_RESPONDING
        assert resolved.questions <= 3


async def test_a_parent_refers_to_the_root():
    async with chain("99", "99.1") as (root, parent), chain("99.2") as (cousin,):
        root.delegations["99.2"] = (cousin.site(),)
        parent.above = (root.site(),)
        cousin.put("99.2/a", "x")
        resolved = await Asking(parent.site())("99.2/a")
        assert [hop.code for hop in resolved.hops] == [
            ResponseCode.SERVICE_REFERRAL,
            ResponseCode.PREFIX_REFERRAL,
            ResponseCode.SUCCESS,
        ]


async def test_endless_ways_and_endless_questions_have_an_end():
    async with chain("99") as (root,):
        ask = Asking(root.site(), questions=5)

        def deeper(message: Message) -> Message:
            depth = len(root.asked)
            return referral(message, "99" + ".1" * depth, root.site(serial=depth))

        root.before = deeper
        resolved = await ask("99" + ".1" * 30 + "/a")
        assert resolved.code == ResponseCode.RECURSION_LIMIT_EXCEEDED
        assert resolved.questions == 5
        assert (await ask("99/a", recursions=10)).code == ResponseCode.RECURSION_LIMIT_EXCEEDED


async def test_filters_and_what_is_not_public():
    async with chain("99") as (root,):
        hidden = HandleValue(2, "SECRET", b"x", permissions=Permission.ADMIN_READ)
        root.records["99/a"] = (HandleValue(1, "URL", b"u"), hidden, HandleValue(5, "DESC", b"d"))
        ask = Asking(root.site())
        assert [v.index for v in (await ask("99/a")).values] == [1, 5]
        assert [v.index for v in (await ask("99/a", "desc")).values] == [5]
        assert [v.index for v in (await ask("99/a", indexes=(1, 2))).values] == [1]
        assert len(root.asked) == 1
        assert (await ask("99/a", indexes=(7,))).code == ResponseCode.VALUES_NOT_FOUND
        resolved = await ask("99/a", indexes=(2,))
        assert (resolved.code, resolved.values) == (ResponseCode.AUTHENTICATION_NEEDED, ())


async def test_caches_are_bounded():
    async with chain("99") as (root,):
        ask = Asking(root.site(), records=10)
        for n in range(30):
            root.put(f"99/{n}", "x")
            await ask.text(f"99/{n}")
        assert ask.resolver.figures()["resolver_records"] == 10
        ask.resolver.forget([], ["99"])
        assert ask.resolver.figures()["resolver_records"] == 0


async def test_caches_are_bounded_by_bytes_and_by_what_is_not_there():
    async with chain("99") as (root,):
        ask = Asking(root.site(), records=200, record_bytes=200_000)
        root.records["99/huge"] = (HandleValue(1, "DESC", bytes(3000)),)
        root.put("99/kept", "x")
        await ask.text("99/kept")
        await ask("99/huge")
        await ask("99/huge")
        assert root.asked.count("99/huge") == 2
        for n in range(100):
            assert await ask.text(f"99/none-{n}") is None
        assert ask.resolver.figures()["resolver_records"] == 51
        assert await ask.text("99/kept") == "x"
        assert root.asked.count("99/kept") == 1
        for n in range(190):
            root.records[f"99/{n}"] = (HandleValue(1, "DESC", bytes(1000)),)
            await ask(f"99/{n}")
        assert 100 < ask.resolver.figures()["resolver_records"] < 120


async def test_no_more_resolutions_at_once_than_allowed():
    async with chain("99") as (root,):
        ask = Asking(root.site(), running=3)
        codes = [one.code for one in await asyncio.gather(*(ask(f"99/{n}") for n in range(5)))]
        assert codes.count(ResponseCode.SERVER_BUSY) == 2
        assert codes.count(ResponseCode.HANDLE_NOT_FOUND) == 3


async def test_what_is_here_is_not_asked_for():
    value = HandleValue(1, "URL", b"x")
    resolver = Resolver(lambda _: Found((value,)), tuple, Counters(), patience=PATIENCE)
    resolved = await resolver.resolve(parse_handle("99/a"))
    assert (resolved.values, resolved.hops[0].cache, resolved.questions) == ((value,), CacheState.LOCAL, 0)
    assert await resolver.values("99/a") == (value,)
    assert await resolver.values("no handle") is None
    assert msgspec.json.encode(resolved)


async def test_whatever_a_service_answers_there_is_an_end():
    rng = random.Random(1)
    async with chain("99", "99.1") as (root, child):
        child.put("99.1/a", "x")
        good = [
            encode_record(Record("99.1/a", (HandleValue(1, "URL", b"x"), root.site()))),
            encode_record(Record("0.NA/99.1", (child.site(),))),
            encode_record(Record("0.NA/99.1", (HandleValue(1, "HS_SITE", b"\0" * 40),))),
        ]
        codes = [int(code) for code in ResponseCode] + [999, 2**32 - 1]
        ask = Asking(root.site(), patience=IMPATIENCE)

        def junk(message: Message) -> Message:
            which = rng.randrange(len(good))
            body = bytearray(good[which])
            # Addresses stay as they are: nobody else is to be asked.
            for _ in range(rng.randrange(4) if which != 1 else 0):
                body[rng.randrange(len(body))] = rng.randrange(256)
            end = rng.choice((len(body), rng.randrange(len(body))))
            said = respond(message, ResponseCode.SUCCESS, bytes(body[:end]))
            code = rng.choice((1, 302, 303, rng.choice(codes)))
            return msgspec.structs.replace(said, header=msgspec.structs.replace(said.header, response=code))

        root.before = junk
        for _ in range(80):
            resolved = await ask("99.1/a", fresh=True)
            assert isinstance(resolved.code, ResponseCode)
            assert resolved.questions <= 17
        root.before = lambda _: None
        assert await Asking(root.site()).text("99.1/a") == "x"
