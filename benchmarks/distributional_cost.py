"""Exactness of the vectorizer, and what it costs."""

import time

import numpy as np
import torch
from bench_tabular import PeakMemory
from distributional_texts import WordVectorMean, has_gensim, labelled, lsa, projection
from npt_figures import figure

# The worked example of the paper.
RIVER_WORDS = ["river", "bank", "loan", "money", "flooded", "shore", "rely"]
RIVER = np.array([
    [0, 4, 0, 0, 5, 6, 0], [4, 0, 6, 5, 3, 5, 4], [0, 6, 0, 7, 0, 0, 2], [0, 5, 7, 0, 0, 0, 3],
    [5, 3, 0, 0, 0, 4, 0], [6, 5, 0, 0, 4, 0, 0], [0, 4, 2, 3, 0, 0, 0],
])  # fmt: skip
EXPECTED = {"river bank flooded": "shore", "bank loan": "money"}


def exactness():
    """Repeat the paper's worked example, and compare with torch's attention."""
    paper = projection(
        n_components=7, weighting="count", normalizer="none", position=None, mask_self=False
    ).fit_cooccurrence(RIVER, RIVER_WORDS)
    error, right = 0.0, 0
    for text, expected in EXPECTED.items():
        Q = np.array([[float(word == term) for term in RIVER_WORDS] for word in text.split()])
        E = (Q @ RIVER @ Q.T) @ (Q @ RIVER)
        error = max(error, np.abs(paper.project_tokens([text])[0] - E).max())
        right += paper.terms_[paper.next_proba([text])[0].argmax()] == expected
    texts = list(labelled("mr")[2][:300])
    gap = 0.0
    for params in (
        {}, {"causal": True}, {"directional": True}, {"n_heads": 4}, {"n_heads": 4, "causal": True},
        {"temperature": "sqrt", "position": None, "mask_self": False},
    ):  # fmt: skip
        vectorizer = projection(n_components=40, min_df=1, scores="factor", **params).fit(texts)
        layer = vectorizer.to_torch()
        tokens = vectorizer.kept_tokens(texts[:50])
        for words, vectors in zip(tokens, vectorizer.transform_tokens(texts[:50]), strict=True):
            if words:
                ids = torch.tensor([vectorizer.vocabulary_[word] for word in words])
                gap = max(gap, np.abs(layer(ids)[0].detach().numpy() - vectors).max())
    figures = [
        figure("worked example, largest error of E", error, "<= 0"),
        figure("worked example, words foretold (of 2)", right, ">= 2"),
        figure("vectors of torch.nn.MultiheadAttention, largest difference", gap, "<= 1e-10"),
    ]
    return _entry(figures, "DistributionalProjectionVectorizer(scores='factor', ...)", [])


def cost_fit():
    """Fit on the training sentences of mr and transform all, in CPU seconds."""
    X_train, _, X_test, _ = labelled("mr")
    texts = np.concatenate([X_train, X_test])

    def seconds(make):
        best = np.inf
        for _ in range(3):
            start = time.process_time()
            make().fit(X_train).transform(texts)
            best = min(best, time.process_time() - start)
        return best

    found = {
        "projection": seconds(projection), "with attention": seconds(lambda: projection(mix=0.2)),
        "LSA": seconds(lsa),
    }  # fmt: skip
    if has_gensim():
        found["word2vec mean, 5 epochs"] = seconds(WordVectorMean)
    slower = max(found["projection"], found["with attention"])
    figures = [
        figure("CPU s, the slower projection", slower, "<= 10"),
        figure("the slower projection / LSA", slower / found["LSA"], "<= 3"),
        *[figure(f"CPU s, {name}", value) for name, value in found.items()],
    ]
    return _entry(figures, "DistributionalProjectionVectorizer()", ["The best of three runs."])


def cost_growth():
    """Count and transform corpora of growing length (R8, from an eighth to the whole)."""
    X_train, _, X_test, _ = labelled("R8")
    tokens = [text.split() for text in np.concatenate([X_train, X_test])]
    sizes, seconds = [], []
    for part in (8, 4, 2, 1):
        chosen = tokens[::part]
        vectorizer = projection(mix=0.2, vocabulary=_frequent(tokens, 5000)).fit(chosen[:50])
        start = time.process_time()
        vectorizer.partial_fit(chosen, decompose=False).transform(chosen)
        sizes.append(sum(map(len, chosen)))
        seconds.append(time.process_time() - start)
    slope = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
    figures = [
        figure("exponent of time in tokens, counting and transforming", slope, "<= 1.15"),
        *[figure(f"CPU s for {size:,} tokens", s) for size, s in zip(sizes, seconds, strict=True)],
    ]
    return _entry(figures, "DistributionalProjectionVectorizer(mix=0.2)", [])


def stream():
    """Read 10 million tokens in chunks: R8 over and over, with 2 % of the words replaced."""
    X_train, *_ = labelled("R8")
    words = np.concatenate([text.split() for text in X_train])
    terms, ids = np.unique(words, return_inverse=True)
    vectorizer, rng = projection(), np.random.default_rng(0)
    rises, n_tokens, start = {}, 0, time.process_time()
    with PeakMemory() as memory:
        while n_tokens < 10_000_000:
            noisy = np.where(
                rng.random(len(ids)) < 0.02, rng.integers(0, len(terms), len(ids)), ids
            )
            documents = np.array_split(terms[noisy], len(ids) // 60)
            vectorizer.partial_fit(documents, decompose=False)
            n_tokens += len(ids)
            rises[n_tokens] = vectorizer._counter.pairs[0].nnz
        counting = time.process_time() - start
        vectorizer.partial_fit([])
    figures = [
        figure("tokens", n_tokens, ">= 1e7"),
        figure("rise of memory, MB", memory.rise or np.nan, "<= 1500"),
        figure("CPU s, counting", counting),
        figure("CPU s, decomposition", time.process_time() - start - counting),
        figure("terms in the vocabulary", len(vectorizer.terms_)),
        figure("different pairs after the first chunk", next(iter(rises.values()))),
        figure("different pairs in the end", rises[n_tokens]),
    ]
    return _entry(
        figures,
        "DistributionalProjectionVectorizer()",
        ["The memory is that of counting and of the decomposition, above the process before."],
    )


def _frequent(tokens, n_terms):
    terms, counts = np.unique(np.concatenate(tokens), return_counts=True)
    return terms[np.argsort(-counts, kind="stable")[:n_terms]].tolist()


def _entry(figures, configuration, notes):
    return {"figures": figures, "configuration": configuration, "notes": notes, "seeds": [0]}
