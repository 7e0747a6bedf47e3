"""Table of what drivers have brought about and may have to take back."""

from sqlalchemy import JSON, BigInteger, Column, Index, String, Table, UniqueConstraint

from gongfu.store.records.engine import Key, metadata

driver_effect = Table(
    "tree_driver_effect",
    metadata,
    Column("id", Key, primary_key=True),
    Column("driver", String(100), nullable=False),
    # What is changed, such as ``device/7``.
    Column("thing", String(300), nullable=False),
    Column("order_id", String(64), nullable=False),
    # How it was before the first order that still stands, and how this order wants it.
    Column("base", JSON(none_as_null=False), nullable=False),
    Column("wanted", JSON(none_as_null=False), nullable=False),
    Column("at", BigInteger, nullable=False),
    UniqueConstraint("driver", "thing", "order_id"),
    Index("ix_tree_driver_effect_driver_order_id", "driver", "order_id"),
    # Ids tell which order came later and must not be given again.
    sqlite_autoincrement=True,
)
