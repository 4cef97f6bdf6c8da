"""Proof by running: onnxruntime makes every tensor, and its shapes and numbers are compared with what was predicted."""

from __future__ import annotations
