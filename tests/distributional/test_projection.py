"""Attention against the paper's example, against loops, and against torch."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

import sklearn_selfattn.distributional.projection as projection
from sklearn_selfattn import DistributionalProjectionVectorizer

from .corpora import merged_words, random_documents
from .reference import RIVER, RIVER_WORDS, attention_naive, selector

PAPER = {
    "weighting": "count", "normalizer": "none", "position": None, "mask_self": False,
    "n_components": 7,
}  # fmt: skip


def fitted(**params):
    params = {"n_components": 8, "min_df": 1, "random_state": 0, **params}
    return DistributionalProjectionVectorizer(**params).fit(random_documents())


# --- the paper's example ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "M", "e_total", "expected"),
    [
        ("river bank flooded", [[0, 4, 5], [4, 0, 3], [5, 3, 0]],
         [68, 60, 42, 35, 66, 121, 28], "shore"),
        ("bank loan", [[0, 6], [6, 0]], [24, 36, 36, 72, 18, 30, 36], "money"),
    ],
)  # fmt: skip
def test_the_paper_s_worked_example(text, M, e_total, expected):
    vectorizer = DistributionalProjectionVectorizer(**PAPER).fit_cooccurrence(RIVER, RIVER_WORDS)
    maps = vectorizer.attention_weights([text])
    assert maps.kind == "kernel"
    assert maps.query_labels == text.split()
    np.testing.assert_array_equal(maps[0][0, 0], M)
    E = vectorizer.project_tokens([text])[0]
    Q = selector(text.split(), RIVER_WORDS)
    np.testing.assert_array_equal(E, (Q @ RIVER @ Q.T) @ (Q @ RIVER))
    np.testing.assert_array_equal(E.sum(axis=0), e_total)
    proba = vectorizer.next_proba([text])[0]
    np.testing.assert_allclose(proba, softmax(np.array(e_total) / len(M)), atol=1e-15)
    assert vectorizer.terms_[proba.argmax()] == expected


def test_the_paper_s_row_normalization():
    vectorizer = DistributionalProjectionVectorizer(**{**PAPER, "normalizer": "sum"})
    vectorizer.fit_cooccurrence(RIVER, RIVER_WORDS)
    weights = vectorizer.attention_weights(["river bank flooded"])[0][0, 0]
    expected = [[0, 4 / 9, 5 / 9], [4 / 7, 0, 3 / 7], [5 / 8, 3 / 8, 0]]
    np.testing.assert_allclose(weights, expected, atol=1e-15)


# --- attention, entry by entry ----------------------------------------------------------------


@pytest.mark.parametrize("scores", ["exact", "factor"])
@pytest.mark.parametrize("options", [
    {"position": None}, {"position": "decay", "directional": True}, {"causal": True},
    {"mask_self": False, "temperature": 2.5}, {"causal": True, "temperature": "sqrt"},
])  # fmt: skip
def test_attention_equals_a_loop(scores, options):
    vectorizer = fitted(scores=scores, **options)
    if scores == "exact":
        S = vectorizer.association_.toarray()
    else:
        S = vectorizer.query_weights_ @ vectorizer.key_weights_.T
    temperature = options.get("temperature", 2.0)
    temperature = np.sqrt(8) if temperature == "sqrt" else temperature
    documents = random_documents(12, n_terms=40, seed=3)  # some words are new
    for document in documents:
        kept = [(vectorizer.vocabulary_[word], place) for place, word in enumerate(document)
                if word in vectorizer.vocabulary_]  # fmt: skip
        if not kept:
            continue
        ids, places = np.array(kept).T
        found = vectorizer.attention_weights([document])[0][0, 0]
        expected = attention_naive(
            S, ids, places, temperature=temperature,
            decay=options.get("position", "decay") == "decay",
            mask_self=options.get("mask_self", True), causal=options.get("causal", False),
        )  # fmt: skip
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_matrix_for_each_distance():
    vectorizer = fitted(position="offset", directional=True, window=3, normalizer="none")
    assert len(vectorizer.associations_) == 3
    document = random_documents(1, longest=12, seed=5)[0] + ["w00", "w01", "w00"]
    ids = [vectorizer.vocabulary_[word] for word in document]
    found = vectorizer.attention_weights([document])[0][0, 0]
    for r, one in enumerate(ids):
        for s, other in enumerate(ids):
            expected = 0.0
            if 0 < abs(s - r) <= 3:
                S = vectorizer.associations_[abs(s - r) - 1]
                expected = S[one, other] if s > r else S[other, one]
            assert found[r, s] == pytest.approx(expected, abs=1e-12)


def test_heads_are_slices_of_the_spectrum_or_bands_of_distance():
    document = [random_documents(4, seed=8)[2] + ["w00", "w02", "w01"]]
    whole = fitted(n_heads=1, scores="factor", normalizer="none", position=None)
    slices = fitted(n_heads=4, scores="factor", normalizer="none", position=None)
    parts = slices.attention_weights(document)[0][0]
    np.testing.assert_allclose(
        parts.sum(axis=0), whole.attention_weights(document)[0][0, 0], atol=1e-12
    )
    assert np.abs(parts[0]).max() > np.abs(parts[3]).max()
    bands = fitted(n_heads=4, heads="offset", n_components=8)
    assert bands.transform(document).shape == (1, 8)
    ids = [bands.vocabulary_[word] for word in document[0]]
    for S, weights in zip(
        bands.associations_, bands.attention_weights(document)[0][0], strict=True
    ):
        expected = attention_naive(
            S.toarray(), ids, np.arange(len(ids)), temperature=2.0, decay=True
        )
        np.testing.assert_allclose(weights, expected, atol=1e-12)


@pytest.mark.parametrize("options", [
    {}, {"n_heads": 2, "heads": "offset"}, {"causal": True, "pooling": "mean"},
    {"position": "offset", "pooling": "idf"}, {"mix": 0.0}, {"mix": 1.0, "normalizer": "sum"},
])  # fmt: skip
def test_a_document_is_the_mean_of_its_weighted_tokens(options, monkeypatch):
    """The pooled vector goes a shorter way than the tokens; both must arrive."""
    mix = options.get("mix", 0.3)
    vectorizer = fitted(**{**options, "mix": mix, "token_mix": mix})
    documents = [document for document in random_documents(40, seed=2) if document]
    n, share = vectorizer.n_documents_, vectorizer.token_counts_ / vectorizer.token_counts_.sum()
    weights = {
        "sif": 1e-3 / (1e-3 + share), "mean": np.ones(len(share)),
        "idf": np.log((1 + n) / (1 + vectorizer.document_counts_)) + 1,
    }[options.get("pooling", "sif")]  # fmt: skip
    weights = weights / (share @ weights)  # the mean token of the corpus weighs 1
    for document, pooled, tokens in zip(
        documents, vectorizer.transform(documents), vectorizer.transform_tokens(documents),
        strict=True,
    ):  # fmt: skip
        weight = weights[[vectorizer.vocabulary_[word] for word in document]]
        np.testing.assert_allclose(pooled, weight @ tokens / len(document), atol=1e-12)
    # Pieces of a document give what the whole gives.
    whole = vectorizer.transform_tokens(documents), vectorizer.transform(documents)
    maps = vectorizer.attention_weights(documents)[0]
    monkeypatch.setattr(projection, "_MAX_PAIRS", 20)
    for a, b in zip(whole[0], vectorizer.transform_tokens(documents), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
    np.testing.assert_allclose(whole[1], vectorizer.transform(documents), atol=1e-12)
    np.testing.assert_allclose(maps, vectorizer.attention_weights(documents)[0], atol=1e-12)


def test_the_order_of_words_counts_where_it_should():
    """Same bag, other roles. Direction alone changes nothing: the equation has no order in it."""
    one, other = ["the river flooded the bank"], ["the bank flooded the river"]
    corpus = one * 3 + ["the river", "a bank", "flooded the bank river", "the flooded river"]
    differs = {}
    for name, options in {
        "none": {"position": None}, "direction": {"position": None, "directional": True},
        "decay": {"position": "decay"}, "causal": {"position": None, "causal": True},
        "offset": {"position": "offset", "directional": True},
    }.items():  # fmt: skip
        vectorizer = DistributionalProjectionVectorizer(
            3, min_df=1, mix=0.5, random_state=0, **options
        ).fit(corpus)
        gap = np.abs(vectorizer.transform(one) - vectorizer.transform(other)).max()
        differs[name] = bool(gap > 1e-6)
        assert differs[name] or gap < 1e-12
    assert differs == {
        "none": False, "direction": False, "decay": True, "causal": True, "offset": True,
    }  # fmt: skip


def test_causal_words_do_not_see_what_follows():
    vectorizer = fitted(causal=True)
    document = random_documents(1, seed=8)[0] + ["w00", "w01", "w02", "w00"]
    whole = vectorizer.transform_tokens([document])[0]
    for length in range(1, len(document)):
        part = vectorizer.transform_tokens([document[:length]])[0]
        np.testing.assert_allclose(part, whole[:length], atol=1e-12)


# --- torch ------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [
    {}, {"directional": True}, {"causal": True, "position": None},
    {"mask_self": False, "temperature": "sqrt"}, {"scores": "factor", "n_components": 12},
    {"scores": "factor", "n_components": 12, "n_heads": 2, "directional": True},
    {"scores": "factor", "n_components": 12, "n_heads": 3, "causal": True},
    {"scores": "factor", "n_components": 6, "n_heads": 2, "heads": "offset"},
])  # fmt: skip
def test_torch_computes_the_same(options):
    vectorizer = fitted(**{"n_components": 30, "token_mix": 0.7, **options})
    layer = vectorizer.to_torch()
    assert isinstance(layer.attention, torch.nn.MultiheadAttention)
    for document in random_documents(20, seed=4):
        if not document:
            continue
        ids = torch.tensor([vectorizer.vocabulary_[word] for word in document])
        vectors, weights = layer(ids)
        expected = vectorizer.transform_tokens([document])[0]
        np.testing.assert_allclose(vectors.detach(), expected, atol=1e-10)
        maps = vectorizer.attention_weights([document])[0][0]
        np.testing.assert_allclose(weights.detach(), maps, atol=1e-10)
        batch, _ = layer(ids.repeat(2, 1))
        np.testing.assert_allclose(batch[1].detach(), expected, atol=1e-10)


@pytest.mark.parametrize("directional", [False, True])
def test_plain_torch_attention_over_one_hot_words(directional):
    """W_Q, W_K and W_V as the projections of an untouched MultiheadAttention."""
    vectorizer = fitted(
        n_components=30, position=None, mask_self=False, token_mix=1.0, directional=directional
    )
    W = vectorizer.to_attention()
    layer = torch.nn.MultiheadAttention(30, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        stacked = [W["W_Q"] * np.sqrt(30) / W["temperature"], W["W_K"], W["W_V"]]
        layer.in_proj_weight.copy_(torch.tensor(np.hstack(stacked).T))
        layer.out_proj.weight.copy_(torch.eye(30))
    document = ["w00", "w05", "w01", "w00", "w02"]
    H = torch.tensor(selector(document, vectorizer.terms_))
    found, _ = layer(H, H, H)
    np.testing.assert_allclose(
        found.detach(), vectorizer.transform_tokens([document])[0], atol=1e-10
    )


def test_torch_can_be_trained_on_and_leaves_the_global_state_alone():
    vectorizer = fitted(scores="factor")
    state = torch.random.get_rng_state()
    layer = vectorizer.to_torch()
    assert torch.equal(state, torch.random.get_rng_state())
    vectors, _ = layer(torch.tensor([3, 1, 4]))
    vectors.square().sum().backward()
    assert all(parameter.grad is not None for parameter in layer.parameters())


@pytest.mark.parametrize(("options", "words"), [
    ({}, "scores='exact' have rank 30, the heads 8"),
    ({"normalizer": "sum"}, "normalizer='sum'"),
    ({"position": "offset"}, "position='offset'"),
])  # fmt: skip
def test_what_torch_cannot_compute_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        fitted(**options).to_torch()


# --- the test a toy would fail ----------------------------------------------------------------


def test_attention_finds_the_clue_to_which_of_two_merged_words_it_was():
    """The right clue is near, a wrong one far, and chatter everywhere between.

    Which words are clues and which are chatter is for the corpus to say, where they stand is for
    the position: neither alone is enough.
    """
    documents, background, meanings, token, right, wrong = merged_words()
    number = np.arange(len(documents))
    vectorizer = DistributionalProjectionVectorizer(
        20, min_df=1, decay="flat", window=3, token_mix=1.0, random_state=0
    ).fit(documents + background)
    share, auc = {}, {}
    for name, params in {
        "both": {"temperature": 0.5}, "associations": {"temperature": 0.5, "position": None},
        "distance": {"temperature": 1e9}, "neither": {"temperature": 1e9, "position": None},
    }.items():  # fmt: skip
        vectorizer.set_params(**{"position": "decay", **params})
        weights = vectorizer.attention_weights(documents)[0][number, 0, token]  # (n, t)
        share[name] = (weights.argmax(axis=1) == right).mean()
        if name in ("both", "neither"):
            vectors = np.array(vectorizer.transform_tokens(documents))[number, token]
            vectors = vectors / vectors.std()
            model = LogisticRegression().fit(vectors[:100], meanings[:100])
            auc[name] = roc_auc_score(meanings[100:], model.decision_function(vectors[100:]))
    assert share["both"] > 0.8, (share, auc)
    assert share["associations"] < 0.65, (share, auc)  # it cannot tell right from wrong
    assert share["distance"] == 0  # chatter is nearer
    assert auc["both"] > max(auc["neither"] + 0.25, 0.85), (share, auc)
