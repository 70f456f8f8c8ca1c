"""Cells of an encoded table become token vectors (torch only)."""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CellTokenizer(nn.Module):
    r"""Turn each cell of an encoded table into a vector.

    A number :math:`x` becomes :math:`W_j [x, b_1(x), ..., b_B(x)] + \beta_j` with the
    piecewise-linear encoding :math:`b_t(x) = \mathrm{clip}((x - e_t) / (e_{t+1} - e_t), 0, 1)`
    over quantile edges :math:`e` [1]_; a category becomes its own vector plus
    :math:`\beta_j`; a missing or hidden cell becomes a vector of its column.

    Shape: input ``(m, n, d)``, or ``(1, n, d)`` for rows that all members share; output
    ``(m, n, d, e)``.

    Parameters
    ----------
    n_members : int
        Number of ensemble members, m.
    n_categories : sequence of int of length d
        Number of category codes of each column, 0 where it is numeric.
    d_model : int
        Width of a token, e.
    n_bins : int
        The most bins of a numeric column, B; 0 embeds a number by one linear map.

    References
    ----------
    .. [1] Gorishniy, Rubachev, Babenko, "On Embeddings for Numerical Features in Tabular Deep
       Learning", NeurIPS 2022, arXiv:2203.05556.

    Examples
    --------
    >>> import torch
    >>> from sklearn_selfattn.core.tokens import CellTokenizer
    >>> tokenizer = CellTokenizer(2, [0, 3], d_model=4, n_bins=8)
    >>> cells = torch.tensor([[0.5, 2.0], [float("nan"), 0.0]])
    >>> tokenizer.fit_bins(cells.numpy())
    >>> tokenizer(cells.unsqueeze(0)).shape
    torch.Size([2, 2, 2, 4])
    """

    low: Tensor
    width: Tensor
    offsets: Tensor
    order: Tensor

    def __init__(
        self, n_members: int, n_categories: Sequence[int], d_model: int, n_bins: int
    ) -> None:
        super().__init__()
        sizes = np.asarray(n_categories, dtype=np.int64)
        self.numeric = np.flatnonzero(sizes == 0).tolist()
        self.categorical = np.flatnonzero(sizes > 0).tolist()
        offsets = np.cumsum(sizes[self.categorical]) - sizes[self.categorical]
        self.n_members, self.n_codes = n_members, int(sizes.sum())
        order = np.argsort([*self.numeric, *self.categorical])
        self.register_buffer("offsets", torch.as_tensor(offsets), persistent=False)
        self.register_buffer("order", torch.as_tensor(order), persistent=False)
        n_numeric, n_columns = len(self.numeric), len(sizes)
        self.register_buffer("low", torch.full((n_numeric, n_bins), math.inf))
        self.register_buffer("width", torch.ones(n_numeric, n_bins))
        scale = 1 / math.sqrt(n_bins + 1)
        self.slope = nn.Parameter(scale * torch.randn(n_members, n_numeric, n_bins + 1, d_model))
        self.code = nn.Parameter(0.7 * torch.randn(n_members, self.n_codes, d_model))
        self.shift = nn.Parameter(0.3 * torch.randn(n_members, 1, n_columns, d_model))
        self.absent = nn.Parameter(0.7 * torch.randn(n_members, 1, n_columns, d_model))
        self.no_weight_decay = {"slope", "code", "shift", "absent"}

    def fit_bins(self, cells: np.ndarray) -> None:
        """Set the bin edges to the quantiles of each numeric column.

        Parameters
        ----------
        cells : ndarray of shape (n_samples, d)
            The rows to take quantiles of; NaN where missing.
        """
        n_bins = self.low.shape[1]
        if not n_bins:
            return
        for i, column in enumerate(self.numeric):
            values = cells[:, column]
            values = values[~np.isnan(values)]
            if not len(values):
                continue
            edges = np.unique(np.quantile(values, np.linspace(0, 1, n_bins + 1)))
            if len(edges) < 2:  # constant: the linear term says all there is
                continue
            self.low[i, : len(edges) - 1] = torch.as_tensor(edges[:-1])
            self.width[i, : len(edges) - 1] = torch.as_tensor(np.diff(edges))

    def forward(self, cells: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Return the tokens of cells (m or 1, n, d); `hidden` of the same shape hides some."""
        absent = cells.isnan() if hidden is None else cells.isnan() | hidden
        known = cells.masked_fill(absent, 0.0)
        parts = []
        if self.numeric:
            parts.append(self._embed_numbers(known[..., self.numeric]))
        if self.categorical:
            codes = known[..., self.categorical].long() + self.offsets  # (m or 1, n, d_cat)
            start = self.n_codes * torch.arange(self.n_members, device=codes.device)
            parts.append(F.embedding(codes + start[:, None, None], self.code.flatten(0, 1)))
        tokens = torch.cat(parts, dim=2).index_select(2, self.order) + self.shift
        return torch.where(absent.unsqueeze(-1), self.absent, tokens)

    def _embed_numbers(self, x: Tensor) -> Tensor:
        """``(m or 1, n, d_num) -> (m, n, d_num, e)``."""
        x = x.unsqueeze(-1)  # (m or 1, n, d_num, 1)
        basis = torch.cat([x, ((x - self.low) / self.width).clamp(0, 1)], dim=-1)
        basis = basis.transpose(1, 2)  # (m or 1, d_num, n, B + 1)
        if basis.shape[0] == 1:  # one product for all members
            n_members, n_numeric, n_basis, e = self.slope.shape
            wide = self.slope.permute(1, 2, 0, 3).reshape(n_numeric, n_basis, n_members * e)
            out = torch.bmm(basis[0], wide)  # (d_num, n, m * e)
            return out.view(n_numeric, -1, n_members, e).permute(2, 1, 0, 3)
        return (basis @ self.slope).transpose(1, 2)
