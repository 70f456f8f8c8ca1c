"""Where the dummy Gaussians stand: one for each class, in the latent space of the map."""

import warnings
from dataclasses import dataclass

import numpy as np

CIRCLE_CLASSES = 3  # on a circle, up to so many classes are equally far from each other


@dataclass(frozen=True)
class Geometry:
    """One Gaussian for each class.

    Attributes
    ----------
    means : ndarray of shape (n_classes, n_latent)
        Their means.
    n_class_dims : int
        So many first coordinates tell the classes apart.
    first_style_dim : int
        From here on coordinates have variance 1, before it 0. Equal to `n_class_dims` where
        class and style have coordinates of their own, else 0.
    """

    means: np.ndarray
    n_class_dims: int
    first_style_dim: int

    @property
    def n_latent(self):
        """Number of latent coordinates."""
        return self.means.shape[1]

    @property
    def covariances(self):
        """Covariance of each Gaussian, of shape (n_classes, n_latent, n_latent)."""
        has_style = np.arange(self.n_latent) >= self.first_style_dim
        return np.repeat(np.diag(has_style.astype(float))[None], len(self.means), axis=0)

    def embed(self, Z):
        """Place points of the data (n, q) in the latent space, filled up with zeros."""
        embedded = np.zeros((len(Z), self.n_latent))
        embedded[:, self.first_style_dim : self.first_style_dim + Z.shape[1]] = Z
        return embedded


def make_geometry(kind, n_classes, n_style, radius):
    r"""Place the Gaussians.

    Parameters
    ----------
    kind : {"orthogonal", "simplex", "circle"}
        "orthogonal": class means on a regular simplex in coordinates of their own, without
        spread; standard Gaussians in `n_style` further coordinates. "simplex", "circle": means
        and spread share coordinates.
    n_classes : int
        Number of classes, k.
    n_style : int
        Coordinates of the data, q.
    radius : float
        Distance of the class means from the origin.

    Returns
    -------
    Geometry
        With :math:`k - 1 + q` coordinates if orthogonal, else :math:`\max(k - 1, q)`, for the
        circle :math:`\max(2, q)`.

    Examples
    --------
    >>> from sklearn_selfattn.transport.geometry import make_geometry
    >>> make_geometry("orthogonal", 3, 4, radius=2.0).means.round(2) + 0.0
    array([[ 1.  ,  1.73,  0.  ,  0.  ,  0.  ,  0.  ],
           [ 1.  , -1.73,  0.  ,  0.  ,  0.  ,  0.  ],
           [-2.  ,  0.  ,  0.  ,  0.  ,  0.  ,  0.  ]])
    """
    if kind == "circle":
        if n_classes > CIRCLE_CLASSES:
            warnings.warn(
                f"On a circle, {n_classes} classes are not equally far from each other: rows "
                "between two of them are mapped onto others. Use geometry='orthogonal' or "
                "'simplex'.",
                stacklevel=3,
            )
        angle = 2 * np.pi * np.arange(n_classes) / n_classes
        vertices = radius * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    else:
        vertices = radius * regular_simplex(n_classes)
    n_vertex = vertices.shape[1]
    n_latent = n_vertex + n_style if kind == "orthogonal" else max(n_vertex, n_style)
    means = np.zeros((n_classes, n_latent))
    means[:, :n_vertex] = vertices
    if kind == "orthogonal":
        return Geometry(means, n_vertex, n_vertex)
    return Geometry(means, n_latent, 0)


def regular_simplex(n_points):
    """Return `n_points` unit vectors, all at the same angle, of shape (n_points, n_points - 1)."""
    if n_points == 1:
        return np.zeros((1, 0))
    # Helmert's basis of the vectors whose entries sum to zero; its rows are the vertices.
    vertices = np.zeros((n_points, n_points - 1))
    for j in range(1, n_points):
        vertices[:j, j - 1] = 1.0 / np.sqrt(j * (j + 1))
        vertices[j, j - 1] = -np.sqrt(j / (j + 1))
    vertices = vertices[:, ::-1]
    return vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
