"""A cheap look at how much of a target can be learnt: ridge and nearest neighbours."""

import torch

from .prior_draw import standardise

MAX_PROBED_ROWS = 256  # on either side; more would cost more than they tell
LEAST_EXPLAINED = 0.03  # share of the variance below which a target counts as noise


def explained(value, target):
    """Return the share of the target's variance that a simple model explains on unseen rows.

    Parameters
    ----------
    value : Tensor of shape (n_tables, n_rows, n_columns)
        Standardised columns.
    target : Tensor of shape (n_tables, n_rows, n_outputs)
        Numbers, or one column per class.

    Returns
    -------
    Tensor of shape (n_tables,)
        The better of ridge regression and a soft nearest neighbour, fitted on one half of
        the rows and scored on the other; 0 is the mean of the target.
    """
    half = min(value.shape[1] // 2, MAX_PROBED_ROWS)
    seen, unseen = value[:, :half], value[:, half : 2 * half]  # (b, half, d)
    centre = target[:, :half].mean(1, keepdim=True)
    known, asked = target[:, :half] - centre, target[:, half : 2 * half] - centre

    gram = seen.mT @ seen  # (b, d, d)
    penalty = 1 + 0.05 * half
    gram = gram + penalty * torch.eye(gram.shape[-1], device=value.device)
    weight = torch.linalg.solve_ex(gram, seen.mT @ known)[0]
    linear = unseen @ weight  # (b, half, n_outputs)

    # A soft nearest neighbour: the nearest row sets the scale on which the others fade.
    distance = torch.cdist(unseen, seen).square()  # (b, half, half)
    scale = distance.amin(2, keepdim=True).clamp(min=1e-3)
    local = (-2 * distance / scale).softmax(-1) @ known

    total = asked.square().sum((1, 2)).clamp(min=1e-6)
    missed = torch.stack([(asked - guess).square().sum((1, 2)) for guess in (linear, local)])
    return 1 - missed.amin(0) / total


def learnable(value, target):
    """Return whether a simple model beats the mean of the target, per table."""
    return explained(standardise(value), target) > LEAST_EXPLAINED
