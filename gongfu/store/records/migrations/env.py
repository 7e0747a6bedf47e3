"""What alembic runs to migrate; ``migrate`` hands it the open transaction."""

from alembic import context

from gongfu.store.records.engine import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # The transaction is the caller's: all revisions become durable together or not at all.
    transactional_ddl=False,
)
context.run_migrations()
