"""What error messages share."""

from __future__ import annotations


def listed(names: tuple[str, ...]) -> str:
    """Names for a message: "'a', 'b' or 'c'"."""
    *others, last = map(repr, names)
    return f"{', '.join(others)} or {last}"
