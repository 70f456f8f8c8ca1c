"""The vectorizer: words and documents from the co-occurrence of a corpus, without training."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions

from .cooccurrence import PairCounter, offset_weights
from .documents import check_vocabulary, make_analyzer, tokenize
from .fitting import FittingMixin
from .tokens import TokensMixin
from .words import WordsMixin


class DistributionalProjectionVectorizer(TokensMixin, WordsMixin, FittingMixin, BaseEstimator):
    r"""Vectors of words and documents from the co-occurrence in your own corpus.

    Counts which words stand near each other, turns the counts into associations, and projects
    them into each document: there, words look at words that the corpus puts beside them. That is
    a self-attention layer whose weights are read off and not trained. Nothing is downloaded, a
    corpus of some ten thousand short texts takes seconds, and any tokens will do: words, log
    events, baskets of goods.

    Parameters
    ----------
    n_components : int, default=100
        Width k of the vectors. At most the size of the vocabulary; a multiple of `n_heads`.
    window : int, default=5
        Largest distance of two words that counts as co-occurrence.
    decay : {"harmonic", "linear", "flat"} or callable, default="harmonic"
        Weight of a pair o words apart: 1 / o, (window + 1 - o) / window, 1, or decay(o).
    weighting : {"ppmi", "pmi", "log1p", "count"}, default="ppmi"
        Association of two words: positive pointwise mutual information, mutual information of
        the observed pairs, log(1 + count), or the count.
    shift : float, default=1.0
        The logarithm of this is taken off the mutual information before its positive part is taken.
    context_smoothing : float, default=0.75
        Contexts are as probable as their counts to this power, which tempers rare words.
    directional : bool, default=False
        True keeps "j follows i" apart from "i follows j".
    scores : {"exact", "factor"}, default="exact"
        Attention scores from the associations themselves, or from the product of rank k. The
        exact ones are the better; the others are what torch computes.
    normalizer : {"softmax", "sum", "none"}, default="softmax"
        What makes weights of scores: softmax; the share of the row's sum; nothing.
    temperature : float or "sqrt", default=2.0
        Divides the scores before the softmax; "sqrt" is the root of a head's width.
    n_heads : int, default=1
        Number of heads.
    heads : {"spectrum", "offset"}, default="spectrum"
        A head is a slice of the spectrum (needs `scores="factor"`), or has its own associations
        for a band of distances: 1, 2-3, 4-7, ... up to the window, and the whole document.
    position : {"decay", "offset"} or None, default="decay"
        Divide attention by the distance of the words (before normalization); use the
        associations of words exactly that far apart; or do not look at places.
    mask_self : bool, default=True
        Whether a word must look away from its own place.
    causal : bool, default=False
        Whether a word looks at earlier ones only.
    mix : float, default=0.0
        Share of the context in the words that make up a document's vector. Attention tells words
        apart and blurs documents: most are served best without, which also is the fastest.
    token_mix : float, default=0.5
        The same for the vectors of :meth:`transform_tokens` and :meth:`to_torch`.
    eig_power : float, default=0.25
        Power of the spectrum in the vectors: 0 treats all components alike.
    pooling : {"sif", "mean", "idf"}, default="sif"
        Weight of a word in a document's vector: smooth inverse frequency, 1, or inverse document
        frequency. Take "mean" where frequent words carry the meaning, as in questions.
    sif_a : float, default=1e-3
        The a of a / (a + frequency).
    remove_components : int, default=0
        Number of directions, shared by the words of the corpus, to take off documents.
    strip_accents : {"ascii", "unicode"}, callable or None, default=None
        As in `CountVectorizer`, like the six parameters that follow.
    lowercase : bool, default=True
        Whether texts are put in lower case.
    preprocessor : callable or None, default=None
        Replaces the two steps before.
    tokenizer : callable or None, default=None
        Replaces the pattern.
    analyzer : {"word", "char", "char_wb"} or callable, default="word"
        What a token is, or a function from text to tokens. Lists of tokens are taken as they are.
    stop_words : {"english"}, list or None, default=None
        Words that are dropped before distances are counted.
    token_pattern : str or None, default=r"(?u)\\b\\w+\\b"
        What a word is.
    min_df : int or float, default=2
        Fewest documents of a term, as a number or a share.
    max_df : int or float, default=1.0
        Most documents of a term.
    max_features : int or None, default=20000
        Size of the vocabulary, the most frequent terms.
    vocabulary : sequence, set or dict, default=None
        The terms to use; then the three parameters before do nothing.
    random_state : int, RandomState instance or None, default=None
        Seed of the decomposition; vocabularies up to 600 terms need none.

    Attributes
    ----------
    vocabulary_ : dict of str to int
        Number of each term.
    terms_ : ndarray of shape (n_terms,)
        The terms in order.
    token_counts_, document_counts_ : ndarray of shape (n_terms,)
        How often each term occurs, and in how many documents.
    n_documents_ : int
        Number of documents counted.
    cooccurrence_ : csr_matrix of shape (n_terms, n_terms)
        Weighted counts within the window.
    association_ : csr_matrix of shape (n_terms, n_terms)
        The associations S of these counts.
    associations_ : list of csr_matrix
        The matrices that give exact scores: one for each head, or for each distance.
    query_weights_, key_weights_, value_weights_ : ndarray of shape (n_terms, n_components)
        W_Q, W_K and W_V. The rows of the last are the word vectors.
    spectrum_ : ndarray of shape (n_components,)
        Eigenvalues, or singular values if directional, largest magnitude first in each head.

    See Also
    --------
    sklearn.decomposition.TruncatedSVD : LSA, documents from the words they hold.

    Notes
    -----
    With the selector Q of a document's words, S of the corpus and :math:`S \approx W_Q W_K^\top`,

    .. math:: A = \mathrm{softmax}\left(\frac{Q S Q^\top}{\tau} - \log |r - s|\right),
              \qquad Y = (1 - m)\, Q W_V + m\, A\, Q W_V .

    Symmetric S has :math:`S = U \Lambda U^\top`, :math:`W_Q = U |\Lambda|^{1/2}`,
    :math:`W_K = U |\Lambda|^{1/2} \mathrm{sign} \Lambda` and :math:`W_V = U |\Lambda|^p`. A
    document's vector is the weighted mean of the rows of Y. Words that the vocabulary lacks keep
    their places but are not looked at; a word with nothing to look at looks at itself.

    With T tokens, window w, n terms and z different pairs, counting takes :math:`O(T w)`, the
    decomposition :math:`O(z k + n k^2)` in time and :math:`O(z + n k)` in memory, and a document
    of R words :math:`O(R^2)` in time, in pieces of bounded memory.

    References
    ----------
    N. Mehta, "Self-Attention as Distributional Projection: A Unified Interpretation of
    Transformer Architecture", 2025, arXiv:2511.13780.

    O. Levy and Y. Goldberg, "Neural Word Embedding as Implicit Matrix Factorization", NIPS 2014.

    S. Arora, Y. Liang and T. Ma, "A Simple but Tough-to-Beat Baseline for Sentence Embeddings",
    ICLR 2017.

    Examples
    --------
    >>> from sklearn_selfattn import DistributionalProjectionVectorizer
    >>> corpus = ["the bank lends money", "a loan from the bank", "the bank of the river",
    ...           "the river flooded the shore", "money for a loan"]
    >>> vectorizer = DistributionalProjectionVectorizer(3, min_df=1).fit(corpus)
    >>> vectorizer.transform(["a river bank", "unknown words"]).shape
    (2, 3)
    >>> maps = vectorizer.attention_weights(["river bank money"])
    >>> maps.query_labels
    ['river', 'bank', 'money']
    >>> maps[0][0, 0].sum(axis=1)
    array([1., 1., 1.])
    """

    def __init__(
        self,
        n_components: int = 100,
        *,
        window: int = 5,
        decay: Literal["harmonic", "linear", "flat"] | Callable[..., Any] = "harmonic",
        weighting: Literal["ppmi", "pmi", "log1p", "count"] = "ppmi",
        shift: float = 1.0,
        context_smoothing: float = 0.75,
        directional: bool = False,
        scores: Literal["exact", "factor"] = "exact",
        normalizer: Literal["softmax", "sum", "none"] = "softmax",
        temperature: Literal["sqrt"] | float = 2.0,
        n_heads: int = 1,
        heads: Literal["spectrum", "offset"] = "spectrum",
        position: Literal["decay", "offset"] | None = "decay",
        mask_self: bool = True,
        causal: bool = False,
        mix: float = 0.0,
        token_mix: float = 0.5,
        eig_power: float = 0.25,
        pooling: Literal["sif", "mean", "idf"] = "sif",
        sif_a: float = 1e-3,
        remove_components: int = 0,
        strip_accents: Literal["ascii", "unicode"] | Callable[..., Any] | None = None,
        lowercase: bool = True,
        preprocessor: Callable[..., Any] | None = None,
        tokenizer: Callable[..., Any] | None = None,
        analyzer: Literal["word", "char", "char_wb"] | Callable[..., Any] = "word",
        stop_words: Literal["english"] | list[str] | None = None,
        token_pattern: str | None = r"(?u)\b\w+\b",
        min_df: float | int = 2,
        max_df: float | int = 1.0,
        max_features: int | None = 20000,
        vocabulary: Sequence[str] | Mapping[str, int] | AbstractSet[str] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_components = n_components
        self.window = window
        self.decay = decay
        self.weighting = weighting
        self.shift = shift
        self.context_smoothing = context_smoothing
        self.directional = directional
        self.scores = scores
        self.normalizer = normalizer
        self.temperature = temperature
        self.n_heads = n_heads
        self.heads = heads
        self.position = position
        self.mask_self = mask_self
        self.causal = causal
        self.mix = mix
        self.token_mix = token_mix
        self.eig_power = eig_power
        self.pooling = pooling
        self.sif_a = sif_a
        self.remove_components = remove_components
        self.strip_accents = strip_accents
        self.lowercase = lowercase
        self.preprocessor = preprocessor
        self.tokenizer = tokenizer
        self.analyzer = analyzer
        self.stop_words = stop_words
        self.token_pattern = token_pattern
        self.min_df = min_df
        self.max_df = max_df
        self.max_features = max_features
        self.vocabulary = vocabulary
        self.random_state = random_state

    _parameter_constraints = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "window": [Interval(Integral, 1, None, closed="left")],
        "decay": [StrOptions({"harmonic", "linear", "flat"}), callable],
        "weighting": [StrOptions({"count", "log1p", "pmi", "ppmi"})],
        "shift": [Interval(Real, 0, None, closed="neither")],
        "context_smoothing": [Interval(Real, 0, None, closed="left")],
        "directional": ["boolean"],
        "scores": [StrOptions({"exact", "factor"})],
        "normalizer": [StrOptions({"softmax", "sum", "none"})],
        "temperature": [StrOptions({"sqrt"}), Interval(Real, 0, None, closed="neither")],
        "n_heads": [Interval(Integral, 1, None, closed="left")],
        "heads": [StrOptions({"spectrum", "offset"})],
        "position": [StrOptions({"decay", "offset"}), None],
        "mask_self": ["boolean"],
        "causal": ["boolean"],
        "mix": [Interval(Real, 0, 1, closed="both")],
        "token_mix": [Interval(Real, 0, 1, closed="both")],
        "eig_power": [Interval(Real, 0, None, closed="left")],
        "pooling": [StrOptions({"sif", "mean", "idf"})],
        "sif_a": [Interval(Real, 0, None, closed="neither")],
        "remove_components": [Interval(Integral, 0, None, closed="left")],
        "strip_accents": [StrOptions({"ascii", "unicode"}), None, callable],
        "lowercase": ["boolean"],
        "preprocessor": [callable, None],
        "tokenizer": [callable, None],
        "analyzer": [StrOptions({"word", "char", "char_wb"}), callable],
        "stop_words": [StrOptions({"english"}), list, None],
        "token_pattern": [str, None],
        "min_df": [
            Interval(Real, 0.0, 1.0, closed="both"),
            Interval(Integral, 1, None, closed="left"),
        ],
        "max_df": [
            Interval(Real, 0.0, 1.0, closed="both"),
            Interval(Integral, 1, None, closed="left"),
        ],
        "max_features": [Interval(Integral, 1, None, closed="left"), None],
        "vocabulary": ["array-like", dict, set, frozenset, None],
        "random_state": ["random_state"],
    }

    def fit(self, raw_documents: Iterable[str | Sequence[str]], y: object = None) -> Self:
        """Count the words of a corpus and split their associations.

        Parameters
        ----------
        raw_documents : iterable of str or of list of str
            Texts, or lists of tokens.
        y : None
            Ignored.

        Returns
        -------
        DistributionalProjectionVectorizer
            The fitted vectorizer.
        """
        self._check_parameters()
        counter = self._make_counter()
        counter.update(tokenize(raw_documents, make_analyzer(self.get_params(deep=False))))
        self._decompose(counter)
        self._counter = counter
        return self

    def partial_fit(
        self,
        raw_documents: Iterable[str | Sequence[str]],
        y: object = None,
        *,
        decompose: bool = True,
    ) -> Self:
        """Count some more documents: the same as `fit` on all of them together.

        Parameters
        ----------
        raw_documents : iterable of str or of list of str
            The next chunk of the corpus.
        y : None
            Ignored.
        decompose : bool, default=True
            False only counts, which is fast; vectors stay as they are. Pass True with the last
            chunk, which may be empty.

        Returns
        -------
        DistributionalProjectionVectorizer
            The vectorizer.

        Notes
        -----
        Memory does not grow with the number of tokens but with that of different pairs. When
        there are more than 8 `max_features` different terms the rarest are forgotten, and start
        from zero if they come back; until then the result equals `fit` exactly.
        """
        self._check_parameters()
        fresh = self._make_counter()
        counter = copy.copy(getattr(self, "_counter", None) or fresh)
        if not counter.counts_like(fresh):
            raise ValueError(
                "partial_fit cannot go on: window, decay, position, heads, n_heads or vocabulary "
                "are not those of the chunks before. Call fit instead."
            )
        counter.update(tokenize(raw_documents, make_analyzer(self.get_params(deep=False))))
        if decompose:
            self._decompose(counter)
        self._counter = counter
        return self

    def fit_cooccurrence(
        self, cooccurrence: sparse.sparray | sparse.spmatrix | ArrayLike, terms: Sequence[str]
    ) -> Self:
        """Fit to co-occurrence counts made elsewhere.

        Parameters
        ----------
        cooccurrence : array-like or sparse matrix of shape (n_terms, n_terms)
            How often the column's term stands near the row's, or after it if `directional`.
        terms : sequence of str
            Names of the rows and columns.

        Returns
        -------
        DistributionalProjectionVectorizer
            The fitted vectorizer. Its sums of counts stand in for the terms' frequencies.
        """
        self._check_parameters()
        if len(self._bands()) > 1:
            raise ValueError(
                "A single co-occurrence matrix does not tell how far apart words were: "
                "heads='offset' and position='offset' need documents."
            )
        terms = check_vocabulary(terms)
        S = sparse.csr_matrix(cooccurrence, dtype=np.float64)
        if S.shape != (len(terms), len(terms)):
            raise ValueError(
                f"cooccurrence must have one row and one column for each of the {len(terms)} "
                f"terms, got shape {S.shape}."
            )
        if not np.isfinite(S.data).all() or (S.data < 0.0).any():
            raise ValueError("cooccurrence must hold finite counts that are not negative.")
        if not self.directional:
            if abs(S - S.T).max() > 1e-9 * max(abs(S).max(), 1.0):
                raise ValueError(
                    "cooccurrence is not symmetric: pass directional=True, or the sum of it and "
                    "its transpose."
                )
            S = S * 0.5  # counts are kept by direction, and both directions added
        counter = PairCounter(
            offset_weights(self.window, self.decay), self._bands(), vocabulary=terms
        )
        counter.pairs = [S]
        counter.token_counts = np.asarray((S + S.T).sum(axis=1)).ravel()
        counter.document_counts = None  # type: ignore[assignment]  # known here alone
        self._decompose(counter)
        self._counter = None
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags
