"""The Non-Parametric Transformer in numpy: one member, one row and one head at a time.

Written from the equations in the docstrings, without torch, batching or tricks. Slow and plain.
"""

import numpy as np
from scipy.special import erf, log_softmax, softmax


def normalize(x):
    return (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)


def gelu(x):
    return x * (1 + erf(x / np.sqrt(2))) / 2


def piecewise_linear(x, edges):
    """Return for one number how much of each bin lies below it."""
    pairs = zip(edges[:-1], edges[1:], strict=True)
    return np.array([np.clip((x - low) / (high - low), 0, 1) for low, high in pairs])


def attend(q, K, V, scale):
    """Attend from one query, q of shape (c,), to keys (k, c)."""
    share = softmax(scale * (K @ q))
    return share @ V, share


class Reference:
    """One member of an `NPT` module."""

    def __init__(self, net, member, edges, n_categories, n_heads):
        self.weights = {
            name: parameter.detach().numpy()[member] for name, parameter in net.named_parameters()
        }
        self.form, self.n_blocks, self.n_heads = net.form, len(net.blocks), n_heads
        self.edges, self.n_categories = edges, n_categories

    def linear(self, x, name):
        bias = self.weights.get(f"{name}.bias", 0.0)
        return x @ self.weights[f"{name}.weight"] + bias

    def feed_forward(self, x, name):
        return self.linear(gelu(self.linear(normalize(x), f"{name}.expand")), f"{name}.contract")

    def tokens(self, cells, hidden):
        """Return the tokens (n, d, e) of cells (n, d)."""
        numeric = [j for j, size in enumerate(self.n_categories) if not size]
        starts = np.cumsum(self.n_categories) - self.n_categories
        rows = []
        for row, hide in zip(cells, hidden, strict=True):
            tokens = []
            for j, cell in enumerate(row):
                if np.isnan(cell) or hide[j]:
                    token = self.weights["tokenizer.absent"][0, j]
                elif j in numeric:
                    slope = self.weights["tokenizer.slope"][numeric.index(j)]  # (B + 1, e)
                    bins = piecewise_linear(cell, self.edges[j])
                    basis = np.zeros(len(slope))
                    basis[: 1 + len(bins)] = [cell, *bins]
                    token = basis @ slope + self.weights["tokenizer.shift"][0, j]
                else:
                    code = self.weights["tokenizer.code"][starts[j] + int(cell)]
                    token = code + self.weights["tokenizer.shift"][0, j]
                tokens.append(token)
            rows.append(tokens)
        return np.array(rows)

    def look_at_rows(self, flat, n_context, name):
        """Return the attention (n, r) of row vectors (n, w), and each row's weights."""
        queries, keys, values = np.split(
            normalize(flat) @ self.weights[f"{name}.project.weight"], 3, 1
        )
        width = flat.shape[1] if self.form == "paper" else values.shape[1] // self.n_heads
        log_gain = self.weights.get(f"{name}.log_gain")
        outs, shares = [], []
        for i, query in enumerate(queries):
            seen = list(range(n_context)) + ([i] if i >= n_context else [])
            heads = zip(
                np.split(query, self.n_heads), np.split(keys[seen], self.n_heads, 1),
                np.split(values[seen], self.n_heads, 1), strict=True,
            )  # fmt: skip
            out, share = [], []
            for head, (q, K, V) in enumerate(heads):
                if log_gain is None:
                    part, weight = attend(q, K, V, 1 / np.sqrt(width))
                else:  # the nearest keys: -gain |q - k|^2 / 2, of which |q|^2 is the same for all
                    distance = ((q - K) ** 2).sum(axis=1)
                    weight = softmax(-np.exp(log_gain[head].item()) * distance / 2 / np.sqrt(width))
                    part = weight @ V
                out.append(part)
                share.append(weight)
            outs.append(np.concatenate(out))
            shares.append(share)
        return np.array(outs), shares

    def row_attention(self, H, n_context, name):
        """Return what rows (n, d, e) get from rows, and their weights."""
        n, d, e = H.shape
        if self.form != "cells":
            out, shares = self.look_at_rows(H.reshape(n, d * e), n_context, name)
            return self.linear(out, f"{name}.output").reshape(n, d, e), shares
        columns = [self.look_at_rows(H[:, j], n_context, name) for j in range(d)]
        out = [self.linear(out, f"{name}.output") for out, _ in columns]
        return np.stack(out, axis=1), [shares for _, shares in columns]

    def cell_attention(self, tokens, name, n_heads):
        """Return what the tokens (d, e) of one row get from each other, and the weights."""
        Q, K, V = np.split(normalize(tokens) @ self.weights[f"{name}.cell_project.weight"], 3, 1)
        e = tokens.shape[1]
        scale = 1 / np.sqrt(e if self.form == "paper" else e // n_heads)
        outs, shares = [], []
        for q, k, v in zip(*(np.split(part, n_heads, 1) for part in (Q, K, V)), strict=True):
            attended = [attend(one, k, v, scale) for one in q]
            outs.append([out for out, _ in attended])
            shares.append([share for _, share in attended])
        return self.linear(np.concatenate(outs, axis=1), f"{name}.cell_output"), np.array(shares)

    def block(self, H, n_context, index, cell_heads):
        """Return the tokens after a block."""
        name, shape = f"blocks.{index}", H.shape
        update, _ = self.row_attention(H, n_context, f"{name}.rows")
        flat = (lambda x: x) if self.form == "cells" else (lambda x: x.reshape(len(x), -1))
        if self.form == "paper":
            H = (flat(H) @ self.weights[f"{name}.row_residual.weight"]).reshape(shape)
        H = H + update
        H = H + self.feed_forward(flat(H), f"{name}.row_feed_forward").reshape(shape)
        if f"{name}.cell_project.weight" not in self.weights:
            return H
        update = np.array([self.cell_attention(row, name, cell_heads)[0] for row in H])
        if self.form == "paper":
            H = H @ self.weights[f"{name}.cell_residual.weight"]
        H = H + update
        return H + self.feed_forward(H, f"{name}.cell_feed_forward")

    def forward(self, cells, hidden, n_context, cell_heads):
        """Return the tokens of the queries after all blocks."""
        H = self.tokens(cells, hidden)
        for index in range(self.n_blocks):
            H = self.block(H, n_context, index, cell_heads)
        return H[n_context:]

    def target(self, H):
        """Return the target outputs of queries (q, d, e)."""
        row = {
            "rows": H.reshape(len(H), -1),
            "cells": np.concatenate([H[:, -1], H[:, :-1].mean(axis=1)], axis=1),
            "paper": H[:, -1],
        }[self.form]
        row = normalize(row)
        if self.form != "paper":
            row = gelu(self.linear(row, "read"))
        return self.linear(row, "target_output")

    def feature_loss(self, H, cells, chosen):
        """Return the sum and the number of the losses over chosen feature cells."""
        H, losses = normalize(H), []
        starts = np.cumsum(self.n_categories) - self.n_categories
        for i, j in np.argwhere(chosen & ~np.isnan(cells)):
            if self.n_categories[j]:
                codes = self.weights["code_output"][starts[j] : starts[j] + self.n_categories[j]]
                losses.append(-log_softmax(codes @ H[i, j])[int(cells[i, j])])
            else:
                error = H[i, j] @ self.weights["number_output"][j] - cells[i, j]
                losses.append(min(error**2, 25.0))
        return sum(losses), len(losses)
