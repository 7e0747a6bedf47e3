"""Many clients sign in at once: each gets its own answer, and few queries are made."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy.exc import OperationalError

from gongfu.ingest.mqtt.access import DeviceAccess, Refusal
from gongfu.ingest.mqtt.registry_access import CACHE_ENTRIES, MOST_AT_ONCE, RegistryAuthenticator
from gongfu.registry.credentials import Credentials, DeviceGrant
from gongfu.registry.devices import DevicePatch, NewDevice
from tests.contract.records.conftest import DEVICE_KEY, Node

COUNT = 600


class Counted(Credentials):
    """Counts the queries; fails when told to."""

    asked: list[int]
    broken = False

    def check_all(self, asked: Sequence[tuple[str, str]]) -> list[DeviceGrant | None]:
        self.asked.append(len(asked))
        if self.broken:
            raise OperationalError("SELECT", {}, Exception("gone"))
        return super().check_all(asked)


def counted(node: Node) -> Counted:
    credentials = Counted(node.engine, DEVICE_KEY)
    credentials.asked = []
    return credentials


async def test_a_storm_of_sign_ins(node: Node) -> None:
    secret = "factory-secret-{:04d}".format
    made = [node.registry.devices.create(node.admin, NewDevice(f"d{n}", secret=secret(n))).device for n in range(COUNT)]
    node.registry.devices.change(node.admin, made[7].id, DevicePatch(enabled=False))
    credentials = counted(node)
    with ThreadPoolExecutor(1) as executor:
        check = RegistryAuthenticator(credentials, executor, asyncio.get_running_loop()).check
        right = [check(f"d{n}", secret(n).encode(), None) for n in range(COUNT)]
        wrong = [
            check("d1", secret(2).encode(), None),
            check("nobody", b"factory-secret-0001", None),
            check("d1\0", secret(1).encode(), None),
            check("d1", b"\xff\xfe", None),
        ]
        answers = await asyncio.gather(*right, *wrong)
        again = await check("d3", secret(3).encode(), None)
    assert answers[COUNT:] == [None] * len(wrong)
    assert answers[7] is Refusal.DISABLED
    granted = {n: access for n, access in enumerate(answers[:COUNT]) if isinstance(access, DeviceAccess)}
    assert {n: (a.writer.device, a.writer.name) for n, a in granted.items()} == {
        n: (device.id, f"d{n}") for n, device in enumerate(made) if n != 7
    }
    assert again is granted[3]
    assert sum(credentials.asked) == COUNT + 3
    assert max(credentials.asked) <= MOST_AT_ONCE
    assert len(credentials.asked) <= 2 + COUNT // MOST_AT_ONCE + 1


async def test_records_that_cannot_be_read_refuse_all_that_wait_and_no_one_after(node: Node) -> None:
    made = node.registry.devices.create(node.admin, NewDevice("d1"))
    credentials = counted(node)
    credentials.broken = True
    with ThreadPoolExecutor(1) as executor:
        check = RegistryAuthenticator(credentials, executor, asyncio.get_running_loop()).check
        waiting = [check("d1", b"a secret %d" % n, None) for n in range(5)]
        assert await asyncio.gather(*waiting) == [Refusal.UNAVAILABLE] * 5
        credentials.broken = False
        assert isinstance(await check("d1", made.secret.encode(), None), DeviceAccess)


async def test_the_oldest_leave_a_full_cache(node: Node) -> None:
    class All(Credentials):
        asked = 0

        def check_all(self, asked: Sequence[tuple[str, str]]) -> list[DeviceGrant | None]:
            self.asked += len(asked)
            return [DeviceGrant(1, int(name), name, 1, "a", (), ()) for name, _ in asked]

    credentials = All(node.engine, DEVICE_KEY)
    with ThreadPoolExecutor(1) as executor:
        authenticator = RegistryAuthenticator(credentials, executor, asyncio.get_running_loop())

        async def sign_in(*numbers: int) -> int:
            before = credentials.asked
            await asyncio.gather(*(authenticator.check(str(n), b"x", None) for n in numbers))
            return credentials.asked - before

        await sign_in(*range(1, CACHE_ENTRIES + 11))
        assert await sign_in(*range(12, CACHE_ENTRIES + 11)) == 0
        assert await sign_in(1, 5, 10) == 3
        authenticator.forget(1000)
        assert await sign_in(1000) == 1
