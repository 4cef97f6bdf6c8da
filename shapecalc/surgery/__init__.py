"""Changing a net: edits as values, repairs that make a size fit, heads, and the plan that puts them together."""

from __future__ import annotations
