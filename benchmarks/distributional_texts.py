"""The texts of the distributional benchmark and the ways they are turned into vectors."""

import gzip

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tabular_data import shared_folder

from sklearn_selfattn import DistributionalProjectionVectorizer

WORDS = r"(?u)\b\w+\b"
STS = ("headlines", "images", "deft-news")


def read_lines(name):
    """Read the lines of a packed file of the shared text folder."""
    with gzip.open(shared_folder().parent / "text" / f"{name}.gz", "rt", encoding="utf-8") as file:
        return file.read().removesuffix("\n").split("\n")


def labelled(name):
    """Return (training texts, their labels, test texts, their labels) of `mr`, `R8` or `TREC`."""
    texts = np.array(read_lines(f"{name}.txt"), dtype=object)
    rows = [line.split("\t") for line in read_lines(f"{name}.labels.txt")]
    is_train = np.array([split.startswith("train") for _, split, _ in rows])
    labels = np.array([label for *_, label in rows])
    return texts[is_train], labels[is_train], texts[~is_train], labels[~is_train]


def sentence_pairs(name):
    """Return (judged similarity, sentences, sentences) of a set of STS 2014."""
    rows = [line.split("\t") for line in read_lines(f"sts14_{name}.tsv")]
    scores, left, right = zip(*rows, strict=True)
    return np.array(scores, dtype=float), list(left), list(right)


def projection(**params):
    """Make the vectorizer of this library."""
    return DistributionalProjectionVectorizer(**{"random_state": 0, **params})


def lsa(n_components=100):
    """Make latent semantic analysis."""
    return make_pipeline(
        TfidfVectorizer(token_pattern=WORDS), TruncatedSVD(n_components, random_state=0)
    )


class WhitenedLSA:
    """LSA with every component divided by its singular value."""

    def fit(self, texts):
        self.lsa_ = lsa().fit(texts)
        return self

    def transform(self, texts):
        return self.lsa_.transform(texts) / self.lsa_[-1].singular_values_


class WordVectorMean:
    """Mean of gensim's Word2Vec vectors (5 epochs, width 100), trained on the same texts."""

    def fit(self, texts):
        from gensim.models import Word2Vec

        sentences = list(map(self._tokens, texts))
        self.vectors_ = Word2Vec(
            sentences, vector_size=100, window=5, min_count=2, epochs=5, workers=1, seed=0
        ).wv
        return self

    def transform(self, texts):
        return np.array([self._mean(self._tokens(text)) for text in texts])

    def _mean(self, tokens):
        known = [token for token in tokens if token in self.vectors_]
        return self.vectors_[known].mean(axis=0) if known else np.zeros(100)

    @staticmethod
    def _tokens(text):
        return text.lower().split()


def has_gensim():
    """Tell whether the Word2Vec peer can run."""
    try:
        import gensim  # noqa: F401
    except ImportError:
        return False
    return True


def accuracy_on_test(vectorizer, texts, *, dense=True):
    """Fit vectors on training texts, a linear classifier on them, and score it on test texts.

    The classifier's C is chosen by cross-validation on the training texts.
    """
    X_train, y_train, X_test, y_test = texts
    vectorizer = vectorizer.fit(X_train)
    model, grid = LogisticRegression(max_iter=200, tol=1e-3), [0.01, 0.1]
    if dense:
        model = make_pipeline(StandardScaler(), model)
        grid = {"logisticregression__C": grid}
    else:
        grid = {"C": [1.0, 10.0]}
    search = GridSearchCV(model, grid, cv=2).fit(vectorizer.transform(X_train), y_train)
    return search.score(vectorizer.transform(X_test), y_test)


def cosines(left, right):
    """Return the cosine of each pair of rows; 0 where a row is zero."""
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return (left * right).sum(axis=1) / np.where(lengths > 0, lengths, 1.0)
