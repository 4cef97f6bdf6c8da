"""Chainer definitions: Python source, read from its syntax tree and never run."""

from __future__ import annotations

from .definition import read

__all__ = ["read", "sniff"]


def sniff(head: bytes) -> bool:
    """Whether the beginning of a file looks like Python that uses Chainer."""
    return b"\0" not in head and b"import" in head and b"chainer" in head
