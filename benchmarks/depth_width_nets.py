"""Two small attention estimators with depth and width, for measuring what these are good for.

A plain pre-norm transformer, with symbols as tokens (pointer chasing) or the cells of a table.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from sklearn_selfattn.core.attention import attend, merge_heads, normalize, split_heads
from sklearn_selfattn.core.base import (
    BaseSelfAttention,
    SelfAttentionClassifierMixin,
    SelfAttentionRegressorMixin,
    guarded_fit,
    weighted_mean_and_scale,
)
from sklearn_selfattn.core.tokens import CellTokenizer
from sklearn_selfattn.core.training import TensorBatches, weighted_row_loss


class Layer(nn.Module):
    """Attention, then feed-forward of four times the width: ``12 d^2`` weights."""

    def __init__(self, d_model, n_heads):
        super().__init__()
        self.n_heads = n_heads
        self.project = nn.Linear(d_model, 3 * d_model, bias=False)
        self.mix = nn.Linear(d_model, d_model, bias=False)
        self.expand = nn.Linear(d_model, 4 * d_model)
        self.contract = nn.Linear(4 * d_model, d_model)

    def forward(self, H):  # (n, t, d)
        Q, K, V = (split_heads(p, self.n_heads) for p in self.project(normalize(H)).chunk(3, -1))
        H = H + self.mix(merge_heads(attend(Q, K, V, 1 / math.sqrt(Q.shape[-1]))[0]))
        return H + self.contract(F.gelu(self.expand(normalize(H))))


class Transformer(nn.Module):
    """Tokens, layers, and the last token read out."""

    def __init__(self, tokens, d_model, n_heads, n_layers, n_outputs):
        super().__init__()
        self.tokens = tokens
        self.layers = nn.ModuleList(Layer(d_model, n_heads) for _ in range(n_layers))
        self.output = nn.Linear(d_model, n_outputs)
        self.no_weight_decay = {f"tokens.{name}" for name, _ in tokens.named_parameters()}

    def forward(self, X):
        H = self.tokens(X)  # (n, t, d)
        for layer in self.layers:
            H = layer(H)
        return self.output(normalize(H[:, -1]))


class SymbolTokens(nn.Module):
    """``f(0), ..., f(m - 1), s`` become the tokens source i + target f(i), and query s."""

    def __init__(self, n_symbols, d_model):
        super().__init__()
        self.source, self.target, self.query = (
            nn.Parameter(torch.randn(n_symbols, d_model)) for _ in range(3)
        )

    def forward(self, X):
        X = X.long()
        pointers = self.source + self.target[X[:, :-1]]  # (n, m, d)
        return torch.cat([pointers, self.query[X[:, -1:]]], dim=1)


class CellTokens(nn.Module):
    """The cells of a row, and a token to be read out."""

    def __init__(self, n_categories, d_model, n_bins):
        super().__init__()
        self.cells = CellTokenizer(1, n_categories, d_model, n_bins)
        self.read = nn.Parameter(torch.randn(d_model))

    def forward(self, X):
        tokens = self.cells(X[None])[0]  # (n, d, e)
        return torch.cat([tokens, self.read.expand(len(X), 1, -1)], dim=1)


def one_cycle(progress):
    """Rise over a tenth of the training, then fall along a cosine."""
    return min(progress / 0.1 + 0.01, 0.5 * (1 + math.cos(math.pi * progress)) + 1e-3)


class BaseTransformer(BaseSelfAttention):
    """What the estimators below share; symbols are not numbers and have no bins."""

    def __init__(
        self, *, n_bins=8, d_model=64, n_heads=2, n_layers=3, max_epochs=60, batch_size=256,
        learning_rate=2e-3, weight_decay=1e-2, early_stopping=False, validation_fraction=0.2,
        n_iter_no_change=15, device="cpu", dtype="float32", callbacks=None, verbose=0,
        random_state=None,
    ):  # fmt: skip
        super().__init__(
            d_model=d_model, n_heads=n_heads, n_layers=n_layers, max_epochs=max_epochs,
            batch_size=batch_size, learning_rate=learning_rate, weight_decay=weight_decay,
            early_stopping=early_stopping, validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change, device=device, dtype=dtype, callbacks=callbacks,
            verbose=verbose, random_state=random_state,
        )  # fmt: skip
        self.n_bins = n_bins

    def _make_module(self):
        return Transformer(
            self._make_tokens(), self.d_model, self.n_heads, self.n_layers, self._n_outputs
        )

    def _fit_rows(self, values, target, criterion, stratify, X, y):
        split_seed, module_seed, batch_seed = self._draw_seeds()
        train, valid = self._split_validation(len(values), split_seed, stratify=stratify)
        inputs = torch.as_tensor(values, dtype=torch.float32)
        target = torch.as_tensor(target)
        target = target.float() if target.is_floating_point() else target
        weight = torch.ones(len(values))
        loss = weighted_row_loss(criterion)
        parts = [tensor[train] for tensor in (inputs, target, weight)]
        held = [tensor[valid] for tensor in (inputs, target, weight)]
        module = self._build_module(module_seed, torch.float32)
        self._prepare(module, values[train])
        self._train(
            module,
            batches=TensorBatches(*parts, batch_size=self.batch_size),
            loss=loss,
            validate=(lambda module: loss(module, held)) if len(valid) else None,
            seed=batch_seed, X=X, y=y, schedule=one_cycle, clip_norm=1.0,
        )  # fmt: skip
        return self

    def _prepare(self, module, values):
        """Set what is not trained."""


class ChaseClassifier(SelfAttentionClassifierMixin, BaseTransformer):
    """Symbols in, a symbol out."""

    def _make_tokens(self):
        return SymbolTokens(self.n_features_in_ - 1, self.d_model)

    @guarded_fit
    def fit(self, X, y):
        """Train."""
        values, labels, _ = self._check_training_data(X, y)
        codes = self._encode_classes(labels)
        self._n_outputs = len(self.classes_)
        return self._fit_rows(values, codes, _cross_entropy, None, X, y)

    def _raw_predict(self, X):
        return self._forward_rows(self._encode_table(X, reset=False))


class BaseCells(BaseTransformer):
    """Cells of a table as tokens; numbers in bins."""

    def _make_tokens(self):
        return CellTokens(self.encoder_.n_categories_, self.d_model, self.n_bins)

    def _prepare(self, module, values):
        module.tokens.cells.fit_bins(values)

    def _scale(self, values):
        scaled = (values - self._mean) / self._std
        return np.where(self.encoder_.is_categorical_, values, np.clip(scaled, -8, 8))

    def _fit_cells(self, values, target, criterion, stratify, X, y):
        self._mean, self._std = weighted_mean_and_scale(values)
        return self._fit_rows(self._scale(values), target, criterion, stratify, X, y)

    def _raw_predict(self, X):
        return self._forward_rows(self._scale(self._encode_table(X, reset=False)))


class CellsClassifier(SelfAttentionClassifierMixin, BaseCells):
    """Labels."""

    @guarded_fit
    def fit(self, X, y):
        """Train."""
        values, labels, _ = self._check_training_data(X, y)
        codes = self._encode_classes(labels)
        self._n_outputs = max(len(self.classes_), 2)
        return self._fit_cells(values, codes, _cross_entropy, codes, X, y)


class CellsRegressor(SelfAttentionRegressorMixin, BaseCells):
    """Numbers."""

    @guarded_fit
    def fit(self, X, y):
        """Train."""
        values, given, _ = self._check_training_data(X, y)
        target = self._standardize_target(given)
        self._n_outputs = 1
        return self._fit_cells(values, target, _squared_error, None, X, y)


def _cross_entropy(output, target):
    return F.cross_entropy(output, target, reduction="none")


def _squared_error(output, target):
    return (output[:, 0] - target) ** 2


def pointer_chasing(n_rows, n_symbols, n_hops, seed):
    """Draw permutations f and starts s; the label is f(f(s)) for two hops, f(s) for one."""
    rng = np.random.default_rng(seed)
    pointers = rng.permuted(np.tile(np.arange(n_symbols), (n_rows, 1)), axis=1)
    start = rng.integers(n_symbols, size=n_rows)
    label = start
    for _ in range(n_hops):
        label = pointers[np.arange(n_rows), label]
    return np.column_stack([pointers, start]).astype(float), label
