"""A foreign edge node: pysparkplug in an environment of its own (it needs an MQTT library of another version).

Run as ``python foreign_node.py PORT USER PASSWORD``: is born, sends five values a tenth of a second apart, then waits.
"""

import sys
import time

import pysparkplug as psp  # pyright: ignore[reportMissingImports]

port, user, password = int(sys.argv[1]), sys.argv[2], sys.argv[3]


def metric(name, datatype, value):
    return psp.Metric(timestamp=psp.get_current_timestamp(), name=name, datatype=datatype, value=value)


client = psp.Client(client_id="pysparkplug", username=user, password=password)
node = psp.EdgeNode(
    "工厂A", "节点 1", [metric("温度", psp.DataType.DOUBLE, 20.5), metric("计数", psp.DataType.INT32, -7)], client
)
device = psp.Device("水泵", [metric("运行", psp.DataType.BOOLEAN, True), metric("备注", psp.DataType.STRING, "正常")])
node.register(device)
node.connect("127.0.0.1", port=port)
deadline = time.monotonic() + 30
while not node._connected:
    assert time.monotonic() < deadline, "no connection"
    time.sleep(0.05)
for step in range(5):
    node.update([metric("温度", psp.DataType.DOUBLE, 21.0 + step)])
    node.update_device("水泵", [metric("运行", psp.DataType.BOOLEAN, bool(step % 2))])
    time.sleep(0.1)
print("sent", flush=True)
time.sleep(600)
