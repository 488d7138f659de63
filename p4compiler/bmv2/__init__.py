"""Lowers the middle layer to BMv2 JSON (behavioral-model, docs/JSON_format.md), shaped as simple_switch expects it."""
