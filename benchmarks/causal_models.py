"""Small Transformers for the causal benchmark, and the sequences they are trained on.

They know a code for an absent token (`PAD`, never attended to) from training, so that removing
tokens asks them nothing new.
"""

import functools
import math
from collections import Counter

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from distributional_texts import labelled
from sklearn.base import BaseEstimator, ClassifierMixin
from tabular_data import shared_folder
from torch import nn

from sklearn_selfattn import AttentionMaps
from sklearn_selfattn.core.randomness import seeded
from sklearn_selfattn.core.training import train

PAD, SPECIAL = 0, 1  # SPECIAL: the slot to be filled, or the place of the sentence


class Block(nn.Module):
    """Pre-norm attention and feed-forward; padding is not attended to."""

    def __init__(self, d, n_heads, dropout):
        super().__init__()
        self.n_heads = n_heads
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.feed = nn.Sequential(nn.Linear(d, 2 * d), nn.GELU(), nn.Linear(2 * d, d))
        self.before, self.between = nn.LayerNorm(d), nn.LayerNorm(d)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, absent):  # (n, t, d), (n, t) -> (n, t, d), (n, h, t, t)
        heads = self.qkv(self.before(x)).unflatten(-1, (3, self.n_heads, -1))
        Q, K, V = heads.permute(2, 0, 3, 1, 4)  # (n, h, t, c)
        scores = Q @ K.mT / math.sqrt(Q.shape[-1])
        weights = scores.masked_fill(absent[:, None, None], -torch.inf).softmax(dim=-1)
        x = x + self.dropout(self.out((weights @ V).transpose(1, 2).flatten(2)))
        return x + self.dropout(self.feed(self.between(x))), weights


class TokenTransformer(nn.Module):
    """Token codes (n, t) -> logits of one place, or of all, and the attention of each layer."""

    def __init__(
        self, n_codes, n_places, n_outputs, place, d=64, n_heads=2, n_layers=2, dropout=0.1
    ):
        super().__init__()
        self.embed, self.places = nn.Embedding(n_codes, d), nn.Embedding(n_places, d)
        nn.init.normal_(self.embed.weight, std=0.1)
        nn.init.normal_(self.places.weight, std=0.1)
        self.blocks = nn.ModuleList(Block(d, n_heads, dropout) for _ in range(n_layers))
        self.norm, self.head = nn.LayerNorm(d), nn.Linear(d, n_outputs)
        self.dropout, self.place = nn.Dropout(dropout), place

    def tokens(self, x):
        return self.embed(x) + self.places.weight[: x.shape[1]]

    def run(self, tokens, absent):
        hidden, maps = self.dropout(tokens), []
        for block in self.blocks:
            hidden, weights = block(hidden, absent)
            maps.append(weights)
        return self.head(self.norm(hidden)), maps

    def forward(self, x):
        return self.run(self.tokens(x), x == PAD)[0]


class TokenModel(ClassifierMixin, BaseEstimator):
    """What both models share: predictions at one place, attention, gradients.

    Parameters
    ----------
    random_state : int
        Seed of weights and batches.
    """

    d_model, n_heads = 64, 2

    def __init__(self, random_state=0):
        self.random_state = random_state

    def _train(self, module, batches, loss, **params):
        generator = torch.Generator().manual_seed(self.random_state)
        train(module, batches=batches, loss=loss, generator=generator, weight_decay=1e-4,
              schedule=lambda done: min(1.0, 10 * done) * (1 - done), **params)  # fmt: skip
        self.module_ = module

    def _make(self, *sizes, **params):
        with seeded(self.random_state):
            return TokenTransformer(*sizes, **params)

    def _logits(self, X):
        with torch.inference_mode():
            return self.module_(torch.as_tensor(np.asarray(X)))[:, self.module_.place]

    def predict_proba(self, X):
        """Return probabilities of `classes_`."""
        return self._logits(X)[:, self.first_ :].softmax(dim=-1).double().numpy()

    def predict(self, X):
        """Return the most probable label."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def attention_weights(self, X, layer=None):
        """Return the attention of all layers."""
        X = torch.as_tensor(np.asarray(X))
        with torch.inference_mode():
            _, maps = self.module_.run(self.module_.tokens(X), X == PAD)
        layers = [weights.double().numpy() for weights in maps]
        layers = [weights / weights.sum(axis=-1, keepdims=True) for weights in layers]
        return AttentionMaps(
            layers, query_labels=range(X.shape[1]), key_labels=range(X.shape[1]),
            query_axis="token", key_axis="token",
        )  # fmt: skip

    def gradients(self, X, steps):
        """Return what each token adds to the outcome's logit: gradient times input, integrated.

        One step is the plain gradient at the input; more average over the way from no token.
        """
        X = torch.as_tensor(np.asarray(X))
        outcome = self._logits(X)[:, self.first_ :].argmax(dim=1)
        tokens = self.module_.tokens(X).detach()
        nothing = self.module_.tokens(torch.full_like(X, PAD)).detach()
        total = torch.zeros_like(tokens)
        for k in range(steps):
            share = (k + 0.5) / steps if steps > 1 else 1.0
            point = (nothing + share * (tokens - nothing)).requires_grad_()
            logits = self.module_.run(point, X == PAD)[0][:, self.module_.place, self.first_ :]
            chosen = logits.gather(1, outcome[:, None]).sum()
            total += torch.autograd.grad(chosen, point)[0]
        return (total / steps * (tokens - nothing)).sum(dim=-1).double().numpy()


# --- next destination -------------------------------------------------------------------------

HISTORY = 14


@functools.cache
def journeys():
    """Return the destinations of each plane in the order of departure, as codes from 2 on."""
    table = pd.read_csv(shared_folder().parent / "events" / "flights.csv.gz")
    table = table.sort_values(["plane", "departure"], kind="stable")
    codes, names = pd.factorize(table["dest"], sort=True)
    groups = pd.Series(codes + 2).groupby(table["plane"].to_numpy())
    return [group.to_numpy() for _, group in groups if len(group) > HISTORY], names


class NextDestination(TokenModel):
    """Fill the slot after a plane's last destinations, as BERT4Rec does."""

    max_epochs, n_windows = 12, 24_000

    def fit(self, X=None, y=None):
        """Train on the journeys of X, a list of arrays of codes."""
        n_codes = max(journey.max() for journey in X) + 1
        self.first_, self.classes_ = 2, np.arange(2, n_codes)
        lengths = np.array([len(journey) for journey in X])
        flat, starts = np.concatenate(X), np.cumsum(lengths) - lengths
        module = self._make(n_codes, HISTORY + 1, n_codes, place=-1)

        def batches(generator):
            rng = np.random.default_rng(torch.randint(2**62, (1,), generator=generator).item())
            for _ in range(self.n_windows // 256):
                plane = rng.choice(len(X), 256, p=lengths / lengths.sum())
                end = starts[plane] + rng.integers(HISTORY, lengths[plane])
                windows = flat[end[:, None] + np.arange(-HISTORY, 1)]  # (256, 15)
                hidden = rng.random(windows.shape) < 0.15
                hidden[:, -1] = rng.random(256) < 0.7
                seen = np.where(hidden, SPECIAL, windows)
                gone = rng.random(windows.shape) < rng.uniform(0, 0.4, size=(256, 1))
                gone[:, -1] = False
                seen[gone] = PAD
                hidden &= ~gone
                yield torch.as_tensor(seen), torch.as_tensor(np.where(hidden, windows, -1))

        def loss(module, batch):
            seen, wanted = batch
            return F.cross_entropy(module(seen).flatten(0, 1), wanted.flatten(), ignore_index=-1)

        self._train(module, batches, loss, max_epochs=self.max_epochs, learning_rate=3e-3)
        return self


def windows(planes, rng):
    """Return a window of each plane with an empty slot at its end, and what came next."""
    rows = []
    for journey in planes:
        end = rng.integers(HISTORY, len(journey))
        rows.append(journey[end - HISTORY : end + 1])
    rows = np.array(rows)
    wanted = rows[:, -1].copy()
    rows[:, -1] = SPECIAL
    return rows, wanted


# --- sentiment --------------------------------------------------------------------------------

WORDS = 20


def encode(texts, vocabulary):
    """Return codes of the first words of each text behind a place for the sentence."""
    X = np.full((len(texts), WORDS + 1), PAD)
    X[:, 0] = SPECIAL
    for row, text in zip(X, texts, strict=True):
        codes = [vocabulary.get(word, 2) for word in text.split()[:WORDS]]
        row[1 : 1 + len(codes)] = codes
    return X


class Sentiment(TokenModel):
    """Tell good from bad reviews by their words."""

    max_epochs = 12
    first_ = 0

    def fit(self, X, y):
        """Train on texts."""
        self.classes_, codes = np.unique(y, return_inverse=True)
        counts = Counter(word for text in X for word in text.split())
        known = sorted(word for word, count in counts.items() if count > 1)
        self.vocabulary_ = {word: k + 3 for k, word in enumerate(known)}
        rows, wanted = torch.as_tensor(encode(X, self.vocabulary_)), torch.as_tensor(codes)
        module = self._make(len(known) + 3, WORDS + 1, 2, place=0, dropout=0.3)

        def batches(generator):
            for chosen in torch.randperm(len(rows), generator=generator).split(128):
                seen = rows[chosen].clone()
                share = 0.4 * torch.rand((len(chosen), 1), generator=generator)
                gone = torch.rand(seen.shape, generator=generator) < share
                gone[:, 0] = False
                seen[gone] = PAD
                yield seen, wanted[chosen]

        def loss(module, batch):
            seen, wanted = batch
            return F.cross_entropy(module(seen)[:, 0], wanted)

        self._train(module, batches, loss, max_epochs=self.max_epochs, learning_rate=1e-3)
        return self


def reviews():
    """Return texts and labels of the training and the test part."""
    return labelled("mr")
