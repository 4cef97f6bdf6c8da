"""ONNX: a reader of protobuf's wire format (`wire`), the graph (`read`), and edits as span surgery (`patch`)."""

from __future__ import annotations

from .read import read, sniff

__all__ = ["read", "sniff"]
