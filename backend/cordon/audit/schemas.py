"""What the auditor reads."""

from __future__ import annotations

from marshmallow import Schema, fields


class AuditRecordSchema(Schema):
    number = fields.Integer(required=True)
    at = fields.String(required=True)
    actor = fields.String(required=True)
    action = fields.String(required=True)
    object = fields.String(required=True)
    detail = fields.Dict(required=True)
    hash = fields.String(required=True)


class ChainSchema(Schema):
    scope = fields.String(required=True)
    intact = fields.Boolean(required=True)
    broken_at = fields.Integer(required=True, allow_none=True)
    reason = fields.String(required=True, allow_none=True)
    records = fields.List(fields.Nested(AuditRecordSchema), required=True)
