"""The photos of an index on disk."""

from __future__ import annotations


class PhotoIndex:
    """Photos, encoded once."""
