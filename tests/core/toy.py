"""Three small estimators built on the base: the proof that it carries what it promises."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from sklearn_selfattn.core.base import (
    BaseSelfAttention,
    SelfAttentionClassifierMixin,
    SelfAttentionRegressorMixin,
    SelfAttentionTransformerMixin,
    guarded_fit,
    weighted_mean_and_scale,
)


class TableTransformer(nn.Module):
    """Cells of a row attend to each other; their mean is the row's vector, then the output.

    Shape: input ``(n, d)`` with NaN where missing, output ``(n, n_outputs)``.
    """

    def __init__(self, n_features, n_categories, d_model, n_heads, n_layers, dropout, n_outputs):
        super().__init__()
        self.n_heads, self.dropout = n_heads, dropout
        self.slope = nn.Parameter(torch.randn(n_features, d_model))
        self.shift = nn.Parameter(torch.randn(n_features, d_model))
        self.missing = nn.Parameter(torch.randn(n_features, d_model))
        n_codes = int(n_categories.sum())
        self.codes = nn.Parameter(torch.randn(n_codes, d_model)) if n_codes else None
        offsets = np.concatenate([[0], np.cumsum(n_categories)[:-1]])
        self.register_buffer("offsets", torch.as_tensor(offsets), persistent=False)
        self.register_buffer("is_categorical", torch.as_tensor(n_categories > 0), persistent=False)
        self.attend = nn.ModuleList(nn.Linear(d_model, 3 * d_model) for _ in range(n_layers))
        self.mix = nn.ModuleList(nn.Linear(d_model, d_model) for _ in range(n_layers))
        self.head = nn.Linear(d_model, n_outputs)
        self.no_weight_decay = {"shift", "missing"}

    def embed(self, X):
        missing = X.isnan()  # (n, d)
        known = X.masked_fill(missing, 0.0)
        tokens = known[..., None] * self.slope + self.shift  # (n, d, e)
        if self.codes is not None:
            index = torch.where(self.is_categorical, known.long(), 0) + self.offsets
            codes = self.codes[index.clamp(max=len(self.codes) - 1)]
            tokens = torch.where(self.is_categorical[:, None], codes, tokens)
        tokens = torch.where(missing[..., None], self.missing, tokens)
        for attend, mix in zip(self.attend, self.mix, strict=True):
            Q, K, V = (
                part.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)  # (n, h, d, e / h)
                for part in attend(F.layer_norm(tokens, tokens.shape[-1:])).chunk(3, dim=-1)
            )
            seen = F.scaled_dot_product_attention(Q, K, V).transpose(1, 2).flatten(2)  # (n, d, e)
            tokens = tokens + F.dropout(F.gelu(mix(tokens + seen)), self.dropout, self.training)
        return tokens.mean(dim=1)  # (n, e)

    def forward(self, X):
        return self.head(self.embed(X))


class ToyBase(BaseSelfAttention):
    def __init__(
        self,
        *,
        d_model=16,
        n_heads=2,
        n_layers=1,
        dropout=0.0,
        max_epochs=60,
        batch_size=1024,
        learning_rate=1e-2,
        weight_decay=1e-5,
        early_stopping="auto",
        validation_fraction=0.1,
        n_iter_no_change=20,
        device="auto",
        dtype="auto",
        callbacks=None,
        verbose=0,
        random_state=None,
    ):
        super().__init__(
            d_model=d_model,
            n_heads=n_heads,
            n_layers=n_layers,
            dropout=dropout,
            max_epochs=max_epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            device=device,
            dtype=dtype,
            callbacks=callbacks,
            verbose=verbose,
            random_state=random_state,
        )

    def _make_module(self):
        return TableTransformer(
            self.n_features_in_,
            self.encoder_.n_categories_,
            self.d_model_,
            self.n_heads,
            self.n_layers_,
            self.dropout,
            self._n_outputs,
        )

    def _scale(self, values):
        return np.where(self.encoder_.is_categorical_, values, (values - self._mean) / self._std)

    def _fit_scaled(self, values, target, sample_weight, criterion, rows, seeds, X, y):
        weight = sample_weight[rows[0]]
        self._mean, self._std = weighted_mean_and_scale(values[rows[0]], weight)
        self._train_rows(
            self._scale(values), target, sample_weight, criterion, rows=rows, seeds=seeds, X=X, y=y
        )
        return self

    def _raw_predict(self, X):
        return self._forward_rows(self._scale(self._encode_table(X, reset=False)))


class TableTransformerClassifier(SelfAttentionClassifierMixin, ToyBase):
    @guarded_fit
    def fit(self, X, y, sample_weight=None):
        values, labels, sample_weight = self._check_training_data(X, y, sample_weight)
        codes = self._encode_classes(labels)
        split_seed, *seeds = self._draw_seeds()
        rows = self._split_validation(len(values), split_seed, stratify=codes)
        if len(self.classes_) > 2:
            self._n_outputs, target = len(self.classes_), codes
        else:
            self._n_outputs, target = 1, codes.astype(float)
        criterion = _cross_entropy if self._n_outputs > 1 else _binary_cross_entropy
        return self._fit_scaled(values, target, sample_weight, criterion, rows, seeds, X, y)


class TableTransformerRegressor(SelfAttentionRegressorMixin, ToyBase):
    @guarded_fit
    def fit(self, X, y, sample_weight=None):
        values, y_given, sample_weight = self._check_training_data(X, y, sample_weight)
        split_seed, *seeds = self._draw_seeds()
        rows = self._split_validation(len(values), split_seed)
        target = self._standardize_target(y_given, sample_weight, rows[0])
        self._n_outputs = 1
        return self._fit_scaled(values, target, sample_weight, _squared_error, rows, seeds, X, y)


class TableTransformerTransformer(SelfAttentionTransformerMixin, ToyBase):
    """Vectors of a net that reconstructs the scaled cells of its row."""

    @guarded_fit
    def fit(self, X, y=None):
        values = self._encode_table(X, reset=True)
        split_seed, *seeds = self._draw_seeds()
        rows = self._split_validation(len(values), split_seed)
        self._mean, self._std = weighted_mean_and_scale(values[rows[0]])
        self._n_outputs, self._n_features_out = self.n_features_in_, self.d_model
        target = np.nan_to_num((values - self._mean) / self._std)
        ones = np.ones(len(values))
        return self._fit_scaled(values, target, ones, _row_squared_error, rows, seeds, X, y)

    def _raw_transform(self, X):
        values = self._scale(self._encode_table(X, reset=False))
        return self._forward_rows(values, self.module_.embed)


def _cross_entropy(output, target):
    return F.cross_entropy(output, target, reduction="none")


def _binary_cross_entropy(output, target):
    return F.binary_cross_entropy_with_logits(output[:, 0], target, reduction="none")


def _squared_error(output, target):
    return (output[:, 0] - target) ** 2


def _row_squared_error(output, target):
    return ((output - target) ** 2).mean(dim=1)
