"""The people sought in one deployment, and the pictures of them that may be searched with."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import Date, ForeignKey, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from cordon.platform.database import Base


class EntryKind(StrEnum):
    SUBJECT = "subject"
    TEST_SUBJECT = "test_subject"
    """A consenting member of staff, enrolled to measure the live true-positive rate. Never alerted to the street."""


class EntryStatus(StrEnum):
    ENROLLING = "enrolling"
    READY = "ready"
    REFUSED = "refused"
    REMOVED = "removed"


class Watchlist(Base):
    """One a deployment. Its revision rises with every change: an engine that holds an older one fetches anew."""

    __tablename__ = "watchlists"

    deployment_id: Mapped[str] = mapped_column(ForeignKey("deployments.id"), primary_key=True)
    revision: Mapped[int] = mapped_column(default=0)
    pack: Mapped[str | None] = mapped_column(String(120))
    """Name and version of the pack that made the templates; templates of another cannot be compared with them."""
    dimension: Mapped[int | None]


class WatchlistEntry(Base):
    __tablename__ = "watchlist_entries"
    __table_args__ = (UniqueConstraint("deployment_id", "reference_number"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    deployment_id: Mapped[str] = mapped_column(ForeignKey("deployments.id"), index=True)
    reference_number: Mapped[str] = mapped_column(String(60))
    """The force's own number for the record. All that is kept after the purge, for subject access requests."""
    display_name: Mapped[str] = mapped_column(String(120))
    kind: Mapped[str] = mapped_column(String(20))
    category: Mapped[str] = mapped_column(String(40))
    action: Mapped[str] = mapped_column(String(40))
    reason: Mapped[str] = mapped_column(Text)
    risk_warning: Mapped[str] = mapped_column(Text, default="")
    provenance: Mapped[str] = mapped_column(String(200))
    image_taken_on: Mapped[date | None] = mapped_column(Date)
    vulnerable: Mapped[bool] = mapped_column(default=False)
    under_18: Mapped[bool] = mapped_column(default=False)
    status: Mapped[str] = mapped_column(String(20))
    refusal: Mapped[str | None] = mapped_column(String(300))
    added_by_id: Mapped[str] = mapped_column(String(36))
    added_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]

    images: Mapped[list[ReferenceImage]] = relationship(
        cascade="all, delete-orphan", order_by="ReferenceImage.added_at"
    )


class ReferenceImage(Base):
    __tablename__ = "reference_images"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    entry_id: Mapped[str] = mapped_column(ForeignKey("watchlist_entries.id"), index=True)
    upload_object_id: Mapped[str | None] = mapped_column(String(36))
    """The picture as it came, sealed, until enrolment is done with it."""
    picture_object_id: Mapped[str | None] = mapped_column(String(36))
    """What people compare with: the face and a margin, encoded anew."""
    sealed_template: Mapped[bytes | None] = mapped_column(LargeBinary)
    added_at: Mapped[datetime]
    enrolled_at: Mapped[datetime | None]
