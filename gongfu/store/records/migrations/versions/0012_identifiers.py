"""Identifiers: prefixes, templates, classes; applications with steps and documents; grants, figures by day."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_Key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _name(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Create the tables."""
    _create_names()
    _create_applications()
    _create_others()


def _create_names() -> None:
    op.create_table(
        "identifier_prefix",
        sa.Column("number", _Key, nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("name_key", _name(64), nullable=False),
        sa.Column("delegated", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("enterprise", _name(200), nullable=False),
        sa.Column("region", sa.String(6), nullable=False),
        sa.Column("industry", sa.String(5), nullable=False),
        sa.Column("service", sa.String(200), nullable=False),
        sa.Column("quota", sa.BigInteger(), nullable=False),
        sa.Column("seed", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_identifier_prefix"),
        sa.UniqueConstraint("name_key", name="uq_identifier_prefix_name_key"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "identifier_template",
        sa.Column("number", _Key, nullable=False),
        sa.Column("name", _name(64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_identifier_template"),
        sa.UniqueConstraint("name", "version", name="uq_identifier_template_name_version"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "identifier_class",
        sa.Column("number", _Key, nullable=False),
        sa.Column("template", _Key, nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["template"], ["identifier_template.number"], name="fk_identifier_class_template"),
        sa.PrimaryKeyConstraint("number", name="pk_identifier_class"),
        sqlite_autoincrement=True,
    )


def _create_applications() -> None:
    op.create_table(
        "identifier_application",
        sa.Column("id", _Key, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("credit_code", _name(32), nullable=False),
        sa.Column("region", sa.String(6), nullable=False),
        sa.Column("industry", sa.String(5), nullable=False),
        sa.Column("contact", sa.String(200), nullable=False),
        sa.Column("wanted_prefix", sa.String(64), nullable=False),
        sa.Column("applicant", sa.String(120), nullable=False),
        sa.Column("prefix", _name(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_identifier_application"),
        sqlite_autoincrement=True,
    )
    for column in ("credit_code", "prefix", "state"):
        op.create_index(f"ix_identifier_application_{column}", "identifier_application", [column])
    op.create_table(
        "identifier_application_step",
        sa.Column("id", _Key, nullable=False),
        sa.Column("application_id", _Key, nullable=False),
        sa.Column("step", sa.String(16), nullable=False),
        sa.Column("person", sa.String(120), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["application_id"],
            ["identifier_application.id"],
            name="fk_identifier_application_step_application_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_identifier_application_step"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_identifier_application_step_application_id", "identifier_application_step", ["application_id"])
    op.create_table(
        "identifier_document",
        sa.Column("application_id", _Key, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("media_type", sa.String(120), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["application_id"],
            ["identifier_application.id"],
            name="fk_identifier_document_application_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("application_id", "digest", name="pk_identifier_document"),
    )


def _create_others() -> None:
    op.create_table(
        "identifier_grant",
        sa.Column("id", _Key, nullable=False),
        sa.Column("grantee", _name(512), nullable=False),
        sa.Column("index", sa.BigInteger(), nullable=False),
        sa.Column("scope", sa.String(8), nullable=False),
        sa.Column("target", _name(2048), nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("rights", sa.JSON(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("granted_by", sa.String(120), nullable=False),
        sa.Column("granted_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_identifier_grant"),
        sqlite_autoincrement=True,
    )
    for column in ("grantee", "target"):
        op.create_index(f"ix_identifier_grant_{column}", "identifier_grant", [column])
    op.create_table(
        "identifier_day",
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("prefix", _name(64), nullable=False),
        sa.Column("explicit", sa.BigInteger(), nullable=False),
        sa.Column("ranged", sa.BigInteger(), nullable=False),
        sa.Column("real", sa.BigInteger(), nullable=False),
        sa.Column("replayed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "prefix", name="pk_identifier_day"),
    )
