"""Alembic's surroundings: the models' metadata and the connection that `cordon migrate` hands over."""

from alembic import context

from cordon.migrations import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata(), render_as_batch=True, compare_type=True)
with context.begin_transaction():
    context.run_migrations()
