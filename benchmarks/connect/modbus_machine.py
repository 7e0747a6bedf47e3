"""A Modbus device for the benchmark, in a process of its own: ``python -m benchmarks.connect.modbus_machine PORT``."""

import asyncio
import sys

from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

REGISTERS = 10_000


async def _serve(port: int) -> None:
    registers = [SimData(0, values=[n % 60_000 for n in range(REGISTERS)], datatype=DataType.REGISTERS)]
    server = ModbusTcpServer([SimDevice(id=1, simdata=registers)], address=("127.0.0.1", port))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
