"""What the room computes, once more: slow, dense, from the equations."""

import math

import numpy as np


def unit(X):
    X = np.asarray(X, dtype=np.float64)
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def full_ranking(Q, G, own=None):
    scores = np.round(unit(Q) @ unit(G).T, 9)
    if own is None:
        return np.argsort(-scores, axis=1, kind="stable")
    scores[np.arange(len(Q)), own] = -np.inf
    return np.argsort(-scores, axis=1, kind="stable")[:, :-1]


def order_by(scores, ranking):
    """Sort each list by the scores (n_queries, n_gallery) of its items, ties as they stand."""
    return np.array([
        [j for _, _, j in sorted((-round(s[j], 9), place, j) for place, j in enumerate(r))]
        for s, r in zip(scores, ranking, strict=True)
    ])  # fmt: skip


def query_expansion(Q, G, ranking, k, alpha):
    Q, G = unit(Q), unit(G)
    scores = np.empty((len(Q), len(G)))
    for i in range(len(Q)):
        q = Q[i] + sum(max(Q[i] @ G[j], 0) ** alpha * G[j] for j in ranking[i][:k])
        scores[i] = G @ q
    return order_by(scores, ranking)


def database_augmentation(Q, G, ranking, k, alpha):
    Q, G = unit(Q), unit(G)
    near = full_ranking(G, G, np.arange(len(G)))[:, :k]
    new = [G[i] + sum(max(G[i] @ G[j], 0) ** alpha * G[j] for j in near[i]) for i in range(len(G))]
    return order_by(Q @ unit(new).T, ranking)


def superglobal(Q, G, ranking, m, k, beta):
    Q, G = unit(Q), unit(G)
    result = np.array(ranking)
    for i, q in enumerate(Q):
        top = list(ranking[i][:m])
        scores = {}
        mixed = np.max([q, *(G[j] for j in top[:k])], axis=0)
        for j in top:
            others = sorted((o for o in top if o != j), key=lambda o: -round(G[j] @ G[o], 9))
            g = G[j] + beta * sum((G[j] @ G[o]) * G[o] for o in others[:k])
            scores[j] = (q @ g / np.linalg.norm(g) + mixed @ G[j] / np.linalg.norm(mixed)) / 2
        result[i, :m] = sorted(top, key=lambda j: -round(scores[j], 9))
    return result


def k_reciprocal(Q, G, ranking, k1, k2, original_weight):
    """Follow the published algorithm over the square of all rows."""
    rows = np.concatenate([unit(Q), unit(G)])
    n = len(rows)
    distance = 2 - 2 * rows @ rows.T
    distance = distance / distance.max(axis=1, keepdims=True)
    by_similarity = np.round(rows @ rows.T, 9)
    np.fill_diagonal(by_similarity, np.inf)
    rank = np.argsort(-by_similarity, axis=1, kind="stable")

    def reciprocal(i, k):
        forward = rank[i, : k + 1]
        return {j for j in forward if i in rank[j, : k + 1]}

    V = np.zeros((n, n))
    for i in range(n):
        members = reciprocal(i, k1)
        expanded = set(members)
        for c in members:
            theirs = reciprocal(c, round(k1 / 2))
            if len(theirs & members) > 2 / 3 * len(theirs):
                expanded |= theirs
        index = sorted(expanded)
        weight = np.exp(-distance[i, index])
        V[i, index] = weight / weight.sum()
    if k2 > 1:
        V = np.array([V[rank[i, :k2]].mean(axis=0) for i in range(n)])
    scores = np.empty((len(Q), len(G)))
    for i in range(len(Q)):
        for j in range(len(G)):
            a, b = V[i], V[len(Q) + j]
            jaccard = 1 - np.minimum(a, b).sum() / np.maximum(a, b).sum()
            original = distance[i, len(Q) + j]
            scores[i, j] = -((1 - original_weight) * jaccard + original_weight * original)
    return order_by(scores, ranking)


def diffusion(Q, G, ranking, k, alpha, gamma):
    Q, G = unit(Q), unit(G)
    near = full_ranking(G, G, np.arange(len(G)))[:, :k]
    W = np.zeros((len(G), len(G)))
    for i in range(len(G)):
        for j in near[i]:
            if i in near[j]:
                W[i, j] = max(G[i] @ G[j], 0) ** gamma
    degree = W.sum(axis=1)
    scale = np.where(degree > 0, degree, 1) ** -0.5
    S = scale[:, None] * W * scale
    scores = np.empty((len(Q), len(G)))
    for i, q in enumerate(Q):
        y = np.zeros(len(G))
        y[ranking[i][:k]] = np.maximum(G[ranking[i][:k]] @ q, 0) ** gamma
        f = np.linalg.solve(np.eye(len(G)) - alpha * S, y)
        scores[i] = f / f.max()
    return order_by(scores, ranking)


def encoder_scores(weights, items, n_anchors, n_heads, n_layers):
    """Score one list from the state dict of the module: the equations of the publication."""
    w = {name: np.asarray(value, dtype=np.float64) for name, value in weights.items()}

    def linear(name, x):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(name, x):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return x * w[f"{name}.weight"] + w[f"{name}.bias"]

    erf = np.vectorize(math.erf)
    A = items @ items[:n_anchors].T
    x = linear("project", np.pad(A, ((0, 0), (0, n_anchors - A.shape[1]))))
    for b in range(n_layers):
        Q, K, V = np.split(linear(f"blocks.{b}.qkv", norm(f"blocks.{b}.attention_norm", x)), 3, 1)
        heads = []
        for q, k, v in zip(*(np.split(part, n_heads, axis=1) for part in (Q, K, V)), strict=True):
            e = np.exp(q @ k.T / np.sqrt(q.shape[1]))
            heads.append(e / e.sum(axis=1, keepdims=True) @ v)
        x = x + linear(f"blocks.{b}.mix", np.concatenate(heads, axis=1))
        hidden = linear(f"blocks.{b}.expand", norm(f"blocks.{b}.feed_forward_norm", x))
        hidden = 0.5 * hidden * (1 + erf(hidden / np.sqrt(2)))
        x = x + linear(f"blocks.{b}.contract", hidden)
    return unit(x) @ unit(x)[0], x


def average_precision_trapezoidal(relevant, n_relevant):
    """Walk down the list as the landmark benchmarks do."""
    found, total = 0, 0.0
    for place, hit in enumerate(relevant):  # from 0
        if hit:
            before = 1.0 if place == 0 else found / place
            total += (before + (found + 1) / (place + 1)) / 2
            found += 1
    return total / n_relevant
