"""Fences: the records remember the newest owner of each partition and refuse what an earlier one still writes.

A worker that was stopped in the middle of a transaction, or between its look at its lease and the write, would else
change alarms after another worker has taken over.
"""

from sqlalchemy import BigInteger, Column, Connection, Integer, Table, insert, select, update
from sqlalchemy.exc import IntegrityError

from gongfu.bus.ownership import OwnershipLostError
from gongfu.store.records.engine import metadata

partition_fence = Table(
    "partition_fence",
    metadata,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    # Revision of the lease; greater ones are newer.
    Column("epoch", BigInteger, nullable=False),
)


def raise_fence(connection: Connection, partition: int, epoch: int) -> None:
    """Let nobody with an earlier epoch write for a partition any more.

    Raises:
        OwnershipLostError: somebody with a later epoch is there already.
    """
    mine = partition_fence.c.partition == partition
    row = connection.execute(select(partition_fence.c.epoch).where(mine).with_for_update()).one_or_none()
    if row is None:
        try:
            with connection.begin_nested():
                connection.execute(insert(partition_fence).values(partition=partition, epoch=epoch))
        except IntegrityError:
            raise_fence(connection, partition, epoch)
    elif row.epoch > epoch:
        raise OwnershipLostError(f"partition {partition} belongs to epoch {row.epoch}, not {epoch}")
    else:
        connection.execute(update(partition_fence).where(mine).values(epoch=epoch))


def check_fence(connection: Connection, partition: int, epoch: int) -> None:
    """Make sure, until the transaction ends, that nobody later has the partition.

    Raises:
        OwnershipLostError: somebody has.
    """
    query = select(partition_fence.c.epoch).where(partition_fence.c.partition == partition).with_for_update(read=True)
    row = connection.execute(query).one_or_none()
    if row is not None and row.epoch > epoch:
        raise OwnershipLostError(f"partition {partition} belongs to epoch {row.epoch}, not {epoch}")
