"""Settings of a cluster of several machines, and what speaks against them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# What a machine runs when its file does not say so.
ROLES = ("door", "worker", "web")
# Roles that one machine at a time has, by a lease; the others where they are planned stand by.
LEASED_ROLES = ("connect", "notify")
# Roles of one machine that keep on its disk what nobody else has: they do not fail over.
SETTLED_ROLES = ("apps", "models")
KNOWN_ROLES = (*ROLES, *LEASED_ROLES, *SETTLED_ROLES)
# The key that secrets of devices are hashed with, 64 hexadecimal digits; instead of a file of [cluster] secrets_dir.
DEVICE_KEY_VARIABLE = "GONGFU_DEVICE_KEY"


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """This machine in a cluster of several; none without ``instance``.

    Attributes:
        instance: name of this machine, a NATS token; no other has it.
        roles: what this machine runs, among ``KNOWN_ROLES``.
        secrets_dir: directory with the secrets that all machines share, or None.
    """

    instance: str = ""
    roles: tuple[str, ...] = ROLES
    secrets_dir: Path | None = None

    def runs(self, role: str, *, wanted: bool) -> bool:
        """Return whether this machine is to run one of ``LEASED_ROLES`` or ``SETTLED_ROLES``.

        As ``roles`` says where it names any of them, else when somebody has asked for it.

        Args:
            role: which.
            wanted: whether somebody has asked for it here.
        """
        named = any(one in self.roles for one in (*LEASED_ROLES, *SETTLED_ROLES))
        return role in self.roles if named else wanted

    def name(self, role: str) -> str:
        """Return the name of a role of this machine: ``<role>@<instance>`` in a cluster."""
        return f"{role}@{self.instance}" if self.instance else role


@dataclass(frozen=True, slots=True)
class Facts:
    """What of the other settings decides whether a cluster can work."""

    nats_servers: Sequence[str]
    history: bool
    records_url: str
    replicas: int
    partitions: int
    workers: int
    device_key: bool


def trouble(cluster: ClusterSettings, facts: Facts) -> tuple[str, str, str] | None:
    """Return section, key and text of the first setting that cannot work, None when all can."""
    if facts.replicas > 1 and not facts.nats_servers:
        text = "the embedded nats-server keeps one replica; give the servers of a NATS cluster in [nats] servers"
        return "block_log", "replicas", text
    if facts.replicas % 2 == 0:
        return "block_log", "replicas", f"must be odd: 1, 3 or 5; {facts.replicas} survive no more than one less"
    if facts.workers > facts.partitions:
        text = f"{facts.workers} workers need as many partitions; [telemetry] partitions is {facts.partitions}"
        return "worker", "processes", text
    if not cluster.instance:
        return None
    for given, setting in (
        (bool(facts.nats_servers), "[nats] servers: a NATS that all machines reach, not the embedded one"),
        (bool(facts.records_url), "[records] url: PostgreSQL; records in a SQLite file are one machine's"),
        (facts.history, "[history] urls: a history that all machines reach, not the embedded one"),
        (
            facts.device_key,
            "[cluster] secrets_dir, a directory with the same file device-key on each machine, or "
            f"{DEVICE_KEY_VARIABLE}: all machines must know the secrets of devices by the same key",
        ),
    ):
        if not given:
            return "cluster", "instance", f"a cluster needs {setting}"
    return None
