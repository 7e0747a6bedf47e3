"""The machine of the OPC UA benchmark: an asyncua server with many variables that change once a second.

Arguments: port, variables, a folder for its certificate (then it offers Basic256Sha256) or "-". Prints "ready", then a
line with the updates a second that it really made, each second.
"""

import asyncio
import logging
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from asyncua import Server, ua
from asyncua.server.address_space import AttributeValue, NodeData

from gongfu.connect.opcua.certificates import identity


def copied(server: Server, model: ua.NodeId, name: str) -> ua.NodeId:
    """Add a variable like another one; asyncua's own way takes 3 ms for each."""
    space = server.iserver.aspace
    node = NodeData(ua.NodeId(name, model.NamespaceIndex))
    node.attributes = {kind: AttributeValue(found.value) for kind, found in space[model].attributes.items()}
    node.references = space[model].references
    space[node.nodeid] = node
    return node.nodeid


async def main(port: int, variables: int, pki: str) -> None:
    logging.disable(logging.CRITICAL)
    server = Server()
    server.disable_clock()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/bench")
    policies = [ua.SecurityPolicyType.NoSecurity]
    if pki != "-":
        own = identity.load(Path(pki), datetime.now(UTC))
        await server.set_application_uri(own.uri)
        await server.load_certificate(own.certificate, "der")
        await server.load_private_key(own.key, format="pem")
        policies.append(ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt)
    server.set_security_policy(policies)
    space = await server.register_namespace("urn:bench")
    parent = await server.nodes.objects.add_object(space, "线")
    model = await parent.add_variable(ua.NodeId("t0", space), ua.QualifiedName("t0", space), 0.0, ua.VariantType.Double)
    nodes = [model.nodeid] + [copied(server, model.nodeid, f"t{number}") for number in range(1, variables)]
    await server.start()
    print("ready", flush=True)
    turn = 0
    while True:
        began = time.monotonic()
        turn += 1
        at = datetime.now(UTC)
        for number, node in enumerate(nodes):
            value = ua.DataValue(ua.Variant(turn + number / 1e5, ua.VariantType.Double), SourceTimestamp=at)
            await server.iserver.write_attribute_value(node, value)
            if not number % 500:
                await asyncio.sleep(0)
        took = time.monotonic() - began
        print(f"{variables / max(took, 1.0):.0f}", flush=True)
        await asyncio.sleep(max(0.0, 1.0 - took))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
