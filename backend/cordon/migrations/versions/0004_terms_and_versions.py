"""terms in full, the versions of signed terms, cameras that a version took out, and who suspended"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("deployments", schema=None) as batch_op:
        batch_op.add_column(sa.Column("proportionality", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("intelligence_case", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("community_notices", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("suspended_by_id", sa.String(length=36), nullable=True))
        batch_op.add_column(
            sa.Column("suspended_by_authoriser", sa.Boolean(), nullable=False, server_default=sa.false())
        )
    with op.batch_alter_table("cameras", schema=None) as batch_op:
        batch_op.add_column(sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "deployment_versions",
        sa.Column("deployment_id", sa.String(length=36), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("terms", sa.JSON(), nullable=False),
        sa.Column("terms_hash", sa.String(length=64), nullable=False),
        sa.Column("base_hash", sa.String(length=64), nullable=True),
        sa.Column("widens", sa.JSON(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("proposed_by_id", sa.String(length=36), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("signed_by_id", sa.String(length=36), nullable=True),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["deployment_id"], ["deployments.id"]),
        sa.PrimaryKeyConstraint("deployment_id", "number"),
    )


def downgrade() -> None:
    op.drop_table("deployment_versions")
    with op.batch_alter_table("cameras", schema=None) as batch_op:
        batch_op.drop_column("withdrawn_at")
    with op.batch_alter_table("deployments", schema=None) as batch_op:
        for name in (
            "suspended_by_authoriser",
            "suspended_by_id",
            "community_notices",
            "intelligence_case",
            "proportionality",
        ):
            batch_op.drop_column(name)
