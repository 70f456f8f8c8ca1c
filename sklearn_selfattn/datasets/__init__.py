"""Data made on the spot, for examples and tests that need no download."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

if TYPE_CHECKING:  # for editors and type checkers, which do not run __getattr__
    from .digit_scenes import make_digit_scenes as make_digit_scenes

# Public name -> the module of this package that defines it.
_HOMES = {"make_digit_scenes": "digit_scenes"}

__all__ = list(_HOMES)
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
