"""The equations of the paper and of counting, written as slowly and plainly as possible."""

import math
from collections import Counter

import numpy as np

# The paper's worked example: its global matrix and the order of its words.
RIVER_WORDS = ["river", "bank", "loan", "money", "flooded", "shore", "rely"]
RIVER = np.array(
    [
        [0, 4, 0, 0, 5, 6, 0],
        [4, 0, 6, 5, 3, 5, 4],
        [0, 6, 0, 7, 0, 0, 2],
        [0, 5, 7, 0, 0, 0, 3],
        [5, 3, 0, 0, 0, 4, 0],
        [6, 5, 0, 0, 4, 0, 0],
        [0, 4, 2, 3, 0, 0, 0],
    ]
)


def selector(words, vocabulary):
    """Return Q, one-hot rows."""
    return np.array([[float(word == term) for term in vocabulary] for word in words])


def pairs_naive(documents, window, weight, vocabulary):
    """Count pairs in reading order, one by one; entry (i, j): j follows i."""
    number = {term: index for index, term in enumerate(vocabulary)}
    counts = np.zeros((len(number), len(number)))
    for document in documents:
        for r, left in enumerate(document):
            for offset in range(1, window + 1):
                if r + offset < len(document):
                    right = document[r + offset]
                    if left in number and right in number:
                        counts[number[left], number[right]] += weight(offset)
    return counts


def pmi_naive(counts, alpha):
    """Pointwise mutual information pair by pair, -inf where nothing was counted."""
    total = counts.sum()
    smoothed = counts.sum(axis=0) ** alpha
    result = np.full(counts.shape, -np.inf)
    for i, j in np.argwhere(counts > 0):
        p_pair = counts[i, j] / total
        p_word, p_context = counts[i].sum() / total, smoothed[j] / smoothed.sum()
        result[i, j] = math.log(p_pair / (p_word * p_context))
    return result


def softmax_rows(scores):
    """Row by row, with -inf for what may not be looked at."""
    result = np.zeros(scores.shape)
    for r, row in enumerate(scores):
        if not np.isfinite(row).any():
            result[r, r] = 1.0
            continue
        weights = [math.exp(s) if math.isfinite(s) else 0.0 for s in row]
        result[r] = np.array(weights) / sum(weights)
    return result


def attention_naive(S, ids, places, *, temperature=1.0, decay=False, mask_self=True, causal=False):
    """Softmax attention of one document, entry by entry."""
    n = len(ids)
    scores = np.full((n, n), -np.inf)
    for r in range(n):
        for s in range(n):
            if (mask_self and r == s) or (causal and places[s] > places[r]):
                continue
            distance = max(abs(int(places[r]) - int(places[s])), 1)
            scores[r, s] = S[ids[r], ids[s]] / temperature - (math.log(distance) if decay else 0.0)
    return softmax_rows(scores)


def term_counts(documents):
    """Return how often each term occurs."""
    return Counter(token for document in documents for token in document)
