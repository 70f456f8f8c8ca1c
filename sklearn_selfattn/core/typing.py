"""Types that several rooms name in their signatures, and decorators that keep the types.

scikit-learn and skorch ship no types. What is theirs is told here once, so that a user's type
checker sees what a method takes and returns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from numpy.typing import ArrayLike
from sklearn.base import _fit_context
from sklearn.utils._param_validation import validate_params as sklearn_validate_params
from sklearn.utils.metaestimators import available_if as sklearn_available_if

if TYPE_CHECKING:  # matplotlib is optional
    from matplotlib.axes import Axes as Axes
    from matplotlib.figure import Figure as Figure
else:
    Axes = Figure = Any

Function = TypeVar("Function", bound=Callable[..., Any])


class Frame(Protocol):
    """Rows with a shape that can be picked: a frame of any library, `EventSequences`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of rows and columns."""

    def __len__(self) -> int: ...

    def __getitem__(self, key: Any, /) -> Any: ...


#: A table. Lists may mix numbers, texts and None, which numpy's array-likes do not.
Table: TypeAlias = ArrayLike | Sequence[Any] | Frame


def checked_fit(fit: Function) -> Function:
    """Decorate `fit`: check the parameters first."""
    decorated: Function = _fit_context(prefer_skip_nested_validation=True)(fit)
    return decorated


def available_if(check: Callable[[Any], bool]) -> Callable[[Function], Function]:
    """Decorate a method that is there only where `check`, given the estimator, says so."""
    decorator: Callable[[Function], Function] = sklearn_available_if(check)
    return decorator


def validate_params(
    constraints: dict[str, Any], *, prefer_skip_nested_validation: bool
) -> Callable[[Function], Function]:
    """Decorate a function: check its parameters first."""
    decorator: Callable[[Function], Function] = sklearn_validate_params(
        constraints, prefer_skip_nested_validation=prefer_skip_nested_validation
    )
    return decorator
