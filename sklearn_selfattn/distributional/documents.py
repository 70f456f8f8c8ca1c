"""Documents in, tokens out: raw text through scikit-learn's analyzers, token lists as they are."""

from __future__ import annotations

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer

# What is handed on to CountVectorizer, whose words for them hold here too.
TEXT_PARAMETERS = (
    "strip_accents", "lowercase", "preprocessor", "tokenizer", "analyzer", "stop_words",
    "token_pattern",
)  # fmt: skip


def tokenize(raw_documents, analyze):
    """Yield the tokens of each document.

    Parameters
    ----------
    raw_documents : iterable of str, bytes or sequence of str
        Texts, which are analyzed, or lists of tokens, which are not.
    analyze : callable
        From a text to its tokens.

    Yields
    ------
    list of str
        Tokens in reading order.
    """
    if isinstance(raw_documents, str):
        raise ValueError("Iterable over raw text documents expected, string object received.")
    if getattr(raw_documents, "ndim", 1) != 1 or hasattr(raw_documents, "columns"):
        raise ValueError(
            "Expected a sequence of documents, got a table with shape "
            f"{raw_documents.shape}: pass one of its columns."
        )
    for number, document in enumerate(raw_documents):
        if isinstance(document, str | bytes):
            yield analyze(document)
            continue
        if isinstance(document, np.ndarray):
            document = document.tolist()
        if not isinstance(document, list | tuple):
            raise TypeError(
                f"Document {number} is of type {type(document).__name__}: expected a string, or a "
                "list of tokens. Replace missing texts by empty strings."
            )
        if not all(issubclass(kind, str) for kind in set(map(type, document))):
            kinds = sorted({type(token).__name__ for token in document} - {"str"})
            raise TypeError(
                f"Document {number} has tokens of type {', '.join(kinds)}: tokens must be strings."
            )
        yield list(document)


def make_analyzer(parameters):
    """Build scikit-learn's analyzer from the text parameters of an estimator."""
    return CountVectorizer(**{name: parameters[name] for name in TEXT_PARAMETERS}).build_analyzer()


def check_vocabulary(vocabulary):
    """Return a given vocabulary as a list of terms in the order of their columns."""
    if isinstance(vocabulary, str):
        raise ValueError("vocabulary must be a collection of terms, got a string.")
    if isinstance(vocabulary, dict):
        if sorted(vocabulary.values()) != list(range(len(vocabulary))):
            raise ValueError(
                f"vocabulary must number its {len(vocabulary)} terms 0, 1, 2, ... without gaps "
                "and repetitions."
            )
        return sorted(vocabulary, key=vocabulary.__getitem__)
    terms = sorted(vocabulary) if isinstance(vocabulary, set | frozenset) else list(vocabulary)
    if not terms:
        raise ValueError("empty vocabulary passed to fit")
    if len(set(terms)) < len(terms):
        raise ValueError("vocabulary has repeated terms.")
    return terms


def encode(tokens, vocabulary):
    """Return the numbers of the known tokens of a document, and their places in it."""
    ids = np.array([vocabulary.get(token, -1) for token in tokens], dtype=np.intp)
    places = np.flatnonzero(ids >= 0)
    return ids[places], places
