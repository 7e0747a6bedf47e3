"""A plant behind an asyncua server, and what is needed to look at it."""

import asyncio
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from gongfu.connect.kit.timing import SystemTiming
from gongfu.connect.kit.types import Context
from gongfu.connect.opcua.certificates import identity
from gongfu.connect.opcua.driver import OpcUaDriver, pki_folder

URI = "urn:test:plant"
PATIENCE = 60.0


async def until(condition, what):
    """Wait until ``condition()`` is true."""
    ends = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < ends, f"waited {PATIENCE:.0f} s for {what}"
        await asyncio.sleep(0.02)


class Recorder:
    """A sink that keeps what it is given."""

    def __init__(self):
        self.readings = []
        self.gaps = []
        self.events = []
        self.saturated = False

    def take(self, readings, received):
        self.readings += readings

    def gap(self, addresses, since, until, reason):
        self.gaps.append((list(addresses), since, until, reason))

    def event(self, kind, detail):
        self.events.append((kind, dict(detail)))

    def values(self, address):
        return [r.value for r in self.readings if r.address == address]

    def last(self, address):
        found = self.values(address)
        return found[-1] if found else None


class Plant:
    """The server and its nodes."""

    def __init__(self, server, ns):
        self.server = server
        self.ns = ns
        self.nodes = {}
        self.port = 0

    def where(self, name):
        return self.nodes[name].nodeid.to_string()

    async def set(self, name, value, **more):
        from asyncua import ua

        kind = await self.nodes[name].read_data_type_as_variant_type()
        await self.nodes[name].write_value(
            ua.DataValue(ua.Variant(value, kind), SourceTimestamp=more.pop("at", datetime.now(UTC)), **more)
        )


async def build(server):
    """Give the server a pump station with Chinese names, units, ranges, a method and an array."""
    from asyncua import ua, uamethod

    ns = await server.register_namespace(URI)
    plant = Plant(server, ns)
    station = await server.nodes.objects.add_object(ns, "泵站")
    pump = await station.add_object(ns, "1号泵")

    async def variable(parent, name, value, kind, writable=False):
        node = await parent.add_variable(ua.NodeId(f"泵站.{name}", ns), ua.QualifiedName(name, ns), value, kind)
        if writable:
            await node.set_writable()
        plant.nodes[name] = node
        return node

    pressure = await variable(pump, "压力", 1.5, ua.VariantType.Double, writable=True)
    await pressure.add_property(0, "EURange", ua.Range(Low=0.0, High=16.0))
    unit = ua.EUInformation()
    unit.NamespaceUri = "http://www.opcfoundation.org/UA/units/un/cefact"
    unit.UnitId = int.from_bytes(b"BAR", "big")
    unit.DisplayName = ua.LocalizedText("bar")
    await pressure.add_property(0, "EngineeringUnits", unit)
    await variable(pump, "计数", 2**60, ua.VariantType.Int64, writable=True)
    await variable(pump, "运行", True, ua.VariantType.Boolean, writable=True)
    await variable(pump, "状态", "正常", ua.VariantType.String)
    await variable(pump, "阵列", [1.0, 2.0], ua.VariantType.Double)
    await variable(pump, "字节", 7, ua.VariantType.Byte, writable=True)

    def argument(name, kind, array=False):
        made = ua.Argument()
        made.Name, made.DataType, made.ValueRank = name, ua.NodeId(kind.value), 1 if array else -1
        return made

    @uamethod
    def add(parent, a, b):
        return a + b

    plant.nodes["加"] = await pump.add_method(
        ua.NodeId("泵站.加", ns),
        ua.QualifiedName("加", ns),
        add,
        [argument("a", ua.VariantType.Int64), argument("b", ua.VariantType.Double)],
        [argument("和", ua.VariantType.Double)],
    )

    kinds = {"text": "String", "flag": "Boolean", "time": "DateTime", "numbers": "Int16", "words": "LocalizedText"}
    declared = [argument(name, getattr(ua.VariantType, kind), name == "numbers") for name, kind in kinds.items()]

    async def typed(parent, *variants):
        return list(variants)

    plant.nodes["类型"] = await pump.add_method(
        ua.NodeId("泵站.类型", ns), ua.QualifiedName("类型", ns), typed, declared, declared
    )
    plant.nodes["1号泵"] = pump
    return plant


@asynccontextmanager
async def serving(port, pki: Path | None = None, users=None, open_too=True, tokens=None, certificate=None):
    """Run the plant; with ``pki`` (its own folder of certificates) it offers security, with ``users`` it asks names."""
    from asyncua import Server, ua

    class Users:
        def get_user(self, iserver, username=None, password=None, certificate=None):
            from asyncua.crypto.permission_rules import User, UserRole

            if users is None or users.get(username) == password:
                return User(role=UserRole.User)
            return None

    server = Server(user_manager=Users())
    server.disable_clock()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/plant")
    policies = [ua.SecurityPolicyType.NoSecurity] if open_too else []
    if pki is not None:
        own = identity.load(pki, datetime.now(UTC)) if certificate is None else certificate
        await server.set_application_uri(own.uri)
        await server.load_certificate(own.certificate, "der")
        await server.load_private_key(own.key, format="pem")
        policies += [
            ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
            ua.SecurityPolicyType.Basic256Sha256_Sign,
        ]
    server.set_security_policy(policies)
    if tokens is not None:
        server.set_identity_tokens(tokens)
    plant = await build(server)
    plant.port = port
    await server.start()
    try:
        yield plant
    finally:
        await server.stop()


def driver_of(directory: Path, port: int, path="/plant", **options):
    """Return a driver for a server of this machine."""
    filled = {"security": "none", "timeout": 30.0} | options
    return OpcUaDriver(Context(f"opc.tcp://127.0.0.1:{port}{path}", filled, "试验", directory / "c1", SystemTiming()))


@asynccontextmanager
async def connected(directory: Path, port: int, path="/plant", **options):
    """Open a driver and close it again."""
    driver = driver_of(directory, port, path, **options)
    await driver.open()
    try:
        yield driver
    finally:
        await driver.close()


def trust_of(directory: Path):
    """Return the trust list of drivers made with this directory."""
    from gongfu.connect.opcua.certificates.trust_list import TrustList

    return TrustList(pki_folder(directory / "c1"))
