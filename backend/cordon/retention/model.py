"""The certificate that something was deleted: what, when, why, and that nothing was left."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from cordon.platform.database import Base


class PurgeCertificate(Base):
    __tablename__ = "purge_certificates"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    deployment_id: Mapped[str] = mapped_column(String(36), index=True)
    holding: Mapped[str] = mapped_column(String(20))
    deadline: Mapped[datetime]
    purged_at: Mapped[datetime]
    counts: Mapped[dict[str, Any]]
    reference_numbers: Mapped[list[str]]
