"""The tree: report kinds, cells, publications, claims of devices, signed records; an index of devices' identifiers."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_NODE = sa.String(24)
_KIND = sa.String(255)
_IDENTIFIER = sa.String(256)
_CLAIMER = sa.String(100)
_BIG = sa.BigInteger()
_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _table(
    name: str, keys: Mapping[str, sa.types.TypeEngine[Any]], rest: Mapping[str, sa.types.TypeEngine[Any]]
) -> None:
    columns = [sa.Column(column, kind, nullable=False, autoincrement=False) for column, kind in keys.items()]
    columns += [sa.Column(column, kind, nullable=False) for column, kind in rest.items()]
    op.create_table(name, *columns, sa.PrimaryKeyConstraint(*keys, name=f"pk_{name}"))


def upgrade() -> None:
    """Create the tables."""
    whole, data = sa.Integer(), sa.LargeBinary()
    _table(
        "report_kind",
        {"name": _KIND, "version": whole},
        {
            "form": sa.String(8),
            "document": sa.Text(),
            "declared_by": _NODE,
            "inherited": whole,
            "current": whole,
            "changed": _BIG,
        },
    )
    op.create_table(
        "report_statement",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("kind", _KIND, nullable=False),
        sa.Column("child", _NODE, nullable=False),
        sa.Column("what", sa.String(8), nullable=False),
        sa.Column("heard", _BIG, nullable=False),
        sa.Column("data", data, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_report_statement"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_report_statement_kind", "report_statement", ["kind", "child", "id"])
    stream = {"kind": _KIND, "child": _NODE}
    _table("report_position", stream, {"upto": _BIG, "position": data, "stream": data})
    _table("report_cells", {**stream, "period": _BIG}, {"data": data})
    _table("report_own_cells", {"kind": _KIND, "period": _BIG}, {"as_of": _BIG, "data": data})
    _table("report_counter", {"name": sa.String(300)}, {"value": _BIG})
    _table("report_uplink", {"id": whole}, {"parent": _NODE, "since": _BIG})
    _table("report_unknown", stream, {"statements": _BIG, "last_at": _BIG})
    _table("report_publication", {"kind": _KIND, "period": _BIG}, {"at": _BIG, "cells": data, "pattern": data})
    _table(
        "report_claim",
        {"device": _IDENTIFIER, "claimer": _CLAIMER},
        {"revision": _BIG, "held": whole, "arrival": _BIG},
    )
    op.create_index("ix_report_claim_claimer", "report_claim", ["claimer"])
    _table("report_claimed", {"device": _IDENTIFIER}, {"counted": _CLAIMER})
    _table("report_claim_floor", {"claimer": _CLAIMER}, {"revision": _BIG})
    _table(
        "report_foreign_device",
        {"device": _IDENTIFIER},
        {"prefix": sa.String(64), "revision": _BIG, "answer": _BIG, "counts": whole},
    )
    op.create_index("ix_report_foreign_device_prefix", "report_foreign_device", ["prefix"])
    _table(
        "report_record",
        {"digest": sa.String(64)},
        {"kind": _KIND, "node": _NODE, "sequence": _BIG, "at": _BIG, "received": _BIG, "signed": data},
    )
    op.create_index("ix_report_record_stream", "report_record", ["kind", "node", "sequence"])
    op.create_index("ix_report_record_received", "report_record", ["received", "digest"])
    # The few assets that have an identifier, among millions: see gongfu.tree.reports.identifiers.
    if op.get_bind().dialect.name == "sqlite":
        text = "json_extract(attributes, '$.identifier')"
    else:
        text = "((attributes ->> 'identifier') COLLATE \"C\")"
    op.execute(f"CREATE INDEX ix_asset_identifier ON asset ({text}) WHERE {text} IS NOT NULL")
