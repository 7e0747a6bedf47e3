"""NATS subjects and stream names of a node (docs/architecture.md, section Subjects)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Subjects:
    """Names below ``gf.<node>``; ``node`` is a NATS token: letters, digits, ``-`` and ``_``."""

    node: str

    def blocks(self, partition: int) -> str:
        """Column blocks of a partition (JetStream)."""
        return f"gf.{self.node}.blk.{partition}"

    def blocks_stream(self, partition: int) -> str:
        """Name of the JetStream stream that keeps the blocks of a partition."""
        return f"blk-{self.node}-{partition}"

    def spare(self, partition: int) -> str:
        """Blocks of a partition whose stream has no leader (JetStream, clusters only)."""
        return f"gf.{self.node}.spare.{partition}"

    def spare_stream(self, partition: int) -> str:
        """Name of the JetStream stream that keeps them until the partition's stream has them."""
        return f"spr-{self.node}-{partition}"

    def diverted(self) -> str:
        """Writers of blocks tell each other that they use the spare of a partition (core NATS)."""
        return f"gf.{self.node}.diverted"

    def event(self, kind: str) -> str:
        """Events of a kind (core NATS): ``alarm``, ``death``, ``device``, ``registry``, ``rule``."""
        return f"gf.{self.node}.evt.{kind}"

    def metrics(self, role: str) -> str:
        """Counters of a role, once a second (core NATS)."""
        return f"gf.{self.node}.met.{role}"

    def service(self, name: str) -> str:
        """Request/reply service."""
        return f"gf.{self.node}.svc.{name}"

    def door(self, name: str) -> str:
        """Traffic among front doors, and to them (core NATS)."""
        return f"gf.{self.node}.door.{name}"

    def registers(self) -> str:
        """Beginning of the subjects of registers: leases and roster of the workers (JetStream)."""
        return f"gf.{self.node}.reg"

    def registers_stream(self) -> str:
        """Name of the JetStream stream of the registers."""
        return f"reg-{self.node}"

    def state(self, partition: int, name: str) -> str:
        """Pieces of a checkpoint of a partition (JetStream)."""
        return f"gf.{self.node}.sta.{partition}.{name}"

    def state_stream(self) -> str:
        """Name of the JetStream stream of checkpoints."""
        return f"sta-{self.node}"
