"""Counts against a loop, associations against their definitions, factors against linear algebra."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import sklearn_selfattn.distributional.association as association
from sklearn_selfattn.distributional.association import associate, factorize
from sklearn_selfattn.distributional.cooccurrence import PairCounter, offset_bands, offset_weights

from .corpora import random_documents
from .reference import pairs_naive, pmi_naive, term_counts

DECAYS = {
    "harmonic": lambda offset: 1 / offset,
    "linear": lambda offset: (5 - offset) / 4,
    "flat": lambda offset: 1.0,
}


def count(documents, window=4, decay="harmonic", bands=None, **options):
    counter = PairCounter(
        offset_weights(window, decay), bands or [list(range(1, window + 1))], **options
    )
    counter.update(documents)
    return counter


def by_alphabet(counter):
    vocabulary, kept = counter.select(min_df=1, max_df=1.0, max_features=None)
    return list(vocabulary), [pairs[kept][:, kept].toarray() for pairs in counter.pairs]


@pytest.mark.parametrize("decay", [*DECAYS, lambda offset: 2.0**-offset])
def test_counts_equal_a_loop(decay):
    documents = random_documents()
    terms, (counts,) = by_alphabet(count(documents, decay=decay))
    weight = DECAYS.get(decay, decay)
    assert terms == sorted(term_counts(documents))
    np.testing.assert_allclose(counts, pairs_naive(documents, 4, weight, terms), atol=1e-12)


def test_counts_of_terms_and_documents():
    documents = random_documents()
    counter = count(documents)
    expected = term_counts(documents)
    in_documents = term_counts([set(document) for document in documents])
    for term, number in counter.terms.items():
        assert counter.token_counts[number] == expected[term]
        assert counter.document_counts[number] == in_documents[term]
    assert counter.n_documents == len(documents)


def test_unknown_words_keep_their_places():
    documents = random_documents()
    terms = ["w03", "w00", "w11"]
    counter = count(documents, vocabulary=terms)
    assert list(counter.terms) == terms
    expected = pairs_naive(documents, 4, DECAYS["harmonic"], terms)
    np.testing.assert_allclose(counter.pairs[0].toarray(), expected, atol=1e-12)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.lists(st.lists(st.sampled_from("abcde"), max_size=7), min_size=1, max_size=6), st.data())
def test_order_and_chunks_of_documents_do_not_matter(documents, data):
    if not any(documents):
        return
    whole = by_alphabet(count(documents))
    shuffled = data.draw(st.permutations(documents))
    cut = data.draw(st.integers(0, len(documents)))
    in_chunks = count(documents[:cut])
    in_chunks.update(documents[cut:])
    for other in (by_alphabet(count(shuffled)), by_alphabet(in_chunks)):
        assert other[0] == whole[0]
        np.testing.assert_allclose(other[1], whole[1], atol=1e-12)


def test_an_update_leaves_copies_alone():
    import copy

    counter = count(random_documents(20))
    before = copy.copy(counter)
    pairs, terms = before.pairs[0].toarray(), dict(before.terms)
    counter.update(random_documents(20, n_terms=60, seed=1))
    np.testing.assert_array_equal(before.pairs[0].toarray(), pairs)
    assert before.terms == terms
    assert len(counter.terms) > len(terms)


def test_bands_share_the_distances_out():
    assert offset_bands(5, 4) == [[1], [2, 3], [4, 5], []]
    assert offset_bands(5, 2) == [[1, 2, 3, 4, 5], []]
    with pytest.raises(ValueError, match="n_heads=5 are too many"):
        offset_bands(5, 5)
    documents = random_documents()
    terms, (near, middle, document) = by_alphabet(count(documents, bands=offset_bands(4, 3)))
    whole = pairs_naive(documents, 4, DECAYS["harmonic"], terms)
    first = pairs_naive(documents, 1, DECAYS["harmonic"], terms)
    np.testing.assert_allclose(near, first, atol=1e-12)
    np.testing.assert_allclose(near + middle, whole, atol=1e-12)
    together = [[sum({a, b} <= set(d) for d in documents) for b in terms] for a in terms]
    np.testing.assert_allclose(document + document.T, together)


def test_rare_terms_are_forgotten_and_frequent_ones_are_not():
    frequent = [["a", "b"]] * 50
    counter = count(frequent, max_terms=10)
    for number in range(40):
        counter.update([[f"rare{number}", "a"]])
    assert len(counter.terms) <= 10
    assert counter.token_counts[counter.terms["a"]] == 90
    assert counter.pairs[0][counter.terms["a"], counter.terms["b"]] == 50


def test_vocabulary_by_documents_and_frequency():
    counter = count([["a", "b", "b"], ["a", "c"], ["a", "d", "d"], ["b"]])
    select = lambda **kw: list(  # noqa: E731
        counter.select(**{"min_df": 1, "max_df": 1.0, "max_features": None, **kw})[0]
    )
    assert select() == list("abcd")
    assert select(min_df=2) == ["a", "b"]
    assert select(max_df=2) == ["b", "c", "d"]
    assert select(max_df=0.5, min_df=0.5) == ["b"]
    assert select(max_features=3) == ["a", "b", "d"]
    with pytest.raises(ValueError, match="After pruning, no terms remain.*min_df=4"):
        select(min_df=4)
    with pytest.raises(ValueError, match="max_df corresponds to < documents than min_df"):
        select(min_df=3, max_df=2)


# --- associations -----------------------------------------------------------------------------


@pytest.fixture
def counts():
    documents = random_documents()
    return pairs_naive(documents, 4, DECAYS["harmonic"], sorted(term_counts(documents)))


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("alpha", [0.75, 1.0])
def test_pmi_is_what_its_definition_says(counts, symmetric, alpha):
    counts = counts + counts.T if symmetric else counts
    expected = pmi_naive(counts, alpha)
    if symmetric:
        expected = (expected + expected.T) / 2
    options = {"context_smoothing": alpha, "symmetric": symmetric}
    found = associate(sparse.csr_matrix(counts), weighting="pmi", shift=1.0, **options)
    np.testing.assert_allclose(found.toarray(), np.where(counts > 0, expected, 0), atol=1e-12)
    positive = associate(sparse.csr_matrix(counts), weighting="ppmi", shift=3.0, **options)
    np.testing.assert_allclose(
        positive.toarray(), np.maximum(expected - np.log(3.0), 0), atol=1e-12
    )
    assert positive.nnz == (expected > np.log(3.0)).sum()


def test_unsmoothed_pmi_of_a_known_table():
    # Two pairs that never mix, equally frequent: p(a, b) = 1/2, p(a) = p(b) = 1/2.
    S = sparse.csr_matrix(np.kron(np.eye(2), 3.0))
    found = associate(S, weighting="pmi", shift=1.0, context_smoothing=1.0, symmetric=True)
    np.testing.assert_allclose(found.toarray(), np.kron(np.eye(2), np.log(2.0)), atol=1e-15)


def test_counts_and_their_logarithm(counts):
    S = sparse.csr_matrix(counts)
    options = {"shift": 1.0, "context_smoothing": 0.75, "symmetric": False}
    np.testing.assert_array_equal(associate(S, weighting="count", **options).toarray(), counts)
    found = associate(S, weighting="log1p", **options).toarray()
    np.testing.assert_allclose(found, np.log1p(counts), atol=1e-15)
    np.testing.assert_array_equal(S.toarray(), counts)  # and the input is as it was


# --- factors ----------------------------------------------------------------------------------


@pytest.mark.parametrize("symmetric", [True, False])
def test_full_rank_factors_are_exact_and_lower_ranks_better_and_better(counts, symmetric):
    S = counts + counts.T if symmetric else counts
    errors = []
    for rank in range(1, len(S) + 1):
        W_Q, W_K, W_V, spectrum = factorize(
            sparse.csr_matrix(S), rank, symmetric=symmetric, power=1.0, random_state=None
        )
        errors.append(np.linalg.norm(W_Q @ W_K.T - S))
        # The values' geometry is that of S: V V' = S S'.
        assert W_V.shape == (len(S), rank)
    assert (np.diff(errors) <= 1e-9).all()
    np.testing.assert_allclose(W_Q @ W_K.T, S, atol=1e-10)
    np.testing.assert_allclose(W_V @ W_V.T, S @ S.T, atol=1e-8)
    assert (np.diff(np.abs(spectrum)) <= 1e-9).all()
    assert symmetric == bool((spectrum < -1e-6).any())


@pytest.mark.parametrize("symmetric", [True, False])
def test_the_sketch_of_a_large_matrix_finds_its_leading_part(symmetric, monkeypatch):
    monkeypatch.setattr(association, "_DENSE_SIZE", 100)
    rng = np.random.default_rng(0)
    S = sparse.random(300, 300, density=0.02, random_state=0).tocsr() * 0.01
    top = rng.normal(size=(300, 5)) * (rng.random((300, 1)) < 0.3)
    S = S + sparse.csr_matrix(top @ np.diag([5, -4, 3, 2, 1]) @ top.T)
    S = (S + S.T).tocsr() if symmetric else S
    W_Q, W_K, _, spectrum = factorize(
        S, 5, symmetric=symmetric, power=0.5, random_state=np.random.RandomState(0)
    )
    U, exact, Vt = np.linalg.svd(S.toarray())
    np.testing.assert_allclose(np.abs(spectrum), exact[:5], rtol=1e-6)
    np.testing.assert_allclose(W_Q @ W_K.T, (U[:, :5] * exact[:5]) @ Vt[:5], atol=1e-5)


def test_directions_that_are_not_there_give_no_values():
    S = sparse.csr_matrix(np.diag([2.0, 0.0, 0.0]))
    _, _, W_V, _ = factorize(S, 3, symmetric=True, power=0.0, random_state=None)
    np.testing.assert_allclose(np.abs(W_V), np.diag([1.0, 0.0, 0.0]), atol=1e-12)
