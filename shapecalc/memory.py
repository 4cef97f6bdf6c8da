"""Whether numbers that are to be made fit the memory of this machine: said before they are made, not by the kernel."""

from __future__ import annotations

import os
import sys
from functools import cache

from .errors import RefusedError


@cache
def installed() -> int:
    """Bytes of main memory, or of address space where less is allowed; a number beyond all where nobody says."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows
        return sys.maxsize
    import resource

    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    return total if allowed == resource.RLIM_INFINITY else min(total, allowed)


def check(needed: int, what: str) -> None:
    """Raises RefusedError (E404) where ``needed`` bytes for ``what`` are more than there are."""
    if needed > installed():
        raise RefusedError(
            f"{what} need {_in_gigabytes(needed)}",
            "E404",
            because=f"this machine has {_in_gigabytes(installed())}",
            hint="shapes need no numbers: trace, sizes, match and why --no-run make none",
        )


def _in_gigabytes(count: int) -> str:
    return f"{count / 1e9:,.0f} GB" if count >= 10**10 else f"{count / 1e9:.1f} GB"
