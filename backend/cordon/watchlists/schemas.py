"""What goes in and out at the watchlist's edge."""

from __future__ import annotations

from flask_smorest.fields import Upload
from marshmallow import Schema, fields, validate


class NewEntrySchema(Schema):
    reference_number = fields.String(required=True, validate=validate.Length(1, 60))
    display_name = fields.String(required=True, validate=validate.Length(1, 120))
    category = fields.String(required=True)
    action = fields.String(required=True)
    reason = fields.String(required=True, validate=validate.Length(1, 2_000))
    provenance = fields.String(required=True, validate=validate.Length(1, 200))
    kind = fields.String(load_default="subject")
    risk_warning = fields.String(load_default="", validate=validate.Length(max=500))
    image_taken_on = fields.Date(load_default=None, allow_none=True)
    vulnerable = fields.Boolean(load_default=False)
    under_18 = fields.Boolean(load_default=False)


class UploadedPicturesSchema(Schema):
    image = fields.List(Upload(), required=True, validate=validate.Length(1, 5))


class EntrySchema(Schema):
    id = fields.String(required=True)
    reference_number = fields.String(required=True)
    display_name = fields.String(required=True)
    category = fields.String(required=True)
    action = fields.String(required=True)
    reason = fields.String(required=True)
    risk_warning = fields.String(required=True)
    kind = fields.String(required=True)
    status = fields.String(required=True)
    refusal = fields.String(required=True, allow_none=True)
    image_taken_on = fields.String(required=True, allow_none=True)
    picture_url = fields.String(required=True, allow_none=True)


class WatchlistSchema(Schema):
    revision = fields.Integer(required=True)
    entries = fields.List(fields.Nested(EntrySchema), required=True)


class RemovalSchema(Schema):
    reason = fields.String(required=True, validate=validate.Length(1, 500))
