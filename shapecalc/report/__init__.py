"""What people see: tables and sentences. The only room that knows rich."""

from __future__ import annotations
