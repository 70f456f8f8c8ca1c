"""
What training does to the points of an attention layer
======================================================

An attention layer whose tokens keep their width moves points through one space. Did training find
the cheapest way to move them, as the thesis behind this (`arXiv:2512.09530
<https://arxiv.org/abs/2512.09530>`_) asks? :class:`~sklearn_selfattn.OTTrainingMonitor` follows any
layer of any net, ours or a skorch net, and changes nothing about its training.
"""

# sphinx_gallery_thumbnail_number = 1

# %%
# Tokens of three classes
# -----------------------
# As in the thesis: 45 instances of 20 tokens in the plane, three Gaussian classes that overlap.

import numpy as np


def make_tokens(i, n=45, n_tokens=20, seed=0):
    """Return instances of tokens around three means, which are the further apart the larger i."""
    rng = np.random.default_rng(seed)
    x = 6 * i / (2 * (1 + np.sqrt(2)))
    means = np.array([[-x, 0.0], [x, 0.0], [0.0, x]])
    y = np.arange(n) % 3
    X = means[y][:, None] + rng.normal(scale=np.sqrt(2), size=(n, n_tokens, 2))
    return X.astype(np.float32), y


X, y = make_tokens(1)

# %%
# The net
# -------
# One block of self-attention and feed-forward, both with a residual connection and without an
# embedding: what goes in and what comes out are points of the same plane. A small head reads
# the class off each token, and an instance is the mean of its tokens.

import torch
from torch import nn


class Block(nn.Module):
    """Attention between the tokens of an instance, then a feed-forward net, in the plane."""

    def __init__(self, width=2, n_heads=10, key_width=16):
        super().__init__()
        self.n_heads = n_heads
        self.qkv = nn.Linear(width, 3 * n_heads * key_width)
        self.out = nn.Linear(n_heads * key_width, width)
        self.feed_forward = nn.Sequential(nn.Linear(width, 32), nn.ReLU(), nn.Linear(32, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))

    def forward(self, X):
        """Move the tokens, (n, t, 2)."""
        heads = self.qkv(X).unflatten(-1, (3, self.n_heads, -1))  # (n, t, 3, h, c)
        Q, K, V = heads.permute(2, 0, 3, 1, 4)  # (n, h, t, c) each
        mixed = nn.functional.scaled_dot_product_attention(Q, K, V)
        X = X + self.norms[0](self.out(mixed.transpose(1, 2).flatten(2)))
        return X + self.norms[1](self.feed_forward(X))


class TokenClassifier(nn.Module):
    """A block, and a head for each token."""

    def __init__(self):
        super().__init__()
        self.block = Block()
        self.head = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, X):
        """Return the mean class probabilities of the tokens."""
        return self.head(self.block(X)).softmax(dim=-1).mean(dim=1)  # (n, 3)


# %%
# Training, watched
# -----------------
# ``points="tokens"``: each token is a point. ``reference="input"``: compare the points that enter
# the block with those that leave it.

from skorch import NeuralNetClassifier

from sklearn_selfattn import OTTrainingDisplay, OTTrainingMonitor


def watch(module):
    """Train a net on all instances at once, and return its history."""
    monitor = OTTrainingMonitor(
        "block", X, y, points="tokens", reference="input", every=4, max_points=24, n_null=10
    )
    net = NeuralNetClassifier(
        module, criterion=nn.NLLLoss, optimizer=torch.optim.RMSprop, lr=1e-2, max_epochs=80,
        batch_size=-1, train_split=None, callbacks=[monitor], verbose=0,
    )  # fmt: skip
    net.fit(X, y)
    return net


torch.manual_seed(0)
net = watch(TokenClassifier())
OTTrainingDisplay.from_history(net.history, name="a block on three classes")

# %%
# Read the lower left picture first. The thesis takes a high optimality as a sign that attention
# approximates optimal transport. The grey band says what to compare it with: who goes where,
# shuffled within a class. Inside the band the value says nothing, however high it is, because a
# class that moves as a whole moves optimally whatever its points do; the orange line takes such
# moves out. In this run both lines end well above the band, after a time in which they did not:
# the block has come near to the cheapest way.
#
# The lower right picture: the way that points took over the training, straight over travelled.
# Most of it was a detour.

last = net.history[-1]
print(f"optimality {last['ot_optimality']:.3f}", end=", ")
print(f"band {last['ot_optimality_low']:.3f} to {last['ot_optimality_high']:.3f}", end=", ")
print(f"centred {last['ot_optimality_centered']:.3f}, efficiency {last['ot_efficiency']:.2f}")

# %%
# A head that knows its classes beforehand
# ----------------------------------------
# The thesis also trains the head first, on *dummies*: Gaussians on a circle, one for each class.
# Frozen, it leaves to the block the task of bringing tokens to where the dummies were. It calls
# the effect sensitive to the start, and a single run like this one proves nothing. It does show
# that two nets of like accuracy can move their points in very different ways.

angle = 2 * np.pi * np.arange(3) / 3
corners = 9.0 * np.stack([np.sin(angle), np.cos(angle)], axis=1)
dummies = torch.as_tensor(np.repeat(corners, 100, axis=0) + make_tokens(0, 300, 1)[0][:, 0])
labels = torch.arange(3).repeat_interleave(100)

torch.manual_seed(0)
module = TokenClassifier()
optimizer = torch.optim.Adam(module.head.parameters(), lr=1e-2)
for _ in range(150):
    optimizer.zero_grad()
    nn.functional.cross_entropy(module.head(dummies.float()), labels).backward()
    optimizer.step()
module.head.requires_grad_(False)
pretrained = watch(module)

for name, trained in (("from scratch", net), ("head trained first", pretrained)):
    accuracy = (trained.predict(X) == y).mean()
    row = trained.history[-1]
    centered, efficiency = row["ot_optimality_centered"], row["ot_efficiency"]
    print(
        f"{name:18s} accuracy {accuracy:.3f}, centred {centered:.3f}, efficiency {efficiency:.2f}"
    )
