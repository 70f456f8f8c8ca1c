"""Rows that go through a net some at a time, so that memory does not grow with their number."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["in_parts"]


def in_parts(forward: Callable[[slice], Tensor], n_rows: int, size: int, *, dim: int = 0) -> Tensor:
    """Call a function on parts of the rows, and join what it returns.

    Where the device has too little memory for a part, it is tried again with half as many rows,
    with a warning.

    Parameters
    ----------
    forward : callable
        ``forward(rows)`` takes a slice of the rows and returns a tensor with an axis of rows.
    n_rows : int
        Number of rows. With none, `forward` is called once, with an empty slice.
    size : int
        The most rows in a part.
    dim : int, default=0
        The axis of rows in what `forward` returns.

    Returns
    -------
    Tensor
        Outputs of all rows, in order.

    Raises
    ------
    torch.cuda.OutOfMemoryError
        There is too little memory for a single row.

    Examples
    --------
    >>> import torch
    >>> from sklearn_selfattn.core.parts import in_parts
    >>> X = torch.arange(5.0)
    >>> in_parts(lambda rows: 2 * X[rows], n_rows=5, size=2)
    tensor([0., 2., 4., 6., 8.])
    """
    outputs: list[Tensor] = []
    begin = 0
    while begin < n_rows or not outputs:
        try:
            outputs.append(forward(slice(begin, min(begin + size, n_rows))))
            begin += size
            continue
        except torch.cuda.OutOfMemoryError:
            n_tried = min(size, n_rows - begin)
            if n_tried < 2:
                raise
        # here, because an exception keeps alive what it was raised over
        size = n_tried // 2
        warnings.warn(
            f"The device has too little memory for {n_tried} rows at once: predictions go on with "
            f"{size} rows at a time.",
            stacklevel=2,
        )
    return torch.cat(outputs, dim=dim)
