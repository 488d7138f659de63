"""Lowers the middle layer to BMv2 JSON (behavioral-model, docs/JSON_format.md)."""
