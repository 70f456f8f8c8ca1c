"""PrimalAttentionClassifier and PrimalAttentionRegressor."""

from __future__ import annotations

import math
from collections import namedtuple
from typing import Self

import numpy as np
import torch.nn.functional as F
from numpy.typing import ArrayLike
from scipy.special import log_softmax, logsumexp
from sklearn.utils.validation import check_is_fitted

from ..core.base import (
    SelfAttentionClassifierMixin,
    SelfAttentionRegressorMixin,
    guarded_fit,
)
from ..core.typing import Table, available_if
from .base import BasePrimalAttention
from .series import is_series

LABEL_SMOOTHING = 0.1  # what the classes that are not meant share, in training

#: What `predict_uncertainty` returns: three arrays of shape (n_samples,).
Uncertainty = namedtuple("Uncertainty", ["total", "aleatoric", "epistemic"])


class PrimalAttentionClassifier(SelfAttentionClassifierMixin, BasePrimalAttention):
    r"""A classifier of series and tables whose attention is linear in the number of tokens.

    A token is a step of a series, or a cell of a table. Tokens meet through projections onto a few
    pairs of singular vectors of the attention kernel (Primal-Attention [1]_), which is
    never computed: a series of 16,000 steps costs four times what one of 4,000 does. Series may
    differ in length; as a list, or padded with NaN. Probabilities are means over a small
    ensemble.

    On short series what matters is mostly the rest of the net: compare with
    ``attention="none"``. See the :ref:`User Guide <primal>`.

    Parameters
    ----------
    attention : {"primal", "softmax", "linear", "none"}, default="primal"
        How tokens meet. "primal": the kernel SVD's primal problem, linear in their number.
        "softmax", "linear": canonical attention, quadratic, and attention with a feature map,
        linear. "none": each token by itself. The last three are twins to compare with: all else
        is equal.
    primal_layers : {"all", "last"} or int, default="all"
        Which layers are primal: all, the last, or so many last ones; those before are softmax.
        Only for ``attention="primal"``.
    rank : "auto" or int, default="auto"
        Pairs of singular vectors that a head looks for. "auto" takes the width of a head,
        ``d_model // n_heads``, at most 20. More than that width warns: the kernel of a head
        has no more singular values.
    rank_multiplier : int, default=10
        ``rank * rank_multiplier`` tokens, or all if there are fewer, make the projection weights.
    eta : float, default=0.1
        Weight of the kernel SVD's term in the loss.
    data_dependent : bool, default=True
        Whether projection weights are made of the tokens. False is an ablation in which tokens do
        not meet.
    ksvd_reduction : {"sample", "batch"}, default="sample"
        Whether the objective of the kernel SVD is squared row by row, or its mean over a batch is.
    ksvd_trace : {"parameters", "data"}, default="parameters"
        Whether its trace is that of the learnt matrices or of the projection weights.
    architecture : {"masked", "paper"}, default="masked"
        "masked": padding plays no part, whatever its length. "paper": as published; padding is
        sampled and counted, positions are learnt for each step, sums are normalised. See
        `paper_preset`.
    stem : {"conv", "linear"}, default="conv"
        Whether the token of a step sees the steps around it, or that step alone. Series only.
    pooling : {"auto", "flatten", "mean"} or int, default="auto"
        What the head reads: all tokens side by side, their mean, or the means of so many
        overlapping parts of a series and the maximum. "auto" takes 8 parts for series; for tables
        all cells side by side, or their mean where these are more than 65,536 numbers. With
        "flatten" no series may be longer than those of `fit`.
    feed_forward_dim : int, default=None
        Hidden width of the feed-forward part; None takes ``2 * d_model``.
    n_estimators : int, default=4
        Members: nets with weights of their own, trained side by side in batched products.
    augment : bool or "auto", default="auto"
        Whether each step of training sees series bent in time, cut, scaled and with noise. "auto"
        does so when classes of series are to be told apart.
    uncertainty : "svgp" or None, default=None
        "svgp" makes the last layer a sparse variational Gaussian process over pairs of singular
        vectors; predictions are means over `n_posterior_samples` draws.
    n_posterior_samples : int, default=10
        Draws of that process in prediction: always the same ones, so that a prediction depends on
        the row alone.
    kl_weight : "auto" or float, default="auto"
        Weight of the divergence from the prior. "auto" takes one over the number of rows, which
        is the variational bound of the mean loss.
    tokenizer : {"auto", "feature", "timestep"}, default="auto"
        What the columns of a table are: features with an embedding each, or ("timestep") the
        steps of a series of one channel. "auto" takes features.
    layout : {"channels_first", "channels_last"}, default="channels_first"
        Axes of a series: (channels, steps) as in aeon and sktime, or (steps, channels) as in
        tslearn.
    scale : bool, default=True
        Whether channels are standardised, over all steps of all series of `fit`. Columns of a
        table always are.
    missing : {"error", "interpolate"}, default="error"
        What to do with NaN inside a series: refuse it, or fill it along a line between
        neighbours. NaN at the end, in all channels, is padding. Missing cells of a table are a
        value of their own.
    categorical_features : "from_dtype", None or array-like, default="from_dtype"
        Which columns of a table hold categories: those whose type says so (category, enum, string,
        bool), none, or a mask, indices or names.
    max_categories : int, default=255
        The most categories of a column; rarer ones share a code.
    optimizer : {"adamw", "radam"}, default="adamw"
        The optimiser; "radam" is the published one.
    d_model : int, default=32
        Width of each token; divisible by `n_heads`.
    n_heads : int, default=2
        Number of attention heads.
    n_layers : int or "auto", default=1
        Number of attention layers. "auto" chooses it, and a width in place of `d_model`, for the
        number of training rows, see :func:`~sklearn_selfattn.recommend_depth_width`.
    dropout : float, default=0.1
        Share of the activations that are set to zero in training.
    max_epochs : int, default=30
        The most passes over the rows; few series are passed over several times in an epoch. The
        learning rate rises over the first tenth and falls along a cosine, so fewer epochs are
        another, shorter training.
    batch_size : int or "auto", default="auto"
        The most rows in one step. "auto" takes an eighth of the series, between 16 and 128, or a
        quarter of the rows of a table, between 64 and 128; fewer where they are very long.
    learning_rate : float, default=2e-3
        Largest step size.
    weight_decay : float, default=0.01
        Decoupled weight decay.
    early_stopping : bool or "auto", default="auto"
        Whether to hold rows out, to stop when the loss on them no longer falls, and to keep
        the weights of the best epoch. "auto" does so from 500 rows on.
    validation_fraction : float, default=0.1
        Share of the rows that early stopping holds out.
    n_iter_no_change : int, default=16
        Epochs without a better loss on held-out rows before training stops.
    device : str, default="auto"
        "auto" takes the first that is there of CUDA, MPS and CPU; or a torch device.
    dtype : {"auto", "float32", "float64"}, default="auto"
        Precision. "auto" trains in float32 and predicts in float64 on the CPU, so that a
        prediction does not depend on the rows beside it.
    callbacks : list of skorch callbacks, default=None
        Called during training. They are copied first.
    verbose : int, default=0
        1 shows a progress line with the losses and the time left.
    random_state : int, RandomState instance or None, default=None
        Source of weights, batches, augmentation, posterior draws and held-out rows. Results are
        reproducible for an int; no global random state is touched.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    n_layers_, d_model_ : int
        Depth and width of the module.
    module_ : torch.nn.Module
        The trained nets.
    rank_ : int
        The rank that was used.
    pooling_ : int or str
        The pooling that was used.
    n_timesteps_in_ : int
        Steps of the longest series of `fit`, or columns of the table.
    history_ : list of dict
        One for each epoch: "epoch", "train_loss", "valid_loss" (with early stopping), "lr",
        "dur" (seconds).
    n_iter_ : int
        Number of epochs.
    n_features_in_ : int
        Number of columns of a table, or of channels of series.
    feature_names_in_ : ndarray of str of shape (n_features,)
        Names of the columns, if `X` was a frame with names.
    encoder_ : TableEncoder
        The categories of each column; tables only.

    See Also
    --------
    PrimalAttentionRegressor : The same for numbers.
    AsymmetricKSVD : The kernel SVD itself, without training.
    attention_spectrum : Singular values of the attention of a fitted net.
    sklearn_selfattn.primal.paper_preset : The parameters of the publication.

    Notes
    -----
    Head by head, with unit rows :math:`\phi(Q), \phi(K)` and sampled tokens :math:`f(X)`,

    .. math:: e = \phi(Q) \, f(X)^\top W_e, \qquad r = \phi(K) \, f(X)^\top W_r,
       \qquad O = [e, r] C + b,

    and the loss gets :math:`\eta J^2`, where :math:`J` is zero at every solution of the kernel
    SVD of :math:`\phi(Q) \phi(K)^\top`; not only there, so that it draws the projections
    towards singular vectors and does not solve for them. A query is a function of one token,
    and tokens meet only in a learnt, position-weighted sum: the layer knows positions, and is
    not made to look for content.

    Cost: time and memory of a step are linear in series and steps. Row weights are not offered:
    mini-batches would not treat a weight of 2 as two rows.

    References
    ----------
    .. [1] Chen, Tao, Tonin, Suykens, "Primal-Attention: Self-attention through Asymmetric Kernel
       SVD in Primal Representation", NeurIPS 2023, arXiv:2305.19798.
    .. [2] Chen, Tao, Tonin, Suykens, "Self-Attention through Kernel-Eigen Pair Sparse
       Variational Gaussian Processes", ICML 2024, arXiv:2402.01476.

    Examples
    --------
    Series of different lengths, told apart by their rhythm:

    >>> import numpy as np
    >>> from sklearn_selfattn import PrimalAttentionClassifier
    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(40) % 2
    >>> X = [
    ...     np.sin((1 + label) * np.arange(20 + i % 7) + rng.uniform(0, 6))[None]
    ...     for i, label in enumerate(y)
    ... ]  # arrays (n_channels, n_steps)
    >>> model = PrimalAttentionClassifier(max_epochs=5, random_state=0).fit(X, y)
    >>> model.predict_proba(X).shape, model.score(X, y) > 0.9
    ((40, 2), True)
    """

    _has_noise_scale = False

    @guarded_fit
    def fit(self, X: Table, y: ArrayLike) -> Self:
        """Train on series or a table.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_channels, n_steps), list of 2-D arrays, or table
            Series, of any lengths as a list or padded with NaN; or a table.
        y : array-like of shape (n_samples,)
            The labels. A single class is accepted, and predicted.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            Infinite, complex or missing numbers, empty series, channels that differ, missing or
            continuous targets, unequal lengths, an invalid parameter. A model that was fitted
            before stays as it was.
        TypeError
            Sparse input, or something that is no number.

        Warns
        -----
        UserWarning
            `rank` is more than the width of a head.
        """
        values, labels = self._check_rows(X, y)
        codes = self._encode_classes(labels)
        split_seed, *seeds = self._seeds()
        rows = self._split_validation(len(values), split_seed, stratify=codes)
        self._augments = self.augment is True or (self.augment == "auto" and not self._is_table)
        smoothing = 0.0 if self.architecture == "paper" else LABEL_SMOOTHING

        def criterion(output, y):  # (n, m, k), (n,) -> (n, m)
            y = y.unsqueeze(1).expand(output.shape[:2])
            return F.cross_entropy(
                output.transpose(1, 2), y, reduction="none", label_smoothing=smoothing
            )

        n_outputs = len(self.classes_)
        return self._fit_rows(values, codes, n_outputs, criterion, rows, seeds, X, y)

    def _log_shares(self, X):
        """Return the log-probabilities of each member and draw, ``(n, m, draws, k)``."""
        return log_softmax(self._outputs(X), axis=-1)

    def _raw_predict(self, X):
        shares = self._log_shares(X)
        return logsumexp(shares, axis=(1, 2)) - math.log(shares.shape[1] * shares.shape[2])

    def _members_together(self, outputs):
        """Return what `_raw_predict` does but for a constant, from outputs (n, m, draws, k)."""
        return outputs.log_softmax(dim=-1).logsumexp(dim=(1, 2))

    def _encode_table(self, X, *, reset):
        # one class: decision_function asks how many rows there are, whatever their kind
        if not reset and not self._is_table and is_series(X):
            return self._read(X)
        return super()._encode_table(X, reset=reset)

    def predict_uncertainty(self, X: Table) -> Uncertainty:
        """Split the uncertainty of predictions by where it comes from.

        The total is the entropy of the predicted probabilities. What members and posterior draws
        agree on is aleatoric: the mean of their own entropies. The rest is epistemic, the
        mutual information: they disagree, so that more data could help.

        Parameters
        ----------
        X : array-like
            Rows of a table, or series.

        Returns
        -------
        Uncertainty
            A named tuple of arrays of shape (n_samples,), in nats: `total`, `aleatoric`,
            `epistemic`.
        """
        check_is_fitted(self)
        if len(self.classes_) == 1:
            zeros = np.zeros(len(self.predict_proba(X)))
            return Uncertainty(zeros, zeros, zeros)
        shares = self._log_shares(X)
        mixture = logsumexp(shares, axis=(1, 2)) - math.log(shares.shape[1] * shares.shape[2])
        total = -(np.exp(mixture) * mixture).sum(axis=1)
        aleatoric = -(np.exp(shares) * shares).sum(axis=-1).mean(axis=(1, 2))
        return Uncertainty(total, aleatoric, np.maximum(total - aleatoric, 0.0))


def _is_bayesian(estimator):
    return estimator.uncertainty == "svgp"


class PrimalAttentionRegressor(SelfAttentionRegressorMixin, BasePrimalAttention):
    r"""A regressor of series and tables whose attention is linear in the number of tokens.

    `PrimalAttentionClassifier` for numbers: see there for the method, its equations and its
    limits.

    Parameters
    ----------
    attention : {"primal", "softmax", "linear", "none"}, default="primal"
        How tokens meet. "primal": the kernel SVD's primal problem, linear in their number.
        "softmax", "linear": canonical attention, quadratic, and attention with a feature map,
        linear. "none": each token by itself. The last three are twins to compare with: all else
        is equal.
    primal_layers : {"all", "last"} or int, default="all"
        Which layers are primal: all, the last, or so many last ones; those before are softmax.
        Only for ``attention="primal"``.
    rank : "auto" or int, default="auto"
        Pairs of singular vectors that a head looks for. "auto" takes the width of a head,
        ``d_model // n_heads``, at most 20. More than that width warns: the kernel of a head
        has no more singular values.
    rank_multiplier : int, default=10
        ``rank * rank_multiplier`` tokens, or all if there are fewer, make the projection weights.
    eta : float, default=0.1
        Weight of the kernel SVD's term in the loss.
    data_dependent : bool, default=True
        Whether projection weights are made of the tokens. False is an ablation in which tokens do
        not meet.
    ksvd_reduction : {"sample", "batch"}, default="sample"
        Whether the objective of the kernel SVD is squared row by row, or its mean over a batch is.
    ksvd_trace : {"parameters", "data"}, default="parameters"
        Whether its trace is that of the learnt matrices or of the projection weights.
    architecture : {"masked", "paper"}, default="masked"
        "masked": padding plays no part, whatever its length. "paper": as published; padding is
        sampled and counted, positions are learnt for each step, sums are normalised. See
        `paper_preset`.
    stem : {"conv", "linear"}, default="conv"
        Whether the token of a step sees the steps around it, or that step alone. Series only.
    pooling : {"auto", "flatten", "mean"} or int, default="auto"
        What the head reads: all tokens side by side, their mean, or the means of so many
        overlapping parts of a series and the maximum. "auto" takes 8 parts for series; for tables
        all cells side by side, or their mean where these are more than 65,536 numbers. With
        "flatten" no series may be longer than those of `fit`.
    feed_forward_dim : int, default=None
        Hidden width of the feed-forward part; None takes ``2 * d_model``.
    n_estimators : int, default=4
        Members: nets with weights of their own, trained side by side in batched products.
    augment : bool or "auto", default="auto"
        Whether each step of training sees series bent in time, cut, scaled and with noise. "auto"
        does so when classes of series are to be told apart.
    uncertainty : "svgp" or None, default=None
        "svgp" makes the last layer a sparse variational Gaussian process over pairs of singular
        vectors; predictions are means over `n_posterior_samples` draws.
    n_posterior_samples : int, default=10
        Draws of that process in prediction: always the same ones, so that a prediction depends on
        the row alone.
    kl_weight : "auto" or float, default="auto"
        Weight of the divergence from the prior. "auto" takes one over the number of rows, which
        is the variational bound of the mean loss.
    tokenizer : {"auto", "feature", "timestep"}, default="auto"
        What the columns of a table are: features with an embedding each, or ("timestep") the
        steps of a series of one channel. "auto" takes features.
    layout : {"channels_first", "channels_last"}, default="channels_first"
        Axes of a series: (channels, steps) as in aeon and sktime, or (steps, channels) as in
        tslearn.
    scale : bool, default=True
        Whether channels are standardised, over all steps of all series of `fit`. Columns of a
        table always are.
    missing : {"error", "interpolate"}, default="error"
        What to do with NaN inside a series: refuse it, or fill it along a line between
        neighbours. NaN at the end, in all channels, is padding. Missing cells of a table are a
        value of their own.
    categorical_features : "from_dtype", None or array-like, default="from_dtype"
        Which columns of a table hold categories: those whose type says so (category, enum, string,
        bool), none, or a mask, indices or names.
    max_categories : int, default=255
        The most categories of a column; rarer ones share a code.
    optimizer : {"adamw", "radam"}, default="adamw"
        The optimiser; "radam" is the published one.
    d_model : int, default=32
        Width of each token; divisible by `n_heads`.
    n_heads : int, default=2
        Number of attention heads.
    n_layers : int or "auto", default=1
        Number of attention layers. "auto" chooses it, and a width in place of `d_model`, for the
        number of training rows, see :func:`~sklearn_selfattn.recommend_depth_width`.
    dropout : float, default=0.1
        Share of the activations that are set to zero in training.
    max_epochs : int, default=30
        The most passes over the rows; few series are passed over several times in an epoch. The
        learning rate rises over the first tenth and falls along a cosine, so fewer epochs are
        another, shorter training.
    batch_size : int or "auto", default="auto"
        The most rows in one step. "auto" takes an eighth of the series, between 16 and 128, or a
        quarter of the rows of a table, between 64 and 128; fewer where they are very long.
    learning_rate : float, default=2e-3
        Largest step size.
    weight_decay : float, default=0.01
        Decoupled weight decay.
    early_stopping : bool or "auto", default="auto"
        Whether to hold rows out, to stop when the loss on them no longer falls, and to keep
        the weights of the best epoch. "auto" does so from 500 rows on.
    validation_fraction : float, default=0.1
        Share of the rows that early stopping holds out.
    n_iter_no_change : int, default=16
        Epochs without a better loss on held-out rows before training stops.
    device : str, default="auto"
        "auto" takes the first that is there of CUDA, MPS and CPU; or a torch device.
    dtype : {"auto", "float32", "float64"}, default="auto"
        Precision. "auto" trains in float32 and predicts in float64 on the CPU, so that a
        prediction does not depend on the rows beside it.
    callbacks : list of skorch callbacks, default=None
        Called during training. They are copied first.
    verbose : int, default=0
        1 shows a progress line with the losses and the time left.
    random_state : int, RandomState instance or None, default=None
        Source of weights, batches, augmentation, posterior draws and held-out rows. Results are
        reproducible for an int; no global random state is touched.

    Attributes
    ----------
    target_mean_, target_scale_ : float
        Mean and standard deviation of the target, by which it is standardised in training.
    n_layers_, d_model_ : int
        Depth and width of the module.
    module_ : torch.nn.Module
        The trained nets.
    rank_ : int
        The rank that was used.
    pooling_ : int or str
        The pooling that was used.
    n_timesteps_in_ : int
        Steps of the longest series of `fit`, or columns of the table.
    history_ : list of dict
        One for each epoch: "epoch", "train_loss", "valid_loss" (with early stopping), "lr",
        "dur" (seconds).
    n_iter_ : int
        Number of epochs.
    n_features_in_ : int
        Number of columns of a table, or of channels of series.
    feature_names_in_ : ndarray of str of shape (n_features,)
        Names of the columns, if `X` was a frame with names.
    encoder_ : TableEncoder
        The categories of each column; tables only.

    See Also
    --------
    PrimalAttentionClassifier : The same for classes, with the method explained.

    References
    ----------
    .. [1] Chen, Tao, Tonin, Suykens, "Primal-Attention: Self-attention through Asymmetric Kernel
       SVD in Primal Representation", NeurIPS 2023, arXiv:2305.19798.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn_selfattn import PrimalAttentionRegressor
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> model = PrimalAttentionRegressor(max_epochs=10, random_state=0).fit(X[:300], y[:300])
    >>> model.score(X[300:], y[300:]) > 0.3
    True
    """

    @property
    def _has_noise_scale(self):
        return self.uncertainty == "svgp"

    @guarded_fit
    def fit(self, X: Table, y: ArrayLike) -> Self:
        """Train on series or a table.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_channels, n_steps), list of 2-D arrays, or table
            Series, of any lengths as a list or padded with NaN; or a table.
        y : array-like of shape (n_samples,)
            The target.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            Infinite, complex or missing numbers, empty series, channels that differ, missing
            targets, unequal lengths, an invalid parameter. A model that was fitted before stays
            as it was.
        TypeError
            Sparse input, or something that is no number.

        Warns
        -----
        UserWarning
            `rank` is more than the width of a head.
        """
        values, given = self._check_rows(X, y)
        split_seed, *seeds = self._seeds()
        rows = self._split_validation(len(values), split_seed)
        target = self._standardize_target(given, rows=rows[0])
        self._augments = self.augment is True

        def criterion(output, y):  # (n, m, 1 or 2), (n,) -> (n, m)
            error = (output[..., 0] - y.unsqueeze(1)).square()
            if output.shape[-1] == 1:
                return error
            log_scale = output[..., 1]
            return 0.5 * error * (-2 * log_scale).exp() + log_scale

        return self._fit_rows(values, target, 1, criterion, rows, seeds, X, y)

    def _raw_predict(self, X):
        return self._outputs(X)[..., 0].mean(axis=(1, 2))

    def _members_together(self, outputs):
        """Return what `_raw_predict` does from outputs (n, m, draws, 1 or 2), in torch."""
        return outputs[..., 0].mean(dim=(1, 2))

    @available_if(_is_bayesian)
    def predict_uncertainty(self, X: Table) -> Uncertainty:
        """Split the uncertainty of predictions by where it comes from; "svgp" only.

        The target is taken as Gaussian around each member's and draw's prediction, with one
        learnt deviation for each member.

        Parameters
        ----------
        X : array-like
            Rows of a table, or series.

        Returns
        -------
        Uncertainty
            A named tuple of standard deviations, arrays of shape (n_samples,) in units of the
            target: `total`, `aleatoric` (noise), `epistemic` (members and draws disagree).
        """
        check_is_fitted(self)
        outputs = self._outputs(X)  # (n, m, draws, 2)
        noise = np.exp(2 * outputs[..., 1]).mean(axis=(1, 2))
        spread = outputs[..., 0].var(axis=(1, 2))
        parts = (noise + spread, noise, spread)
        return Uncertainty(*(self.target_scale_ * np.sqrt(part) for part in parts))
