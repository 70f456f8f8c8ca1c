"""Data made on the spot, for examples and tests that need no download."""

from ..core.lazy import lazy_names

# Public name -> the module of this package that defines it.
_HOMES = {"make_digit_scenes": "digit_scenes"}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
