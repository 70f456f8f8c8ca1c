"""The scikit-learn face: scikit-learn's checks, text in all forms, chunks, copies, bad input."""

import pickle
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import clone
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils.estimator_checks import check_estimator

from sklearn_selfattn import DistributionalProjectionVectorizer
from sklearn_selfattn.core.maps import SupportsAttention, as_attention_maps

from .corpora import random_documents, two_topics
from .reference import RIVER, RIVER_WORDS

NAME = DistributionalProjectionVectorizer.__name__
# Those of scikit-learn's checks that feed no tables; check_estimator leaves them out for text.
CHECKS = [
    "check_estimator_cloneable", "check_estimator_tags_renamed", "check_valid_tag_types",
    "check_estimator_repr", "check_no_attributes_set_in_init", "check_mixin_order",
    "check_do_not_raise_errors_in_init_or_set_params", "check_parameters_default_constructible",
    "check_get_params_invariance", "check_set_params", "check_get_feature_names_out_error",
]  # fmt: skip


def small(**params):
    params = {"n_components": 6, "min_df": 1, "random_state": 0, **params}
    return DistributionalProjectionVectorizer(**params)


@pytest.fixture
def corpus():
    return two_topics(120)


# --- scikit-learn's checks --------------------------------------------------------------------


def test_check_estimator_at_defaults():
    """As for scikit-learn's own vectorizers, it says that the checks on tables do not apply."""
    with pytest.warns(SkipTestWarning, match="requires input"):
        results = check_estimator(DistributionalProjectionVectorizer(), on_fail=None)
    assert results
    assert {result["status"] for result in results} == {"passed"}
    with pytest.warns(SkipTestWarning, match="requires input"):
        peer = check_estimator(CountVectorizer(), on_fail=None)
    assert len(results) == len(peer)


@pytest.mark.parametrize("name", CHECKS)
def test_scikit_learn_check(name):
    getattr(estimator_checks, name)(NAME, DistributionalProjectionVectorizer())


@pytest.mark.parametrize("name", [
    name for name, allowed in DistributionalProjectionVectorizer._parameter_constraints.items()
    if not any(str(kind) == "no_validation" for kind in allowed)
])  # fmt: skip
def test_every_parameter_is_validated(name):
    wrong = small(**{name: type("Wrong", (), {})()})
    with pytest.raises(ValueError, match=f"The '{name}' parameter of {NAME} must be"):
        wrong.fit(["a b"])


def test_tags_and_protocol():
    tags = get_tags(small())
    assert tags.input_tags.string
    assert tags.requires_fit
    assert not (tags.input_tags.two_d_array or tags.no_validation or tags.non_deterministic)
    assert set(small().get_params()) == set(small()._parameter_constraints)
    assert isinstance(small(), SupportsAttention)


# --- documents --------------------------------------------------------------------------------


def test_texts_tokens_series_arrays_and_generators_agree(corpus):
    texts, _ = corpus
    expected = small().fit(texts).transform(texts)
    tokens = [text.split() for text in texts]
    for form in (
        tokens, [tuple(words) for words in tokens], [np.array(words) for words in tokens],
        np.array(texts), np.array(texts, dtype=object), pd.Series(texts, dtype=object),
        [text.upper() for text in texts], [text.encode() for text in texts],
    ):  # fmt: skip
        np.testing.assert_array_equal(small().fit(form).transform(form), expected)
    found = small().fit(text for text in texts).transform(text for text in texts)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(small().fit_transform(text for text in texts), expected)


def test_a_document_has_its_vector_in_any_company(corpus):
    texts, _ = corpus
    texts = [*texts, "cat", "", "the the the the dog runs with a cat again and again the end"]
    vectorizer = small(scores="factor", n_heads=2, mix=0.5).fit(texts)
    together = vectorizer.transform(texts)
    order = np.random.default_rng(0).permutation(len(texts))
    shuffled = vectorizer.transform([texts[number] for number in order])
    np.testing.assert_allclose(shuffled, together[order], atol=1e-12)
    for number in (0, len(texts) - 3, len(texts) - 1):
        alone = vectorizer.transform([texts[number]])
        np.testing.assert_allclose(alone[0], together[number], atol=1e-12)


def test_the_text_parameters_are_count_vectorizer_s(corpus):
    texts = [*corpus[0], "Caps"]
    for params in (
        {"stop_words": "english"}, {"analyzer": "char", "token_pattern": None},
        {"token_pattern": r"[a-d]\w+"}, {"analyzer": str.split, "token_pattern": None},
        {"tokenizer": str.split, "token_pattern": None}, {"min_df": 5, "max_df": 0.3},
        {"max_features": 5}, {"lowercase": False}, {"vocabulary": ["cat", "bread", "dog"]},
    ):  # fmt: skip
        ours = small(n_components=2, **params).fit(texts)
        theirs = CountVectorizer(**{"token_pattern": r"(?u)\b\w+\b", **params}).fit(texts)
        assert ours.vocabulary_ == theirs.vocabulary_, params
        assert ours.terms_.tolist() == theirs.get_feature_names_out().tolist()


def test_nothing_known_gives_zeros_not_nan(corpus):
    for params in ({}, {"mix": 0.5}, {"mix": 0.5, "normalizer": "sum"}, {"remove_components": 2}):
        vectorizer = small(**params).fit(corpus[0])
        odd = ["", "unheard of", [], "cat"]
        X = vectorizer.transform(odd)
        assert (X[:3] == 0).all()
        assert np.isfinite(X).all()
        assert np.abs(X[3]).max() > 0
        assert [len(tokens) for tokens in vectorizer.transform_tokens(odd)] == [0, 0, 0, 1]
        proba = vectorizer.next_proba(odd)
        np.testing.assert_allclose(proba[:3], 1 / len(vectorizer.terms_))
        np.testing.assert_allclose(proba.sum(axis=1), 1.0)
        assert vectorizer.kept_tokens(odd) == [[], [], [], ["cat"]]
        assert vectorizer.transform([]).shape == (0, 6)
        with pytest.raises(ValueError, match="No document has a word of the vocabulary"):
            vectorizer.attention_weights(odd[:3])


def test_words_that_never_meet(corpus):
    vectorizer = small(n_components=2).fit(["one", "two", "three"])
    np.testing.assert_array_equal(vectorizer.transform(["one two"]), [[0, 0]])
    assert vectorizer.most_similar("one") == [("three", 0.0), ("two", 0.0)]


def test_attention_of_several_documents():
    documents = [document for document in random_documents(5) if document]
    vectorizer = small().fit(documents)
    maps = as_attention_maps(vectorizer, documents)
    assert maps.n_samples == len(documents)
    assert maps.query_labels == list(range(max(map(len, documents))))
    for sample, document in zip(maps[0], documents, strict=True):
        alone = vectorizer.attention_weights([document], layer=-1)
        assert alone.key_labels == document
        np.testing.assert_allclose(sample[:, : len(document), : len(document)], alone[0][0])
        assert sample[:, : len(document), len(document) :].sum() == 0
    with pytest.raises(ValueError, match="there is one layer, got 1"):
        vectorizer.attention_weights(documents, layer=1)


# --- corpora in chunks, counts from elsewhere -------------------------------------------------


def test_chunks_equal_the_whole():
    documents = random_documents(300)
    for params in ({}, {"heads": "offset", "n_heads": 3}, {"vocabulary": ["w01", "w07", "w00"]}):
        params = {"n_components": 3, "mix": 0.5, **params}
        whole = small(**params).fit(documents)
        chunks = small(**params)
        for start in range(0, 300, 70):
            chunks.partial_fit(documents[start : start + 70], decompose=False)
        with pytest.raises(NotFittedError):
            chunks.transform(documents)
        chunks.partial_fit([])
        np.testing.assert_allclose(
            chunks.transform(documents), whole.transform(documents), atol=1e-9
        )
        assert chunks.vocabulary_ == whole.vocabulary_
        np.testing.assert_array_equal(chunks.token_counts_, whole.token_counts_)
        resumed = small(**params).fit(documents[:100]).partial_fit(documents[100:])
        np.testing.assert_allclose(resumed.association_.toarray(), whole.association_.toarray())
        assert resumed.n_documents_ == 300


def test_counting_alone_leaves_the_vectors_as_they_were(corpus):
    texts, _ = corpus
    vectorizer = small().fit(texts)
    before = vectorizer.transform(texts)
    vectorizer.partial_fit(["new words come in here"] * 50, decompose=False)
    np.testing.assert_array_equal(vectorizer.transform(texts), before)
    assert "come" not in vectorizer.vocabulary_
    assert "come" in vectorizer.partial_fit([]).vocabulary_


def test_a_stream_of_ever_new_words_stays_bounded():
    """Ten times the tokens, the same memory: what a stream shows once is forgotten."""

    def peak(n_chunks):
        vectorizer = small(max_features=50)
        rng = np.random.default_rng(0)
        tracemalloc.start()
        for chunk in range(n_chunks):
            words = [f"w{number}" for number in rng.integers(0, 40, size=1000)]
            words[::10] = [f"new{chunk}_{number}" for number in range(100)]
            lines = np.array(words).reshape(-1, 20).tolist()
            vectorizer.partial_fit(lines, decompose=False)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        vectorizer.partial_fit([])
        assert {f"w{number}" for number in range(40)} <= set(vectorizer.vocabulary_)
        return size

    assert peak(40) < 1.5 * peak(6)


def test_counts_from_elsewhere(corpus):
    texts, _ = corpus
    fitted = small().fit(texts)
    for form in (fitted.cooccurrence_, fitted.cooccurrence_.toarray()):
        other = small().fit_cooccurrence(form, fitted.terms_)
        np.testing.assert_allclose(
            other.association_.toarray(), fitted.association_.toarray(), atol=1e-12
        )
        assert other.most_similar("cat", 3)[0][0] == fitted.most_similar("cat", 3)[0][0]
        assert np.isfinite(other.transform(texts)).all()
    directed = small(directional=True).fit(texts)
    other = small(directional=True).fit_cooccurrence(directed.cooccurrence_, directed.terms_)
    np.testing.assert_allclose(other.value_weights_, directed.value_weights_, atol=1e-9)
    both_ways = directed.cooccurrence_ + directed.cooccurrence_.T
    np.testing.assert_allclose(both_ways.toarray(), fitted.cooccurrence_.toarray(), atol=1e-12)


@pytest.mark.parametrize(("spoil", "params", "words"), [
    (lambda S: S[:3], {}, "one row and one column for each of the 7 terms, got shape (3, 7)"),
    (lambda S: S - 1, {}, "finite counts that are not negative"),
    (lambda S: S * np.nan, {}, "finite counts that are not negative"),
    (lambda S: S + np.triu(S), {}, "not symmetric: pass directional=True"),
    (lambda S: S, {"heads": "offset", "n_heads": 2}, "does not tell how far apart"),
    (lambda S: S, {"pooling": "idf"}, "pooling='idf' needs documents"),
])  # fmt: skip
def test_counts_that_cannot_be_used(spoil, params, words):
    with pytest.raises(ValueError) as error:
        small(**params).fit_cooccurrence(spoil(RIVER.astype(float)), RIVER_WORDS)
    assert words in str(error.value)


# --- words ------------------------------------------------------------------------------------


def test_words_of_a_topic_are_near_each_other(corpus):
    vectorizer = small(window=4).fit(two_topics(600)[0])
    assert {word for word, _ in vectorizer.most_similar("cat", 3)} <= {"dog", "horse", "sheep"}
    assert {word for word, _ in vectorizer.most_similar("soup", 3)} <= {"bread", "cheese", "rice"}
    cosines = [cosine for _, cosine in vectorizer.most_similar("cat", 50)]
    assert sorted(cosines, reverse=True) == cosines
    assert len(cosines) == len(vectorizer.terms_) - 1
    W = vectorizer.to_attention()["W_V"]
    cat, dog = (W[vectorizer.vocabulary_[word]] for word in ("cat", "dog"))
    cosine = cat @ dog / np.linalg.norm(cat) / np.linalg.norm(dog)
    assert dict(vectorizer.most_similar("cat"))["dog"] == pytest.approx(cosine)


def test_analogy_by_arithmetic():
    vectorizer = small().fit(two_topics(600)[0])
    answers = vectorizer.analogy("cat", "runs", "soup", n_words=3)
    W = vectorizer.value_weights_ / np.linalg.norm(vectorizer.value_weights_, axis=1)[:, None]
    cat, runs, soup = (W[vectorizer.vocabulary_[word]] for word in ("cat", "runs", "soup"))
    wanted = runs - cat + soup
    cosines = dict(zip(vectorizer.terms_, W @ wanted / np.linalg.norm(wanted), strict=True))
    for word in ("cat", "runs", "soup"):
        del cosines[word]
    best = sorted(cosines, key=cosines.__getitem__, reverse=True)[:3]
    assert [word for word, _ in answers] == best
    assert answers[0][1] == pytest.approx(cosines[best[0]])


# --- among others, saved and copied -----------------------------------------------------------


def test_pipeline_search_and_frames(corpus):
    texts, topic = corpus
    model = make_pipeline(small(mix=0.2), LogisticRegression())
    grid = {
        "distributionalprojectionvectorizer__n_components": [2, 6],
        "distributionalprojectionvectorizer__window": [1, 3],
        "distributionalprojectionvectorizer__weighting": ["ppmi", "log1p"],
    }
    search = GridSearchCV(model, grid, cv=2).fit(texts, topic)
    assert search.best_score_ > 0.95
    for frame in (
        small().set_output(transform="pandas").fit(texts).transform(pd.Series(texts)),
        small().set_output(transform="pandas").fit_transform(texts),
    ):
        assert isinstance(frame, pd.DataFrame)
        assert frame.columns.tolist() == [f"{NAME.lower()}{number}" for number in range(6)]
        np.testing.assert_array_equal(frame.to_numpy(), small().fit(texts).transform(texts))


def test_copies_are_equal_and_fits_repeat(corpus):
    texts, _ = corpus
    vectorizer = small(heads="offset", n_heads=2, mix=0.5).fit(texts)
    expected = vectorizer.transform(texts)
    np.testing.assert_array_equal(vectorizer.fit(texts).transform(texts), expected)
    np.testing.assert_array_equal(clone(vectorizer).fit(texts).transform(texts), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(vectorizer)).transform(texts), expected)
    saved = skops.io.dumps(vectorizer)
    unknown = skops.io.get_untrusted_types(data=saved)
    assert all(
        name.startswith(("sklearn_selfattn.", "scipy.sparse._csr.csr_matrix")) for name in unknown
    ), unknown
    loaded = skops.io.loads(saved, trusted=unknown)
    np.testing.assert_array_equal(loaded.transform(texts), expected)
    np.testing.assert_array_equal(
        loaded.partial_fit([]).transform(texts), vectorizer.partial_fit([]).transform(texts)
    )


def test_a_large_vocabulary_is_seeded():
    rng = np.random.default_rng(0)
    documents = [[f"w{number}" for number in rng.integers(0, 900, 12)] for _ in range(500)]
    one, other = (small().fit(documents).value_weights_ for _ in range(2))
    np.testing.assert_array_equal(one, other)
    spectra = [small(random_state=seed).fit(documents).spectrum_ for seed in (0, 1)]
    assert not np.array_equal(*spectra)  # another sketch, of the same matrix
    np.testing.assert_allclose(*spectra, rtol=0.05)
