"""The kernel SVD of factors: singular vectors of Phi_q Phi_k^T without that matrix."""

import numpy as np


def factor_svd(phi_q, phi_k):
    r"""Decompose :math:`K = \Phi_q \Phi_k^\top` from its factors.

    By thin QR of the factors, so that the cost is linear in the tokens.

    Parameters
    ----------
    phi_q : ndarray of shape (..., n_queries, c)
        Features of the queries.
    phi_k : ndarray of shape (..., n_keys, c)
        Features of the keys.

    Returns
    -------
    left : ndarray of shape (..., n_queries, k)
        Left singular vectors; k is c, or fewer if there are fewer queries or keys.
    sigma : ndarray of shape (..., k)
        Singular values, falling.
    right : ndarray of shape (..., n_keys, k)
        Right singular vectors.
    """
    Q_q, R_q = np.linalg.qr(phi_q)
    Q_k, R_k = np.linalg.qr(phi_k)
    left, sigma, right = np.linalg.svd(R_q @ np.swapaxes(R_k, -1, -2), full_matrices=False)
    return Q_q @ left, sigma, Q_k @ np.swapaxes(right, -1, -2)


def flip_signs(left, right):
    """Make the largest entry of each left vector positive, and turn the right one along."""
    signs = np.sign(np.take_along_axis(left, np.abs(left).argmax(axis=0)[None], axis=0))
    signs[signs == 0] = 1.0
    return left * signs, right * signs
