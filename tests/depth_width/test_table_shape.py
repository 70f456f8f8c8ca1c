"""The rank of what a table's tokens span, and shapes recommended from it."""

import numpy as np
import pandas as pd
import pytest
import torch

from sklearn_selfattn.core.tokens import CellTokenizer
from sklearn_selfattn.depth_width import (
    recommend_depth_width,
    recommend_for_table,
    table_embedding_rank,
)


@pytest.mark.parametrize("n_numeric", [1, 4, 9])
@pytest.mark.parametrize("n_bins", [0, 5])
def test_rank_of_untrained_tokens(n_numeric, n_bins):
    """Tokens of numbers, and the one of the hidden target that is read out: 2 m + 1 and no more."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(300, n_numeric))
    rank = table_embedding_rank(X, n_bins=n_bins)
    assert rank == (6 if n_bins else 2) * n_numeric + 1
    d_model = rank + 10
    tokenizer = CellTokenizer(1, [0] * (n_numeric + 1), d_model, n_bins).double()
    cells = np.column_stack([X, np.full(300, np.nan)])
    tokenizer.fit_bins(cells)
    with torch.inference_mode():
        tokens = tokenizer(torch.as_tensor(cells)[None])
    assert np.linalg.matrix_rank(tokens.reshape(-1, d_model).numpy()) == rank
    # so little of the width is used, however wide the tokens are


def test_categories_and_missing_cells_count():
    table = pd.DataFrame(
        {"x": [1.0, 2.0, None], "colour": ["red", "blue", "red"], "kind": ["a", None, "b"]}
    )
    assert table_embedding_rank(table) == 2 + 2 + 2 + 2 + 1
    assert table_embedding_rank(np.zeros((3, 2)), categorical_features=[0]) == 2 + 1 + 1


def test_recommendation_follows_rows_and_columns():
    X = np.random.RandomState(0).normal(size=(2500, 4))
    plain = recommend_for_table(X, n_heads=2)
    assert plain == recommend_depth_width(150_000, n_heads=2)
    aware = recommend_for_table(X, n_heads=2, use_embedding_rank=True)
    assert aware == recommend_depth_width(150_000, n_heads=2, embedding_rank=9)
    assert aware.depth > plain.depth
    assert recommend_for_table(X[:10]) == recommend_depth_width(15_000)
    assert recommend_for_table(X, n_params=1e5) == recommend_depth_width(1e5)
    assert recommend_for_table(pd.DataFrame(X).astype(object).astype(float)) == (
        recommend_for_table(X)
    )


def test_bad_input():
    with pytest.raises(ValueError, match="n_params"):
        recommend_for_table(np.zeros((5, 2)), n_params=-1)
    with pytest.raises(ValueError, match="n_params"):
        recommend_for_table(np.zeros((5, 2)), n_params="some")
    with pytest.raises(ValueError, match="2D array"):
        table_embedding_rank(np.zeros(3))
