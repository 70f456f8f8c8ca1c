"""OTTabularClassifier: classes are transported onto Gaussians, a net generalises the map."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import check_is_fitted

from ..core.base import (
    BaseSelfAttention,
    SelfAttentionClassifierMixin,
    SelfAttentionTransformerMixin,
    guarded_fit,
)
from ..core.training import RepeatedBatches, TensorBatches, one_cycle
from ..core.typing import Table
from .coupling import transport_targets
from .features import TableFeatures
from .geometry import make_geometry
from .module import TransportNet
from .novelty import ClassGaussians
from .objective import Objective, best_temperature

HOLD_OUT_ROWS = 100  # early_stopping="auto" holds rows out from here on
PERIODIC_ROWS = 1000  # numeric_embedding="auto": on from so many rows ...
PERIODIC_COLUMNS = 63  # ... and up to so many columns
STEPS_PER_EPOCH = 4  # at least: small tables are passed over several times

_NOT_SHARED = ("d_model", "n_heads", "n_layers")


class OTTabularClassifier(
    SelfAttentionClassifierMixin, SelfAttentionTransformerMixin, BaseSelfAttention
):
    r"""A classifier that sends each class onto a Gaussian of its own, by optimal transport.

    A small net maps rows into a latent space of known shape: some coordinates tell the classes
    apart (a regular simplex, one vertex for each class), the others hold the *style* of a row, the
    point that optimal transport gives it in a standard Gaussian. Classes are read off the
    first; the second is an auxiliary task that keeps neighbours of a class neighbours, which helps
    where classes have several parts in few columns. The latent space can be looked at
    (`transform`, `OTMapDisplay`), and rows unlike any class are noticed (`score_samples`).

    Do not expect the transport to help on every table; see the :ref:`User Guide <transport>`.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int, default=(128, 128)
        Widths of the net's hidden layers.
    n_estimators : int, default=4
        Members: independent nets, trained side by side in batched products, each of which
        holds other rows out. Their mean probability is predicted.
    geometry : {"orthogonal", "simplex", "circle"}, default="orthogonal"
        Where the Gaussians stand. "orthogonal": on a regular simplex in coordinates of
        their own, with the style in others. "simplex", "circle" (published): means and style share
        coordinates. On a circle more than three classes are not equally far apart.
    radius : float, default=4.0
        Distance of the class means from the origin.
    latent_dim : int, default=16
        The most principal components of the table that are transported.
    pairing : {"exact", "sinkhorn", "gaussian", "random", "none"}, default="exact"
        How a row gets its point. "exact": optimal matching with draws of the Gaussian.
        "sinkhorn": the mean point under an entropic plan. "gaussian": the closed form for
        Gaussian classes. "random": any draw, a control. "none": the mean.
    n_draws : int, default=4
        Draws whose matchings are averaged.
    block_size : int, default=256
        The most rows that are matched at once.
    objective : {"hybrid", "regression"}, default="hybrid"
        "hybrid": cross-entropy and the two terms below. "regression" (published): squared distance
        to class mean plus style, nothing else.
    ce_weight : float, default=1.0
        Weight of the cross-entropy.
    transport_weight : float, default=1.0
        Weight of the squared distance to the row's style.
    anchor_weight : float, default=0.0
        Weight of the squared distance to the row's class mean, over the squared radius. With 1,
        and a small `ce_weight` such as 0.05, rows of unknown classes land far from all
        means, and `score_samples` uses that.
    decode : {"gaussian", "thesis"}, default="gaussian"
        "gaussian": classes by squared distance to their means, with a learnt scale and a
        calibrated temperature. "thesis": by :math:`\exp(-\text{distance})`.
    numeric_embedding : bool or "auto", default="auto"
        Whether numbers are given as learnt waves too. "auto" does so from 1,000 rows on, for
        fewer than 64 columns.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes in the loss.
    categorical_features : "from_dtype", None or array-like, default="from_dtype"
        Which columns hold categories: those whose type says so (category, enum, string, bool),
        none, or a mask, indices or names.
    max_categories : int, default=255
        The most categories of a column; rarer ones share a code.
    dropout : float, default=0.1
        Share of the hidden units that are set to zero in training; none where all rows fit into
        one batch, so that row weights stay exact there.
    max_epochs : int, default=60
        The most passes over the rows; on small tables an epoch is several passes. The learning
        rate rises over the first tenth and falls along a cosine, so fewer epochs are another,
        shorter training.
    batch_size : int, default=128
        The most rows in one step.
    learning_rate : float, default=4e-3
        Largest step size.
    weight_decay : float, default=1e-3
        Decoupled weight decay.
    early_stopping : bool or "auto", default="auto"
        Whether each member holds rows out, which choose the best epoch and the temperature.
        "auto" does so from 100 rows on.
    validation_fraction : float, default=0.15
        Share of the rows that a member holds out, at most ``1 / n_estimators``.
    n_iter_no_change : int, default=16
        Epochs without a better loss on held-out rows before training stops.
    device : str, default="auto"
        "auto" takes the first that is there of CUDA, MPS and CPU; or a torch device.
    dtype : {"auto", "float32", "float64"}, default="auto"
        Precision. "auto" trains in float64 on the CPU when all rows fit into one batch, else
        in float32, and predicts in float64 on the CPU.
    callbacks : list of skorch callbacks, default=None
        Called during training, `OTTrainingMonitor` for instance. They are copied first.
    verbose : int, default=0
        1 shows a progress line with the losses and the time left.
    random_state : int, RandomState instance or None, default=None
        Source of dummies, weights, batches and held-out rows. Results are reproducible for an
        int; no global random state is touched.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    dummy_means_ : ndarray of shape (n_classes, n_latent)
        Means of the dummy Gaussians.
    dummy_covariances_ : ndarray of shape (n_classes, n_latent, n_latent)
        Their covariances.
    transport_cost_ : ndarray of shape (n_classes,)
        Mean squared way of a class's rows to their dummies, both centred, in units of the
        variance of the table's first principal component.
    temperature_ : float
        By which the logits of a member are divided; chosen on the held-out rows.
    module_ : torch.nn.Module
        The trained nets.
    history_ : list of dict
        One for each epoch: "epoch", "train_loss", "valid_loss" (with early stopping), "lr",
        "dur" (seconds), and what callbacks recorded.
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
    OTMapDisplay : A picture of the map.
    sklearn_selfattn.transport.thesis_preset : The parameters of the publication.

    Notes
    -----
    With vertices :math:`\mu_c` and the style :math:`t_i = e_{\sigma(i)}` of row i from

    .. math:: \sigma = \arg\min_\sigma \sum_{i \in c} \lVert z_i - e_{\sigma(i)} \rVert^2, \qquad
       e_j \sim N(0, I),

    class by class on principal components :math:`z_i`, the net :math:`f = [u, v]` minimises

    .. math:: \sum_i -\log p(y_i | x_i) + \frac{w_t}{q} \lVert v(x_i) - t_i \rVert^2
       + \frac{w_a}{R^2} \lVert u(x_i) - \mu_{y_i} \rVert^2,

    .. math:: p(c | x) \propto \exp \left( - \tfrac{1}{2} e^t \lVert u(x) - \mu_c \rVert^2 \right).

    The plan does not depend on where the Gaussians stand. Random instead of optimal pairs give
    the net noise to learn: ``pairing="random"`` is the control to compare with.

    A row of integer weight counts as so many copies, exactly so on tables of one batch.

    Cost: matching, :math:`O(n B^2)` for blocks of B rows and each draw (3 s for 50,000 rows and a
    draw); training, :math:`O(n)` for each epoch. The training rows are not kept.

    References
    ----------
    .. [1] Quadrio, Candelieri, arXiv:2512.09530.
    .. [2] Yang, Chen, Li, Xie, Lin, Tao, "Inducing Neural Collapse in Imbalanced Learning",
       NeurIPS 2022, arXiv:2203.09081.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_selfattn import OTTabularClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = OTTabularClassifier(random_state=0).fit(X[::2], y[::2])
    >>> model.score(X[1::2], y[1::2]) > 0.9
    True
    >>> model.transform(X).shape  # 2 coordinates for the classes, 4 for the style
    (150, 6)
    """

    _parameter_constraints = {
        **{
            name: constraint
            for name, constraint in BaseSelfAttention._parameter_constraints.items()
            if name not in _NOT_SHARED
        },
        "hidden_layer_sizes": ["array-like"],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "geometry": [StrOptions({"orthogonal", "simplex", "circle"})],
        "radius": [Interval(Real, 0, None, closed="neither")],
        "latent_dim": [Interval(Integral, 1, None, closed="left")],
        "pairing": [StrOptions({"exact", "sinkhorn", "gaussian", "random", "none"})],
        "n_draws": [Interval(Integral, 1, None, closed="left")],
        "block_size": [Interval(Integral, 2, None, closed="left")],
        "objective": [StrOptions({"hybrid", "regression"})],
        "ce_weight": [Interval(Real, 0, None, closed="left")],
        "transport_weight": [Interval(Real, 0, None, closed="left")],
        "anchor_weight": [Interval(Real, 0, None, closed="left")],
        "decode": [StrOptions({"gaussian", "thesis"})],
        "numeric_embedding": ["boolean", StrOptions({"auto"})],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "categorical_features": [StrOptions({"from_dtype"}), "array-like", None],
        "max_categories": [Interval(Integral, 2, None, closed="left")],
    }

    def __init__(
        self,
        *,
        hidden_layer_sizes: Sequence[int] = (128, 128),
        n_estimators: int = 4,
        geometry: Literal["orthogonal", "simplex", "circle"] = "orthogonal",
        radius: float = 4.0,
        latent_dim: int = 16,
        pairing: Literal["exact", "sinkhorn", "gaussian", "random", "none"] = "exact",
        n_draws: int = 4,
        block_size: int = 256,
        objective: Literal["hybrid", "regression"] = "hybrid",
        ce_weight: float = 1.0,
        transport_weight: float = 1.0,
        anchor_weight: float = 0.0,
        decode: Literal["gaussian", "thesis"] = "gaussian",
        numeric_embedding: bool | Literal["auto"] = "auto",
        class_weight: dict[Any, float] | Literal["balanced"] | None = None,
        categorical_features: Literal["from_dtype"] | ArrayLike | None = "from_dtype",
        max_categories: int = 255,
        dropout: float = 0.1,
        max_epochs: int = 60,
        batch_size: int = 128,
        learning_rate: float = 4e-3,
        weight_decay: float = 1e-3,
        early_stopping: bool | Literal["auto"] = "auto",
        validation_fraction: float = 0.15,
        n_iter_no_change: int = 16,
        device: str = "auto",
        dtype: Literal["auto", "float32", "float64"] = "auto",
        callbacks: list[Any] | tuple[Any, ...] | None = None,
        verbose: int = 0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.n_estimators = n_estimators
        self.geometry = geometry
        self.radius = radius
        self.latent_dim = latent_dim
        self.pairing = pairing
        self.n_draws = n_draws
        self.block_size = block_size
        self.objective = objective
        self.ce_weight = ce_weight
        self.transport_weight = transport_weight
        self.anchor_weight = anchor_weight
        self.decode = decode
        self.numeric_embedding = numeric_embedding
        self.class_weight = class_weight
        self.categorical_features = categorical_features
        self.max_categories = max_categories
        self.dropout = dropout
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.device = device
        self.dtype = dtype
        self.callbacks = callbacks
        self.verbose = verbose
        self.random_state = random_state

    def _validate_params(self):
        super()._validate_params()
        if any(width < 1 for width in self.hidden_layer_sizes):
            raise ValueError(
                "hidden_layer_sizes has to hold widths of at least 1, got "
                f"{self.hidden_layer_sizes!r}."
            )

    def _make_module(self):
        return TransportNet(
            self.n_estimators,
            self._features.n_columns,
            self._n_periodic,
            tuple(self.hidden_layer_sizes),
            torch.tensor(self.dummy_means_),  # a copy: a memory map may not be written to
            self._geometry.n_class_dims,
            self._dropout,
        )

    @guarded_fit
    def fit(self, X: Table, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Transport the classes of a table and train the net.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)
            The table; numbers, categories, missing cells.
        y : array-like of shape (n_samples,)
            The labels. The only row of a class has the mean as its style; a table of one
            class is accepted, and that class predicted.
        sample_weight : array-like of shape (n_samples,), default=None
            Row weights.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            Infinite or complex numbers, missing targets, unequal lengths, an invalid
            parameter. A model that was fitted before stays as it was.

        Warns
        -----
        UserWarning
            More than three classes on a circle.
        """
        values, labels, sample_weight = self._check_training_data(X, y, sample_weight)
        codes = self._encode_classes(labels)
        seeds = check_random_state(self.random_state).randint(2**31 - 1, size=4)
        rng = np.random.RandomState(seeds[0])

        self._features = TableFeatures(
            values, self.encoder_.n_categories_, sample_weight, self.latent_dim
        )
        inputs = self._features(values)  # (n, d)
        target = self._transport(inputs, codes, sample_weight, rng)  # (n, l)
        # Noise for each row would tell a row of weight 2 from two rows.
        self._dropout = self.dropout if len(inputs) > self.batch_size else 0.0
        self._n_periodic = self._features.n_numeric if self._is_periodic(inputs) else 0
        weight = sample_weight
        if self.class_weight is not None:
            weight = weight * compute_sample_weight(self.class_weight, labels)
        fold = self._deal_folds(codes, np.random.RandomState(seeds[1]))
        self._fit_net(inputs, target, codes, weight, fold, seeds[2:].tolist(), X, y)
        points = self._class_points(inputs) if self.anchor_weight else inputs
        self._usual = ClassGaussians(points, codes, sample_weight)
        return self

    # --- the transport ------------------------------------------------------------------

    def _transport(self, inputs, codes, sample_weight, rng):
        """Choose where the dummies stand and return the point that each row is to reach."""
        # Copies of a row get the same point to the last bit, which a product of all rows need not
        # give them.
        unique, copy_of = np.unique(inputs, axis=0, return_inverse=True)
        Z = self._features.transport_points(unique)[copy_of.reshape(-1)]  # (n, q)
        self._geometry = make_geometry(
            self.geometry, len(self.classes_), Z.shape[1], float(self.radius)
        )
        self.dummy_means_ = self._geometry.means
        self.dummy_covariances_ = self._geometry.covariances
        self._n_features_out = self._geometry.n_latent
        style = self._geometry.first_style_dim
        target = self.dummy_means_[codes]  # (n, l)
        moved, self.transport_cost_ = transport_targets(
            Z,
            codes,
            sample_weight,
            n_dims=self._geometry.n_latent - style,
            pairing=self.pairing,
            n_draws=self.n_draws,
            block_size=self.block_size,
            rng=rng,
        )
        target[:, style:] += moved
        return target

    def _is_periodic(self, inputs):
        if self.numeric_embedding != "auto":
            return self.numeric_embedding
        return len(inputs) >= PERIODIC_ROWS and inputs.shape[1] <= PERIODIC_COLUMNS

    def _deal_folds(self, codes, rng):
        """Return which member holds each row out, -1 for none; each class in its share."""
        fold = np.full(len(codes), -1)
        wanted = self.early_stopping
        if wanted == "auto":
            wanted = len(codes) >= HOLD_OUT_ROWS
        if not wanted:
            return fold
        fraction = min(self.validation_fraction, 1 / self.n_estimators)
        if self.n_estimators == 1:
            fraction = min(fraction, 0.5)
        for c in range(len(self.classes_)):
            rows = rng.permutation(np.flatnonzero(codes == c))
            if len(rows) > 1:  # the only row of a class is trained on
                member = np.floor(np.arange(len(rows)) / (fraction * len(rows))).astype(int)
                fold[rows] = np.where(member < self.n_estimators, member, -1)
        return fold

    # --- the net ------------------------------------------------------------------------

    def _fit_net(self, inputs, target, codes, weight, fold, seeds, X, y):
        device = self._resolve_device()
        dtype = self._resolve_dtype(len(inputs))
        # a mean weight of one, for sums that do not overflow
        arrays = (inputs, target, weight / weight.mean())
        tensors = [torch.as_tensor(array, device=device, dtype=dtype) for array in arrays]
        tensors += [torch.as_tensor(array, device=device) for array in (codes, fold)]
        held_out = [tensor[tensors[-1] >= 0] for tensor in tensors]

        objective = Objective(
            self.objective,
            self._geometry.first_style_dim,
            self.ce_weight,
            self.transport_weight,
            self.anchor_weight / self.radius**2,
        )
        self.temperature_ = 1.0
        has_held_out = len(held_out[0]) > 0
        self._train(
            self._build_module(seeds[0], dtype),
            batches=RepeatedBatches(
                TensorBatches(*tensors, batch_size=self.batch_size), STEPS_PER_EPOCH
            ),
            loss=objective,
            validate=(lambda net: objective.held_out_loss(net, held_out)) if has_held_out else None,
            schedule=one_cycle,
            seed=seeds[1],
            X=X,
            y=y,
        )
        if has_held_out and self.decode == "gaussian":
            parameter = next(self.module_.parameters())
            held_out[0] = held_out[0].to(parameter.dtype)
            with torch.inference_mode():
                self.temperature_ = best_temperature(self.module_, held_out)

    # --- what a fitted map says -----------------------------------------------------------

    def _rows(self, X):
        return self._features(self._encode_table(X, reset=False))

    def _raw_predict(self, X):
        return self._forward_rows(self._rows(X), self._log_share)

    def _log_share(self, features):
        return self.module_.log_share(features, self.temperature_, self.decode)

    def _export_inputs(self, X):
        return {"features": (self._as_numbers(self._rows(X)), 1)}

    def _export_forward(self):
        return self._log_share

    def _raw_transform(self, X):
        return self._forward_rows(self._rows(X), self.module_.landing)

    def _start_points(self, X):
        """Return rows as points of the latent space, where the transport found them."""
        return self._geometry.embed(self._features.transport_points(self._rows(X)))

    def score_samples(self, X: Table) -> np.ndarray:
        """Return how usual rows are: the lower, the less like any class of the training table.

        With `anchor_weight` above 0, the logarithm of a density of landing points: Gaussians
        around the class means, as wide as the training rows land. Otherwise that of Gaussians
        around the classes in the table itself, with one covariance. Compare scores of one model
        only.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)
            The rows to score.

        Returns
        -------
        ndarray of shape (n_samples,)
            Logarithms of densities.
        """
        check_is_fitted(self)
        inputs = self._rows(X)
        if self.anchor_weight:
            inputs = self._class_points(inputs)
        return self._usual.log_density(inputs)

    def _class_points(self, inputs):
        """Return where rows land in the coordinates that tell classes apart."""
        return self._forward_rows(inputs, self.module_.landing)[:, : self._geometry.n_class_dims]
