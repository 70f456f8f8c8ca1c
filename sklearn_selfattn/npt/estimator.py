"""NPTClassifier and NPTRegressor: fit on a table, predict with the whole table in view."""

from __future__ import annotations

import math
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from sklearn.utils.validation import check_is_fitted

from ..core.base import SelfAttentionClassifierMixin, SelfAttentionRegressorMixin, guarded_fit
from ..core.typing import Table
from .base import BaseNPT

TEMPERATURE_SPREAD = 0.35  # standard deviation of the prior of log(temperature)


class NPTClassifier(SelfAttentionClassifierMixin, BaseNPT):
    r"""A classifier that looks at the rows of the training table when it predicts.

    Non-Parametric Transformer [1]_: cells of a row attend to each other, and rows attend to
    rows, so that a prediction can use similar rows and their labels. A query row sees the
    training rows (the context) but no other query, so its prediction does not depend on
    what is predicted beside it. Numbers, categories and missing cells are taken as they are.
    New labelled rows can be added without training, see `set_context`.

    Prefer gradient boosting on tables of many thousand rows, or where a fit of some ten
    seconds is too long; see the :ref:`User Guide <npt>`.

    Parameters
    ----------
    pretrained : bool or "auto", default="auto"
        Whether to predict with the weights that the package carries, which have learnt on
        synthetic tables how to use context rows: then `fit` trains nothing and takes
        about a second. "auto" does so for tables of up to 500 rows, 40 columns and ten
        classes, and trains a net on larger ones, with a warning. True does so for all: of more
        than 1,000 rows each member sees a sample, of more columns a part, more classes share
        codes. False trains a net on the table alone. No weights are ever downloaded.
    fine_tune : False, "auto" or int, default=False
        Whether to train the pretrained weights further on the table. "auto" holds a quarter of
        the rows out and keeps what was learnt only if they are predicted better for it; a
        number is a number of steps. Worth its time where the target follows a rule of many
        columns.
    architecture : {"rows", "cells", "paper"}, default="rows"
        This and the parameters up to `n_iter_no_change`, but for `n_estimators`,
        `context_size` and the two on categories, shape and train a net of the table's own, and
        mean nothing to pretrained weights. Form of the attention between datapoints. "rows": a
        row is one vector, projected to `row_dim` channels; fast. "cells": column by column,
        with the target as a column, its weights independent of the number of columns. "paper":
        full width, with the paper's residual maps and scale; see
        `sklearn_selfattn.npt.paper_preset`.
    n_estimators : int, default=4
        Members: independent networks, trained side by side in batched products, each of which
        holds another part of the rows out; of pretrained weights, views of the table (order
        and names of columns, codes of classes, numbers or ranks). Their mean probability is
        predicted (of pretrained weights, the mean of the logits).
    row_dim : int, default=64
        Width of the attention between datapoints ("rows" only); divisible by `n_heads`.
    feed_forward_dim : int, default=128
        Width of the hidden layers that work on whole rows.
    n_bins : int, default=12
        Quantile bins in which numbers are encoded; 0 embeds them linearly.
    use_cell_attention : bool, default=True
        Whether the cells of a row attend to each other.
    feature_mask_prob : float, default=0.05
        Probability that a feature cell is hidden in training, in a quarter of the rows (in all
        rows with "paper"). `impute` needs it.
    feature_loss_weight : float, default=0.1
        Share of the loss for reconstructing hidden cells at the start; it falls to zero along
        a cosine.
    context_size : int, default=2000
        The most context rows of a member (1,000 with pretrained weights). Of a larger table each
        member keeps a sample of its own, with the shares of the classes.
    optimizer : {"adamw", "lamb"}, default="adamw"
        "lamb" is the paper's, inside Lookahead.
    categorical_features : "from_dtype", None or array-like, default="from_dtype"
        Which columns hold categories: those whose type says so (category, enum, string, bool),
        none, or a mask, indices or names.
    max_categories : int, default=255
        The most categories of a column; rarer ones share a code.
    d_model : int, default=16
        Width of the vector of a cell.
    n_heads : int, default=4
        Heads of the attention between datapoints.
    n_layers : int, default=1
        Blocks; each attends between rows, then between cells.
    dropout : float, default=0.1
        Share of activations set to zero in training.
    max_epochs : int, default=40
        The most epochs. An epoch is a pass over the rows, and on small tables up to ten steps,
        each with a context drawn anew.
    batch_size : int, default=256
        Rows in a training step, context and queries together.
    learning_rate : float, default=0.003
        Step size; it rises over the first 5 % of the training and falls along a cosine over
        the second half.
    weight_decay : float, default=0.02
        Decoupled weight decay of the linear maps.
    early_stopping : bool or "auto", default="auto"
        Whether each member holds a part of the rows out, and training stops when their mean
        loss no longer falls; the best epoch is kept. "auto" does so from 100 rows (groups) on.
    validation_fraction : float, default=0.25
        Share of the rows that a member holds out, at most ``1 / n_estimators``.
    n_iter_no_change : int, default=16
        Epochs without a better loss before training stops.
    device : str, default="auto"
        "auto" takes the first that is there of CUDA, MPS and CPU; or a torch device.
    dtype : {"auto", "float32", "float64"}, default="auto"
        Precision. "auto" trains in float32 and predicts on the CPU in float64, so that a
        prediction does not depend on the rows beside it; pretrained weights do so on
        tables of up to 4,096 cells, and predict larger ones in float32, where it depends on them
        in the sixth digit.
    callbacks : list of skorch callbacks, default=None
        Called during training. They are copied first.
    verbose : int, default=0
        1 shows a progress line with the losses and the time left.
    random_state : int, RandomState instance or None, default=None
        Source of weights, folds, masks and context samples. Results are reproducible for an
        int; no global random state is touched.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    weights_ : str or None
        Hash of the pretrained weights in use; None for a net trained on the table alone.
    temperature_ : float
        By which the logits of a member of a net of the table's own are divided; chosen on the
        held-out rows.
    n_context_ : int
        Number of context rows.
    context_target_ : ndarray of shape (n_context,)
        Their labels.
    module_ : torch.nn.Module
        The trained networks.
    history_ : list of dict
        One for each epoch: "epoch", "train_loss", "valid_loss" (with early stopping), "lr",
        "dur" (seconds). Empty where nothing was trained.
    n_iter_ : int
        Number of epochs.
    encoder_ : TableEncoder
        The categories of each column.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of str of shape (n_features,)
        Their names, if `X` was a frame with names.

    See Also
    --------
    NPTRegressor : The same for numbers.
    sklearn_selfattn.npt.paper_preset : The parameters of the paper.

    Notes
    -----
    For rows :math:`H` (cells side by side, width :math:`de`), a block computes

    .. math:: H_i \leftarrow H_i + \sum_j w_{ij} V_j W_O, \qquad
       w_{ij} \propto \exp\left(-\frac{g}{2 \sqrt{r / h}} \lVert Q_i - K_j \rVert^2 \right)

    .. math:: [Q, K, V] = \mathrm{norm}(H) \, [W_Q, W_K, W_V]

    .. math:: H \leftarrow H + \mathrm{FF}(H)

    over the rows j of the context and the row itself, per head with a learnt gain g; then scaled
    dot-product attention between the cells of each row. The labels of the context are cells like
    any other. In training a random 40 to 90 % of the rows of a step are context, the others are
    asked for their label.

    Cost per training step and member: :math:`O(n (d e r + n r + d e^2 + d^2 e))` for
    :math:`n` = `batch_size` rows; a prediction costs :math:`O(c \, r)` for :math:`c` context rows,
    in memory that does not grow with the number of rows to predict. The context is stored in
    the fitted object, and in its pickle.

    References
    ----------
    .. [1] Kossen, Band, Lyle, Gomez, Rainforth, Gal, "Self-Attention Between Datapoints: Going
       Beyond Individual Input-Output Pairs in Deep Learning", NeurIPS 2021, arXiv:2106.02584.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_selfattn import NPTClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = NPTClassifier(random_state=0).fit(X[::2], y[::2])
    >>> model.score(X[1::2], y[1::2]) > 0.9
    True
    >>> model.neighbors(X[1:2], n_neighbors=3)["target"].tolist()
    [0, 0, 0]
    """

    @guarded_fit
    def fit(self, X: Table, y: ArrayLike, groups: ArrayLike | None = None) -> Self:
        """Train on a table and keep it as the context of predictions.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)
            The table; numbers, categories, missing cells.
        y : array-like of shape (n_samples,)
            The labels.
        groups : array-like of shape (n_samples,), default=None
            Rows of a group are drawn together in training and held out together: twins,
            visits of a patient, copies.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            Fewer than two rows, infinite or complex numbers, missing targets, unequal
            lengths, an invalid parameter. A model that was fitted before stays as it was.
        """
        values, labels, _ = self._check_training_data(X, y)
        codes = self._encode_classes(labels)
        self._n_target_codes = len(self.classes_)
        self.temperature_ = 1.0
        return self._fit_cells(values, codes.astype(np.float64), groups, X, y)

    def _encode_target(self, y):
        y = np.asarray(y)
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(
                f"y holds labels that were not seen in fit: {unknown[:5].tolist()}; "
                f"accepted are {self.classes_.tolist()}."
            )
        return np.searchsorted(self.classes_, y).astype(np.float64)

    def _decode_target(self, target):
        return self.classes_[target.astype(np.intp)]

    def _target_loss(self, output, target):
        return F.cross_entropy(output.flatten(0, 1), target.long().flatten())

    def _calibrate(self, output, target):
        """Choose the temperature under which held-out rows are most likely.

        A prior around 1 keeps rows that are all predicted right from asking for certainty.
        """

        def loss(log_temperature):
            likely = self._target_loss(output / math.exp(log_temperature), target).item()
            return likely * target.numel() + 0.5 * (log_temperature / TEMPERATURE_SPREAD) ** 2

        self.temperature_ = math.exp(minimize_scalar(loss, bounds=(-2, 2), method="bounded").x)

    def _members_together(self, output, memories):
        """Return the logits of the mean probability over members."""
        if self.weights_ is not None:
            return self.module_.log_share(output)
        share = torch.log_softmax(output / self.temperature_, dim=-1)  # (m, n, n_classes)
        return share.logsumexp(dim=0) - math.log(len(share))


class NPTRegressor(SelfAttentionRegressorMixin, BaseNPT):
    r"""A regressor that looks at the rows of the training table when it predicts.

    Non-Parametric Transformer [1]_: cells of a row attend to each other, and rows attend to
    rows, so that a prediction can use similar rows and their targets. A query row sees the
    training rows (the context) but no other query, so its prediction does not depend on
    what is predicted beside it. Numbers, categories and missing cells are taken as they are.
    New rows with known targets can be added without training, see `set_context`.

    Prefer gradient boosting on tables of many thousand rows, or where a fit of some ten
    seconds is too long; see the :ref:`User Guide <npt>`.

    Parameters
    ----------
    pretrained : bool or "auto", default="auto"
        Whether to predict with the weights that the package carries, which have learnt on
        synthetic tables how to use context rows: then `fit` trains nothing and takes
        about a second. "auto" does so for tables of up to 500 rows, 40 columns and ten
        classes, and trains a net on larger ones, with a warning. True does so for all: of more
        than 1,000 rows each member sees a sample, of more columns a part, more classes share
        codes. False trains a net on the table alone. No weights are ever downloaded.
    fine_tune : False, "auto" or int, default=False
        Whether to train the pretrained weights further on the table. "auto" holds a quarter of
        the rows out and keeps what was learnt only if they are predicted better for it; a
        number is a number of steps. Worth its time where the target follows a rule of many
        columns.
    architecture : {"rows", "cells", "paper"}, default="rows"
        This and the parameters up to `n_iter_no_change`, but for `n_estimators`,
        `context_size` and the two on categories, shape and train a net of the table's own, and
        mean nothing to pretrained weights. Form of the attention between datapoints. "rows": a
        row is one vector, projected to `row_dim` channels; fast. "cells": column by column,
        with the target as a column, its weights independent of the number of columns. "paper":
        full width, with the paper's residual maps and scale; see
        `sklearn_selfattn.npt.paper_preset`.
    n_estimators : int, default=4
        Members: independent networks, trained side by side in batched products, each of which
        holds another part of the rows out; of pretrained weights, views of the table (order
        and names of columns, codes of classes, numbers or ranks). Their mean prediction is
        predicted.
    row_dim : int, default=64
        Width of the attention between datapoints ("rows" only); divisible by `n_heads`.
    feed_forward_dim : int, default=128
        Width of the hidden layers that work on whole rows.
    n_bins : int, default=12
        Quantile bins in which numbers are encoded; 0 embeds them linearly.
    use_cell_attention : bool, default=True
        Whether the cells of a row attend to each other.
    feature_mask_prob : float, default=0.05
        Probability that a feature cell is hidden in training, in a quarter of the rows (in all
        rows with "paper"). `impute` needs it.
    feature_loss_weight : float, default=0.1
        Share of the loss for reconstructing hidden cells at the start; it falls to zero along
        a cosine.
    context_size : int, default=2000
        The most context rows of a member (1,000 with pretrained weights). Of a larger table each
        member keeps a sample of its own, with the shares of the target's range.
    optimizer : {"adamw", "lamb"}, default="adamw"
        "lamb" is the paper's, inside Lookahead.
    categorical_features : "from_dtype", None or array-like, default="from_dtype"
        Which columns hold categories: those whose type says so (category, enum, string, bool),
        none, or a mask, indices or names.
    max_categories : int, default=255
        The most categories of a column; rarer ones share a code.
    d_model : int, default=16
        Width of the vector of a cell.
    n_heads : int, default=4
        Heads of the attention between datapoints.
    n_layers : int, default=1
        Blocks; each attends between rows, then between cells.
    dropout : float, default=0.1
        Share of activations set to zero in training.
    max_epochs : int, default=40
        The most epochs. An epoch is a pass over the rows, and on small tables up to ten steps,
        each with a context drawn anew.
    batch_size : int, default=256
        Rows in a training step, context and queries together.
    learning_rate : float, default=0.003
        Step size; it rises over the first 5 % of the training and falls along a cosine over
        the second half.
    weight_decay : float, default=0.02
        Decoupled weight decay of the linear maps.
    early_stopping : bool or "auto", default="auto"
        Whether each member holds a part of the rows out, and training stops when their mean
        loss no longer falls; the best epoch is kept. "auto" does so from 100 rows (groups) on.
    validation_fraction : float, default=0.25
        Share of the rows that a member holds out, at most ``1 / n_estimators``.
    n_iter_no_change : int, default=16
        Epochs without a better loss before training stops.
    device : str, default="auto"
        "auto" takes the first that is there of CUDA, MPS and CPU; or a torch device.
    dtype : {"auto", "float32", "float64"}, default="auto"
        Precision. "auto" trains in float32 and predicts on the CPU in float64, so that a
        prediction does not depend on the rows beside it; pretrained weights do so on
        tables of up to 4,096 cells, and predict larger ones in float32, where it depends on them
        in the sixth digit.
    callbacks : list of skorch callbacks, default=None
        Called during training. They are copied first.
    verbose : int, default=0
        1 shows a progress line with the losses and the time left.
    random_state : int, RandomState instance or None, default=None
        Source of weights, folds, masks and context samples. Results are reproducible for an
        int; no global random state is touched.

    Attributes
    ----------
    weights_ : str or None
        Hash of the pretrained weights in use; None for a net trained on the table alone.
    target_mean_, target_scale_ : float
        By which the target is standardised.
    n_context_ : int
        Number of context rows.
    context_target_ : ndarray of shape (n_context,)
        Their targets.
    module_ : torch.nn.Module
        The trained networks.
    history_ : list of dict
        One for each epoch: "epoch", "train_loss", "valid_loss" (with early stopping), "lr",
        "dur" (seconds). Empty where nothing was trained.
    n_iter_ : int
        Number of epochs.
    encoder_ : TableEncoder
        The categories of each column.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of str of shape (n_features,)
        Their names, if `X` was a frame with names.

    See Also
    --------
    NPTClassifier : The same for labels.
    sklearn_selfattn.npt.paper_preset : The parameters of the paper.

    Notes
    -----
    For rows :math:`H` (cells side by side, width :math:`de`), a block computes

    .. math:: H_i \leftarrow H_i + \sum_j w_{ij} V_j W_O, \qquad
       w_{ij} \propto \exp\left(-\frac{g}{2 \sqrt{r / h}} \lVert Q_i - K_j \rVert^2 \right)

    .. math:: [Q, K, V] = \mathrm{norm}(H) \, [W_Q, W_K, W_V]

    .. math:: H \leftarrow H + \mathrm{FF}(H)

    over the rows j of the context and the row itself, per head with a learnt gain g; then scaled
    dot-product attention between the cells of each row. The labels of the context are cells like
    any other. In training a random 40 to 90 % of the rows of a step are context, the others are
    asked for their label.

    Cost per training step and member: :math:`O(n (d e r + n r + d e^2 + d^2 e))` for
    :math:`n` = `batch_size` rows; a prediction costs :math:`O(c \, r)` for :math:`c` context rows,
    in memory that does not grow with the number of rows to predict. The context is stored in
    the fitted object, and in its pickle.

    References
    ----------
    .. [1] Kossen, Band, Lyle, Gomez, Rainforth, Gal, "Self-Attention Between Datapoints: Going
       Beyond Individual Input-Output Pairs in Deep Learning", NeurIPS 2021, arXiv:2106.02584.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn_selfattn import NPTRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = NPTRegressor(random_state=0).fit(X[::2], y[::2])
    >>> model.score(X[1::2], y[1::2]) > 0.3
    True
    """

    @guarded_fit
    def fit(self, X: Table, y: ArrayLike, groups: ArrayLike | None = None) -> Self:
        """Train on a table and keep it as the context of predictions.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)
            The table; numbers, categories, missing cells.
        y : array-like of shape (n_samples,)
            The targets.
        groups : array-like of shape (n_samples,), default=None
            Rows of a group are drawn together in training and held out together: twins,
            visits of a patient, copies.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            Fewer than two rows, infinite or complex numbers, missing targets, unequal
            lengths, an invalid parameter. A model that was fitted before stays as it was.
        """
        values, y_given, _ = self._check_training_data(X, y)
        target = self._standardize_target(y_given)
        self._n_target_codes = 0
        return self._fit_cells(values, target, groups, X, y)

    def predict_quantiles(self, X: Table, quantiles: ArrayLike = (0.05, 0.5, 0.95)) -> np.ndarray:
        """Predict quantiles of the target, with pretrained weights.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)
            Rows to predict.
        quantiles : array-like of shape (n_quantiles,), default=(0.05, 0.5, 0.95)
            Levels strictly between 0 and 1. The first and the last of the default bound an
            interval that holds 90 % of the targets.

        Returns
        -------
        ndarray of shape (n_samples, n_quantiles)
            Quantiles, the mean over members.

        Raises
        ------
        ValueError
            A level outside (0, 1), or a net that was trained on this table alone, which
            predicts nothing but the mean.
        """
        check_is_fitted(self)
        levels = np.atleast_1d(np.asarray(quantiles, dtype=np.float64))
        if levels.ndim != 1 or not ((levels > 0) & (levels < 1)).all():
            raise ValueError(f"quantiles have to lie between 0 and 1, got {quantiles!r}.")
        if self.weights_ is None:
            raise ValueError(
                "predict_quantiles needs the pretrained weights, but this net was trained on its "
                "table alone and predicts nothing but the mean; fit with pretrained=True."
            )
        cells = self._as_cells(self._encode_table(X, reset=False))
        logits = self._query(cells, self.module_.target)
        asked = torch.as_tensor(levels, dtype=logits.dtype, device=logits.device)
        with torch.inference_mode():
            found = self.module_.quantiles(logits, self._memories, asked)
        return self._decode_target(found.cpu().double().numpy())

    def _encode_target(self, y):
        return (np.asarray(y, dtype=np.float64) - self.target_mean_) / self.target_scale_

    def _decode_target(self, target):
        return target * self.target_scale_ + self.target_mean_

    def _target_loss(self, output, target):
        return F.mse_loss(output.squeeze(-1), target)

    def _calibrate(self, output, target):
        """Nothing to calibrate: a mean has no temperature."""

    def _members_together(self, output, memories):
        if self.weights_ is not None:
            return self.module_.mean(output, memories)
        return output.squeeze(-1).mean(dim=0)
