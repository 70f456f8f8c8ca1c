"""The adapter for Hugging Face models, on a stand-in that is called and answers as they do.

``benchmarks/causal_experiments.py`` runs it on a model of the real library.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from torch import nn

from sklearn_selfattn import AttentionCausalDiscovery, HFAttention


class StandIn(nn.Module):
    """Called as ``model(input_ids=, attention_mask=, output_attentions=True)``."""

    def __init__(self, implementation="eager", n_layers=2):
        super().__init__()
        self.config = SimpleNamespace(hidden_size=32, num_attention_heads=2)
        self.implementation, self.n_layers = implementation, n_layers
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.embed, self.place = nn.Embedding(50, 32), nn.Embedding(20, 32)
        self.dropout = nn.Dropout(0.5)

    def forward(self, input_ids, attention_mask=None, output_attentions=False):
        if self.implementation != "eager" or not output_attentions:
            return SimpleNamespace(attentions=())  # as sdpa does: empty, with a logged warning
        x = self.embed(input_ids) + self.place(torch.arange(input_ids.shape[1]))
        heads = x.unflatten(-1, (2, 16)).transpose(1, 2)  # (n, h, t, c)
        scores = heads @ heads.mT / 4
        if attention_mask is not None:
            scores = scores.masked_fill(attention_mask[:, None, None] == 0, -torch.inf)
        weights = self.dropout(scores.softmax(dim=-1))
        return SimpleNamespace(attentions=(weights,) * self.n_layers)


class Tokenizer:
    """Words by their lengths; pads to the longest text."""

    def __call__(self, texts, padding, truncation, return_tensors):
        assert padding
        assert truncation
        assert return_tensors == "pt"
        rows = [[1, *(10 + len(word) for word in text.split()), 2] for text in texts]
        longest = max(map(len, rows))
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
        return {"input_ids": ids, "attention_mask": (ids > 0).long()}

    def convert_ids_to_tokens(self, ids):
        return [f"<{i}>" for i in ids]


TEXTS = ["the blue whale is the largest animal", "a small fish"]


def test_graphs_of_tokens_without_padding():
    model = StandIn().train()
    reader = AttentionCausalDiscovery(FrozenEstimator(HFAttention(model, Tokenizer()))).fit(TEXTS)
    graphs = reader.discover(TEXTS)
    assert model.training  # as it was, though asked in eval mode
    assert [len(heads) for heads in graphs] == [2, 2]
    assert [heads[0].nodes for heads in graphs] == [list(range(9)), list(range(5))]
    assert graphs[0][0].n_samples == 16
    # padding changes nothing: the short text alone
    alone = reader.discover(TEXTS[1:])[0]
    assert alone[0].nodes == ["<1>", "<11>", "<15>", "<14>", "<2>"]
    for one, other in zip(graphs[1], alone, strict=True):
        np.testing.assert_array_equal(one.marks, other.marks)


def test_encodings_without_a_tokenizer():
    encoded = Tokenizer()(TEXTS, padding=True, truncation=True, return_tensors="pt")
    direct, by_text = HFAttention(StandIn()), HFAttention(StandIn(), Tokenizer())
    np.testing.assert_array_equal(
        direct.attention_weights(encoded)[-1], by_text.attention_weights(TEXTS)[-1]
    )
    assert len(by_text.attention_weights(TEXTS)) == 2
    assert len(by_text.attention_weights(TEXTS, layer=0)) == 1
    np.testing.assert_array_equal(direct.token_mask(encoded), by_text.token_mask(TEXTS))
    assert HFAttention(StandIn()).token_mask({"input_ids": [[1, 2]]}).all()
    reader = AttentionCausalDiscovery(direct).fit(encoded)
    assert len(reader.discover(encoded)) == 2


def test_a_model_without_eager_attention_is_refused():
    model = HFAttention(StandIn("sdpa"), Tokenizer())
    with pytest.raises(ValueError, match="attn_implementation='eager'"):
        model.attention_weights(TEXTS)
