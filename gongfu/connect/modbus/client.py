"""One Modbus line: requests over ``pymodbus``, and what goes wrong in words."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Any

from pymodbus import FramerType
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.pdu import ModbusPDU

from gongfu.connect.kit.types import DriverError, Reason

# It reports every attempt as an error; the status of the connection has that.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)

ILLEGAL_ADDRESS = 2
# A gateway says that a unit behind it cannot be reached.
AWAY = frozenset({10, 11})

# By exception code (V1.1b3 §7): reason, what it means, what to do.
_CODES: dict[int, tuple[Reason, str, str]] = {
    1: (Reason.UNSUPPORTED, "the device does not know this request", "Use a table that the device has."),
    2: (
        Reason.ADDRESS_UNKNOWN,
        "the device has no such register",
        "Compare with its manual: numbers count from 0 here.",
    ),
    3: (Reason.RANGE, "the device refuses the value or the length", "Write another value, or lower max_registers."),
    4: (Reason.PROTOCOL, "the device failed", "Look at the device itself."),
    5: (Reason.BUSY, "the device needs more time", "Poll it less often."),
    6: (Reason.BUSY, "the device is busy", "Poll it less often."),
    10: (Reason.UNREACHABLE, "the gateway has no way to this unit", "Check the unit id and the gateway's settings."),
    11: (Reason.UNREACHABLE, "the unit behind the gateway does not answer", "Check the unit id, its power and wiring."),
}
_READS = {
    "coil": "read_coils",
    "discrete": "read_discrete_inputs",
    "input": "read_input_registers",
    "holding": "read_holding_registers",
}


class RefusedError(DriverError):
    """The device answered with an exception code.

    Attributes:
        code: as of V1.1b3 §7.
    """

    def __init__(self, code: int, what: str) -> None:
        reason, meaning, advice = _CODES.get(
            code, (Reason.PROTOCOL, f"the device answers exception {code}", "Compare with its manual.")
        )
        super().__init__(reason, f"{what}: {meaning}.", advice)
        self.code = code


class ModbusLine:
    """A connection to a device or gateway. Requests wait for each other.

    Attributes:
        requests, timeouts: since it was made.
    """

    def __init__(self, host: str, port: int, rtu: bool, timeout: float, retries: int) -> None:
        """``timeout`` is in seconds."""
        self.place = f"{host}:{port}"
        self._host, self._port = host, port
        self._timeout = timeout
        self._client: Any = AsyncModbusTcpClient(
            host,
            port=port,
            framer=FramerType.RTU if rtu else FramerType.SOCKET,
            timeout=timeout,
            retries=retries,
            reconnect_delay=0,
        )
        # Whether the line is given up is decided here: one unit of a gateway may be off.
        self._client.set_max_no_responses(1 << 30)
        self.requests = self.timeouts = 0

    @property
    def connected(self) -> bool:
        """Whether the line stands."""
        return bool(self._client.connected)

    async def open(self) -> None:
        """Connect.

        Raises:
            DriverError: it cannot.
        """
        if not await self._client.connect():
            raise await self._why()

    def close(self) -> None:
        """End."""
        self._client.close()

    async def read(self, unit: int, table: str, start: int, count: int) -> Sequence[int] | Sequence[bool]:
        """Return registers or bits.

        Raises:
            RefusedError: the device answers with an exception.
            DriverError: it does not answer, or the line is lost.
        """
        what = f"{self.place} unit {unit}, {table} {start} to {start + count - 1}"
        answer = await self._ask(getattr(self._client, _READS[table]), what, address=start, count=count, device_id=unit)
        found = answer.bits if table in ("coil", "discrete") else answer.registers
        if len(found) < count:
            raise DriverError(
                Reason.PROTOCOL,
                f"{what}: the answer has {len(found)} values.",
                "Lower max_registers, or see its manual.",
            )
        return found

    async def write_registers(self, unit: int, start: int, registers: list[int]) -> None:
        """Write holding registers.

        Raises:
            RefusedError, DriverError: as of ``read``.
        """
        what = f"{self.place} unit {unit}, writing holding {start}"
        if len(registers) == 1:
            await self._ask(self._client.write_register, what, address=start, value=registers[0], device_id=unit)
        else:
            await self._ask(self._client.write_registers, what, address=start, values=registers, device_id=unit)

    async def write_coil(self, unit: int, start: int, value: bool) -> None:
        """Write a coil.

        Raises:
            RefusedError, DriverError: as of ``read``.
        """
        what = f"{self.place} unit {unit}, writing coil {start}"
        await self._ask(self._client.write_coil, what, address=start, value=value, device_id=unit)

    async def _ask(self, method: Any, what: str, **arguments: Any) -> Any:
        if not self.connected:
            raise DriverError(Reason.UNREACHABLE, f"{self.place}: the connection was lost.", "It is opened again.")
        self.requests += 1
        try:
            answer: ModbusPDU = await method(**arguments)
        except ConnectionException:
            raise DriverError(
                Reason.UNREACHABLE, f"{self.place}: the connection was lost.", "It is opened again."
            ) from None
        except ModbusException as error:
            if not self.connected:
                raise DriverError(
                    Reason.UNREACHABLE, f"{self.place}: the device closed the connection.", "It is opened again."
                ) from None
            self.timeouts += 1
            if "No response" in str(error):
                raise DriverError(
                    Reason.TIMEOUT,
                    f"{what}: no answer within {self._timeout:g} s.",
                    "Check the unit id (?unit in the URL), the wiring behind a gateway, or give a longer timeout.",
                ) from None
            raise DriverError(
                Reason.PROTOCOL, f"{what}: {error}.", "See whether modbus:// or modbus+rtu:// is right for it."
            ) from None
        if answer.isError():
            raise RefusedError(int(getattr(answer, "exception_code", 0)), what)
        return answer

    async def _why(self) -> DriverError:
        """Find out why there was no connection, by trying once more without the library, which does not tell."""
        try:
            async with asyncio.timeout(self._timeout):
                _, writer = await asyncio.open_connection(self._host, self._port)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        except ConnectionRefusedError:
            return DriverError(
                Reason.REFUSED,
                f"{self.place} refuses connections.",
                "Check the port (502 as a rule), that Modbus is switched on, and who else is connected.",
            )
        except TimeoutError:
            return DriverError(
                Reason.UNREACHABLE,
                f"{self.place} does not answer within {self._timeout:g} s.",
                "Check the address, cable, VLAN and firewalls.",
            )
        except OSError as error:
            return DriverError(
                Reason.UNREACHABLE,
                f"{self.place} cannot be reached: {error.strerror or error}.",
                "Check the address or name, and the network between.",
            )
        return DriverError(Reason.BUSY, f"{self.place} took no connection at first.", "It is tried again.")
