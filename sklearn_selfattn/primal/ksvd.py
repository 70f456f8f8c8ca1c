"""AsymmetricKSVD: the singular vectors of an asymmetric kernel, without training."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
from scipy.linalg import svd
from scipy.spatial.distance import cdist
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from ..core.typing import Table, checked_fit
from .factors import flip_signs

BLOCK_CELLS = 2**22  # of a kernel matrix that are held at once in `transform`


class AsymmetricKSVD(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    r"""Features of rows from the singular vectors of an asymmetric kernel.

    Kernel PCA wants a symmetric kernel: how alike two rows are. Here :math:`\kappa(x, z)`, how much
    x looks at z, may differ from :math:`\kappa(z, x)`, as in attention. Its singular value
    decomposition gives two sets of features: how a row looks (left), and how it is looked at
    (right). Nothing is trained; this is what the layers of `PrimalAttentionClassifier` learn to
    approximate.

    Parameters
    ----------
    n_components : int, default=10
        Pairs of singular vectors.
    kernel : {"sne", "softmax", "rbf", "linear", "precomputed"} or callable, default="sne"
        "sne": :math:`\exp(-\gamma \lVert x - z \rVert^2)` over its mean over the training rows z,
        which dense regions make asymmetric. "softmax": :math:`\exp(\gamma \langle x, z \rangle)`
        over the same mean, as in attention. "rbf", "linear": symmetric ones, for comparison.
        "precomputed": X is the kernel, with the training rows as columns. A callable gets two
        arrays of rows and returns the matrix.
    gamma : float or None, default=None
        Factor in the kernel; None takes one over the number of columns times the variance of X.
    output : {"both", "left", "right"}, default="both"
        Which features `transform` returns. A precomputed kernel knows new rows from the left only.
    n_landmarks : int or None, default=1000
        The most training rows that are kept, drawn at random (asymmetric Nystroem method). None
        keeps all.
    random_state : int, RandomState instance or None, default=None
        Draws the landmarks.

    Attributes
    ----------
    singular_values_ : ndarray of shape (n_pairs,)
        Singular values of the kernel matrix of all training rows; estimates, where there are
        fewer landmarks.
    left_vectors_, right_vectors_ : ndarray of shape (n_kept, n_pairs)
        Singular vectors of the landmarks' kernel matrix.
    landmarks_ : ndarray of shape (n_kept, n_features)
        The training rows that are kept; None for a precomputed kernel.
    n_components_ : int
        Number of pairs: `n_components`, or the number of landmarks if that is less.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of str of shape (n_features,)
        Names of the columns, if `X` was a frame with names.

    See Also
    --------
    PrimalAttentionClassifier : Attention that learns such projections.
    sklearn.decomposition.KernelPCA : For symmetric kernels, centred.

    Notes
    -----
    With :math:`K_{ij} = \kappa(x_i, z_j) = U \Sigma V^\top`, the primal-dual pair of the kernel SVD
    [1]_ is

    .. math:: e(x) = \sum_j v_j \, \kappa(x, z_j), \qquad r(z) = \sum_i u_i \, \kappa(x_i, z),

    so that training rows get :math:`e = U \Sigma` and :math:`r = V \Sigma`. Signs are fixed: the
    largest entry of each left vector is positive. With l landmarks of n rows, K is that of the
    landmarks, and features and singular values are scaled by :math:`\sqrt{n / l}` and
    :math:`n / l` to those of all rows [2]_.

    Cost: :math:`O(l^3)` in `fit`, :math:`O(l)` kernel values for each row of `transform`.

    References
    ----------
    .. [1] Suykens, "SVD revisited: A new variational principle, compatible feature maps and
       nonlinear extensions", Applied and Computational Harmonic Analysis 40(3), 2016.
    .. [2] Tao, Tonin, Chen, Suykens, "Learning in Feature Spaces via Coupled Covariances:
       Asymmetric Kernel SVD and Nystroem method", ICML 2024, arXiv:2406.08748.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_selfattn import AsymmetricKSVD
    >>> X, _ = load_iris(return_X_y=True)
    >>> AsymmetricKSVD(n_components=3).fit_transform(X).shape  # 3 left, 3 right features
    (150, 6)
    """

    _parameter_constraints = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "kernel": [StrOptions({"sne", "softmax", "rbf", "linear", "precomputed"}), callable],
        "gamma": [Interval(Real, 0, None, closed="neither"), None],
        "output": [StrOptions({"both", "left", "right"})],
        "n_landmarks": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_components: int = 10,
        *,
        kernel: Literal["sne", "softmax", "rbf", "linear", "precomputed"]
        | Callable[..., Any] = "sne",
        gamma: float | None = None,
        output: Literal["both", "left", "right"] = "both",
        n_landmarks: int | None = 1000,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_components = n_components
        self.kernel = kernel
        self.gamma = gamma
        self.output = output
        self.n_landmarks = n_landmarks
        self.random_state = random_state

    @checked_fit
    def fit(self, X: Table, y: object = None) -> Self:
        """Decompose the kernel of the training rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows; or the kernel, n_samples by n_samples, if it is precomputed.
        y : None
            Ignored.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            A precomputed kernel is not square or is asked for right features of new rows; a
            callable returns another shape; a kernel value is not finite.
        """
        X = validate_data(self, X, dtype=np.float64)
        is_given = isinstance(self.kernel, str) and self.kernel == "precomputed"
        if is_given and X.shape[0] != X.shape[1]:
            raise ValueError(f"A precomputed kernel has to be square, got shape {X.shape}.")
        if is_given and self.output != "left":
            raise ValueError(
                "kernel='precomputed' knows new rows from the left only: pass output='left', got "
                f"output={self.output!r}."
            )
        n_rows, kept = len(X), np.arange(len(X))
        if self.n_landmarks is not None and self.n_landmarks < n_rows:
            rng = check_random_state(self.random_state)
            kept = np.sort(rng.choice(n_rows, self.n_landmarks, replace=False))
        self._kept = kept if is_given else None
        self.landmarks_ = None if is_given else X[kept]
        variance = X.var()
        self._gamma = self.gamma or (1 / (X.shape[1] * variance) if variance > 0 else 1.0)
        K = X[np.ix_(kept, kept)] if is_given else self._kernel_to(X[kept])
        self.n_components_ = min(self.n_components, len(kept))
        left, sigma, right = svd(K, full_matrices=False)
        left, right = flip_signs(left, right.T)
        self.left_vectors_ = left[:, : self.n_components_]
        self.right_vectors_ = right[:, : self.n_components_]
        share = n_rows / len(kept)
        self._scale = np.sqrt(share)
        self.singular_values_ = share * sigma[: self.n_components_]
        self._n_features_out = self.n_components_ * (2 if self.output == "both" else 1)
        return self

    def _affinity(self, X, Z):
        """Return the kernel before it is divided by a mean: what each of X makes of each of Z."""
        if callable(self.kernel):
            K = np.asarray(self.kernel(X, Z), dtype=np.float64)
            if K.shape != (len(X), len(Z)):
                raise ValueError(
                    f"kernel has to return shape {(len(X), len(Z))} for {len(X)} and {len(Z)} "
                    f"rows, got {K.shape}."
                )
            return K
        if self.kernel == "linear":
            return X @ Z.T
        if self.kernel == "softmax":
            return self._gamma * (X @ Z.T)
        return -self._gamma * cdist(X, Z, "sqeuclidean")

    def _kernel_to(self, X, Z=None):
        """Return kappa(x, z) of rows of X and of Z, the landmarks by default."""
        if Z is None:
            Z = self.landmarks_
        K = self._affinity(X, Z)
        if callable(self.kernel) or self.kernel == "linear":
            pass
        elif self.kernel == "rbf":
            K = np.exp(K)
        else:  # a mean over the landmarks, whatever Z is
            known = K if Z is self.landmarks_ else self._affinity(X, self.landmarks_)
            largest = known.max(axis=1, keepdims=True)  # of logarithms: nothing overflows
            K = np.exp(K - largest) / np.exp(known - largest).mean(axis=1, keepdims=True)
        if not np.isfinite(K).all():
            raise ValueError("A kernel value is not finite.")
        return K

    def transform(self, X: Table) -> np.ndarray:
        """Return the features of rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows; of a precomputed kernel, their kernel with all training rows.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out)
            Left features, then right ones.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        if self.landmarks_ is None:
            return self._scale * X[:, self._kept] @ self.right_vectors_
        size = max(1, BLOCK_CELLS // len(self.landmarks_))
        return np.concatenate([self._features(X[i : i + size]) for i in range(0, len(X), size)])

    def _features(self, X):
        parts = []
        if self.output != "right":
            parts.append(self._kernel_to(X) @ self.right_vectors_)
        if self.output != "left":
            parts.append(self._kernel_to(self.landmarks_, X).T @ self.left_vectors_)
        return self._scale * np.concatenate(parts, axis=1)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = isinstance(self.kernel, str) and self.kernel == "precomputed"
        return tags
