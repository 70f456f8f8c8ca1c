"""Primal attention written out from its equations, in numpy, one series and one head at a time."""

import numpy as np


def unit(x):
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def published_rows(n_steps, n_rows):
    """Evenly spaced, both ends included, cut to integers."""
    return (np.arange(n_rows) * (n_steps - 1) / max(n_rows - 1, 1)).astype(int)


def primal_layer(x, w, n_heads, rows=None):
    """Return the output, e and r of one series ``x`` (t, d); `w` maps names to arrays."""
    t, d = x.shape
    c = d // n_heads
    Q, K = x @ w["W_q"] + w["b_q"], x @ w["W_k"] + w["b_k"]
    heads, all_e, all_r = [], [], []
    for h in range(n_heads):
        part = slice(h * c, (h + 1) * c)
        phi_q, phi_k = unit(Q[:, part]), unit(K[:, part])
        if rows is None:
            W_eX, W_rX = w["W_e"][h], w["W_r"][h]
        else:
            f = x[rows][:, part]
            W_eX, W_rX = f.T @ w["W_e"][h], f.T @ w["W_r"][h]
        e, r = phi_q @ W_eX, phi_k @ W_rX
        heads.append(np.concatenate([e, r], axis=1) @ w["C"] + w["b"])
        all_e.append(e)
        all_r.append(r)
    return np.concatenate(heads, axis=1) @ w["W_o"] + w["b_o"], np.stack(all_e), np.stack(all_r)


def objective(e, r, Lambda, W_e, W_r):
    """Return J of one series: means over heads and steps, Lambda squared as in the code."""
    n_heads, t, _ = e.shape
    energy = sum(
        0.5 * np.linalg.norm(Lambda[h] * side[h, i]) ** 2
        for side in (e, r)
        for h in range(n_heads)
        for i in range(t)
    ) / (n_heads * t)
    return energy - np.mean([np.trace(W_e[h].T @ W_r[h]) for h in range(n_heads)])


def layer_arrays(layer, member=0):
    """Take a member's weights out of a `PrimalAttention`, as `primal_layer` wants them."""
    a = {name: p.detach().numpy()[member] for name, p in layer.named_parameters()}
    d = a["query_key.weight"].shape[0]
    return {
        "W_q": a["query_key.weight"][:, :d], "b_q": a["query_key.bias"][:, :d],
        "W_k": a["query_key.weight"][:, d:], "b_k": a["query_key.bias"][:, d:],
        "W_e": a["W"][0], "W_r": a["W"][1], "Lambda": a["Lambda"],
        "C": a["C"].reshape(-1, a["C"].shape[-1]), "b": a["b"],
        "W_o": a["out.weight"], "b_o": a["out.bias"],
    }  # fmt: skip


def kl_of_gaussians(mean, cholesky, prior_scale):
    """Return the divergence of N(mean, L L^T) from N(0, diag(prior_scale^2))."""
    S, P = cholesky @ cholesky.T, np.diag(prior_scale**2)
    inverse = np.linalg.inv(P)
    log_ratio = np.linalg.slogdet(P)[1] - np.linalg.slogdet(S)[1]
    return 0.5 * (np.trace(inverse @ S) + mean @ inverse @ mean - len(mean) + log_ratio)
