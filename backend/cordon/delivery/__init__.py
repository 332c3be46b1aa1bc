"""Numbered events, outbox, Socket.IO and receipts."""
