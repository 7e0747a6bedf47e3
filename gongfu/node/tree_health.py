"""Whether all roles of this node run, as the supervisor tells on the bus."""

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from gongfu.bus.connection import subscribe
from gongfu.kernel.subjects import Subjects

# Reports of the supervisor, one every two seconds: a role that starts again at once is no news for the parent.
_TWICE = 2


class _Role(msgspec.Struct):
    role: str
    state: str


class _Report(msgspec.Struct):
    roles: list[_Role] = []


class RolesHealth:
    """Follows the reports of the supervisor."""

    def __init__(self) -> None:
        self._down = 0
        self._read = msgspec.json.Decoder(_Report).decode

    async def start(self, bus: Client, subjects: Subjects) -> None:
        """Begin to listen."""
        await subscribe(bus, subjects.metrics("*"), self._heard)

    def __call__(self) -> str:
        """Return ``ok`` or ``degraded``."""
        return "degraded" if self._down >= _TWICE else "ok"

    async def _heard(self, message: Msg) -> None:
        try:
            roles = self._read(message.data).roles
        except msgspec.MsgspecError:
            return
        if roles:
            down = any(role.state != "ready" for role in roles if not role.role.startswith("tree"))
            self._down = self._down + 1 if down else 0
