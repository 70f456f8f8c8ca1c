"""Bad input: the error's kind and words, and nothing fitted is lost."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.exceptions import NotFittedError

from sklearn_selfattn import DistributionalProjectionVectorizer

from .corpora import two_topics
from .reference import RIVER, RIVER_WORDS


def small(**params):
    params = {"n_components": 6, "min_df": 1, "random_state": 0, **params}
    return DistributionalProjectionVectorizer(**params)


@pytest.fixture
def corpus():
    return two_topics(120)


@pytest.mark.parametrize(("documents", "error", "words"), [
    ("a bare string", ValueError,
     "Iterable over raw text documents expected, string object received."),
    (["fine", np.nan], TypeError, "Document 1 is of type float"),
    (["fine", None], TypeError, "Document 1 is of type NoneType"),
    (["fine", 3], TypeError, "Document 1 is of type int"),
    ([["fine", 3]], TypeError, "Document 0 has tokens of type int: tokens must be strings"),
    (pd.DataFrame({"text": ["a", "b"]}), ValueError, "got a table with shape (2, 1)"),
    (np.array([["a", "b"]]), ValueError, "got a table with shape (1, 2)"),
    (7, TypeError, "not iterable"),
])  # fmt: skip
def test_what_is_no_document_is_refused_and_nothing_is_lost(corpus, documents, error, words):
    vectorizer = small().fit(corpus[0])
    before = vectorizer.transform(corpus[0])
    for method in (
        vectorizer.fit, vectorizer.partial_fit, vectorizer.transform, vectorizer.fit_transform,
        vectorizer.transform_tokens, vectorizer.attention_weights, vectorizer.next_proba,
    ):  # fmt: skip
        with pytest.raises(error) as caught:
            method(documents)
        assert words in str(caught.value)
    np.testing.assert_array_equal(vectorizer.transform(corpus[0]), before)
    np.testing.assert_array_equal(vectorizer.partial_fit([]).transform(corpus[0]), before)


@pytest.mark.parametrize(("documents", "params", "words"), [
    (["", "  "], {}, "empty vocabulary; perhaps the documents only contain stop words"),
    ([], {}, "empty vocabulary"),
    (["the a"], {"stop_words": "english", "min_df": 1}, "empty vocabulary"),
    (["one", "two"], {"min_df": 2}, "After pruning, no terms remain"),
    (["a b"], {"vocabulary": []}, "empty vocabulary passed to fit"),
    (["a b"], {"vocabulary": ["a", "a"]}, "vocabulary has repeated terms"),
    (["a b"], {"vocabulary": {"a": 0, "b": 2}}, "without gaps and repetitions"),
    (["a b"], {"n_heads": 4}, "n_components=6 must be a multiple of n_heads=4"),
    (["a b"], {"n_heads": 2}, "pass scores='factor', or heads='offset'"),
    (["a b"], {"n_heads": 3, "scores": "factor"}, "2 terms, too few for n_heads=3"),
    (["a b"], {"n_heads": 6, "heads": "offset"}, "n_heads=6 are too many, widen the window"),
    (["a b"], {"position": "offset", "scores": "factor"}, "position='offset' needs one head"),
    (["a b"], {"normalizer": "sum", "weighting": "pmi"}, "normalizer='sum' needs scores"),
    (["a b"], {"decay": lambda offset: -1.0}, "decay must give finite weights"),
])  # fmt: skip
def test_what_cannot_be_fitted_is_refused_and_nothing_is_lost(corpus, documents, params, words):
    vectorizer = small().fit(corpus[0])
    before = vectorizer.transform(corpus[0])
    with pytest.raises(ValueError) as caught:
        vectorizer.set_params(**params).fit(documents)
    assert words in str(caught.value)
    np.testing.assert_array_equal(vectorizer.set_params(**small().get_params()).transform(
        corpus[0]), before)  # fmt: skip


def test_more_components_than_terms():
    with pytest.warns(UserWarning, match="n_components=9, but the vocabulary has only 3 terms: 3"):
        vectorizer = small(n_components=9).fit(["a b c", "a b"])
    assert vectorizer.transform(["a b"]).shape == (1, 3)
    assert len(vectorizer.get_feature_names_out()) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small(n_components=3).fit(["a b c", "a b"])


def test_chunks_must_be_counted_alike(corpus):
    vectorizer = small().fit(corpus[0])
    with pytest.raises(ValueError, match="partial_fit cannot go on: window"):
        vectorizer.set_params(window=2).partial_fit(corpus[0])
    precomputed = small().fit_cooccurrence(sparse.csr_matrix(RIVER), RIVER_WORDS)
    assert precomputed.partial_fit(corpus[0]).n_documents_ == len(corpus[0])


def test_words_that_are_not_there(corpus):
    vectorizer = small().fit(corpus[0])
    for call in (lambda: vectorizer.most_similar("dragon"),
                 lambda: vectorizer.analogy("cat", "dragon", "dog")):  # fmt: skip
        with pytest.raises(ValueError, match="'dragon' is not among the .* terms"):
            call()
    with pytest.raises(TypeError, match="A word is a string, got 3 of type int"):
        vectorizer.most_similar(3)


def test_everything_asks_for_a_fit_first():
    new = small()
    calls = [lambda method=method: getattr(new, method)(["a"]) for method in (
        "transform", "transform_tokens", "kept_tokens", "attention_weights", "project_tokens",
        "next_proba",
    )]  # fmt: skip
    calls += [lambda: new.most_similar("a"), new.to_attention, new.to_torch]
    calls += [new.get_feature_names_out, lambda: new.analogy("a", "b", "c")]
    for call in calls:
        with pytest.raises(NotFittedError):
            call()
