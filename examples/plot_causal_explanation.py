"""
Without which words would it have said something else?
======================================================

A small Transformer is trained on messages whose rule we know. Then it is asked what its decisions
rested on: :class:`~sklearn_selfattn.CLEANNExplainer` reads its attention as a causal graph of the
words, and tries small sets of words near the outcome's token until the model changes its mind.
"""

# %%
# Messages with a known rule
# --------------------------
# A message is an alarm if it names a *leak*, or both a *pump* and *smoke*. All other words are
# talk.

import numpy as np

talk = ["the", "at", "shift", "report", "note", "line", "yard", "gate", "team", "today", "early"]
words = ["-", "[outcome]", "leak", "pump", "smoke", *talk]
code = {word: k for k, word in enumerate(words)}
rng = np.random.default_rng(0)


def messages(n):
    """Return codes of words and what the rule says."""
    X = rng.integers(5, len(words), size=(n, 9))
    X[:, 0] = code["[outcome]"]  # the token whose attention decides
    for word, share in (("leak", 0.25), ("pump", 0.6), ("smoke", 0.6)):
        has = rng.random(n) < share
        X[has, rng.integers(1, 9, size=has.sum())] = code[word]
    leak, pump, smoke = ((code[w] == X).any(axis=1) for w in ("leak", "pump", "smoke"))
    return X, np.where(leak | (pump & smoke), "alarm", "calm")


X, y = messages(3000)
print(" ".join(words[k] for k in X[0]), "->", y[0])

# %%
# A model that attends
# --------------------
# Any classifier will do that has ``predict_proba`` and answers ``attention_weights(X)``. This one
# is a Transformer of two layers, trained by the library's own loop. In training, words are left out
# at random (code 0), so that absence is nothing new to it.

import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from torch import nn

from sklearn_selfattn import AttentionMaps
from sklearn_selfattn.core.attention import attend, merge_heads, split_heads
from sklearn_selfattn.core.training import TensorBatches, seeded, train


class Reader(nn.Module):
    """Codes of words -> scores of the two outcomes, and the attention of each layer."""

    def __init__(self, n_words, n_places, d=32, n_heads=2, n_layers=2):
        super().__init__()
        self.words, self.places = nn.Embedding(n_words, d), nn.Embedding(n_places, d)
        self.qkv = nn.ModuleList(nn.Linear(d, 3 * d) for _ in range(n_layers))
        self.feed = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(d), nn.Linear(d, d), nn.GELU(), nn.Linear(d, d))
            for _ in range(n_layers)
        )
        self.norm, self.head, self.n_heads = nn.LayerNorm(d), nn.Linear(d, 2), n_heads

    def forward(self, x):
        """(n, t) -> (n, 2) and, for each layer, (n, h, t, t)."""
        hidden, maps = self.words(x) + self.places.weight, []
        for qkv, feed in zip(self.qkv, self.feed, strict=True):
            Q, K, V = (
                split_heads(part, self.n_heads) for part in qkv(self.norm(hidden)).chunk(3, dim=-1)
            )
            mixed, weights = attend(Q, K, V, Q.shape[-1] ** -0.5, weights=True)
            hidden = hidden + merge_heads(mixed)
            hidden = hidden + feed(hidden)
            maps.append(weights)
        return self.head(hidden[:, 0]), maps


class AlarmClassifier(ClassifierMixin, BaseEstimator):
    """The model as an estimator."""

    d_model, n_heads = 32, 2

    def fit(self, X, y):
        """Train on messages."""
        self.classes_ = np.unique(y)  # "alarm", "calm"
        with seeded(0):
            self.module_ = Reader(int(X.max()) + 1, X.shape[1])
        generator = torch.Generator().manual_seed(0)

        def loss(module, batch):
            (x,) = batch
            gone = torch.rand(x.shape, generator=generator) < 0.2
            gone[:, 0] = False
            seen = torch.where(gone, 0, x)  # and the rule on what is left
            leak, pump, smoke = ((seen == code[w]).any(dim=1) for w in ("leak", "pump", "smoke"))
            wanted = torch.where(leak | (pump & smoke), 0, 1)
            return nn.functional.cross_entropy(module(seen)[0], wanted)

        train(
            self.module_,
            batches=TensorBatches(torch.as_tensor(X), batch_size=128),
            loss=loss,
            max_epochs=25,
            learning_rate=3e-3,
            generator=generator,
        )
        return self

    def _run(self, X):
        with torch.inference_mode():
            return self.module_(torch.as_tensor(np.asarray(X)))

    def predict_proba(self, X):
        """Return the probabilities of the outcomes."""
        return self._run(X)[0].softmax(dim=-1).double().numpy()

    def predict(self, X):
        """Return the more probable outcome."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def attention_weights(self, X, layer=None):
        """Return where each word looked."""
        layers = [weights.double().numpy() for weights in self._run(X)[1]]
        layers = [weights / weights.sum(axis=-1, keepdims=True) for weights in layers]
        places = range(layers[0].shape[-1])
        return AttentionMaps(
            layers, query_labels=places, key_labels=places, query_axis="word", key_axis="word"
        )


# %%
# The explainer is fitted like the model, and predicts as it does.

from sklearn_selfattn import CLEANNExplainer

explainer = CLEANNExplainer(AlarmClassifier(), mask_value=0).fit(X, y)
X_new, y_new = messages(300)
print(f"accuracy on new messages: {explainer.score(X_new, y_new):.3f}")

# %%
# One message
# -----------
# This one names a pump and smoke, and no leak. Take out either, and all is calm.

from sklearn_selfattn import ExplanationDisplay


def has(word):
    """Tell which messages hold a word."""
    return (code[word] == X_new).any(axis=1)


row = X_new[has("pump") & has("smoke") & ~has("leak")][:1]
ExplanationDisplay.from_estimator(explainer, row, tokens=[words[k] for k in row[0]])

# %%
# The graph of one head, around the outcome's token. It holds for this message and this head.

from sklearn_selfattn import PAGDisplay

graph = explainer.graphs(row)[0][0]
PAGDisplay(graph, target=0, labels=[words[k] for k in row[0]]).plot()

# %%
# All alarms, and three other ways to explain them
# ------------------------------------------------
# The rule is known, so sets can be judged: none of them should hold a word of talk. Subset searches
# find the same sizes in whatever order; what an order saves is questions to the model: here both
# the graph's and attention's save half. Taking out words by their attention until the outcome
# changes asks least, and takes more than it has to.

import pandas as pd
from sklearn.frozen import FrozenEstimator

from sklearn_selfattn import CumulativeExplainer, SubsetSearchExplainer

alarms = X_new[explainer.predict(X_new) == "alarm"][:80]
model = FrozenEstimator(explainer.estimator_)  # trained already
ways = {
    "CLEANN, causal graph": explainer,
    "all subsets, by attention": SubsetSearchExplainer(model, mask_value=0),
    "all subsets, in random order": SubsetSearchExplainer(
        model, mask_value=0, order="random", random_state=0
    ),
    "one by one, by attention": CumulativeExplainer(model, mask_value=0),
}
table = []
for name, way in ways.items():
    found = way.explain(alarms) if way is explainer else way.fit(X, y).explain(alarms)
    chosen = [alarms[k, list(e.sets[0])] for k, e in enumerate(found) if e.found]
    table.append(
        {
            "way": name,
            "explained": len(chosen) / len(alarms),
            "mean size": np.mean([len(c) for c in chosen]),
            "without talk": np.mean([(c < 5).all() for c in chosen]),
            "sets tried": np.mean([e.n_sets_tried for e in found]),
        }
    )
pd.DataFrame(table).round(2)
