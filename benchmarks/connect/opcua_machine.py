"""The machine of the OPC UA benchmark: an asyncua server with many variables that change once a second.

Arguments: port, variables, a folder for its certificate (then it offers Basic256Sha256) or "-". Prints "ready", then a
line a second with the updates a second that it really made and how many values it had to drop from full queues.

The values of monitored items are put into asyncua's queues without its copy of each value and its coroutine for each
change (33 us became 5); what goes over the wire is made by asyncua.
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


class Tag:
    """A variable, and the queues of the items that monitor it."""

    def __init__(self, node: NodeData) -> None:
        self.attribute = node.attributes[ua.AttributeIds.Value]

    def write(self, value: ua.DataValue) -> int:
        """Set the value; return how many older ones full queues dropped."""
        self.attribute.value = value
        dropped = 0
        for handle, callback in self.attribute.datachange_callbacks.items():
            service = callback.__self__
            data = service._monitored_items.get(service._monitored_datachange.get(handle))
            if data is None or service.isub._startup:  # the item is being made: its first value comes from asyncua
                continue
            queue = service.isub._triggered_datachanges.setdefault(data.monitored_item_id, [])
            if data.queue_size and len(queue) >= data.queue_size:
                queue.pop(0)
                dropped += 1
            queue.append(ua.MonitoredItemNotification(data.client_handle, value))
        return dropped


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
    tags = [Tag(server.iserver.aspace[node]) for node in nodes]
    await server.start()
    print("ready", flush=True)
    turn = dropped = 0
    due = time.monotonic()
    while True:
        began = time.monotonic()
        turn += 1
        at = datetime.now(UTC)
        for number, tag in enumerate(tags):
            # The whole part counts the turns: a reader sees from it whether one is missing.
            dropped += tag.write(ua.DataValue(ua.Variant(float(turn), ua.VariantType.Double), SourceTimestamp=at))
            if not number % 500:
                await asyncio.sleep(0)
        took = time.monotonic() - began
        print(f"{variables / max(took, 1.0):.0f} {dropped}", flush=True)
        due = max(due + 1.0, time.monotonic())
        await asyncio.sleep(due - time.monotonic())


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
