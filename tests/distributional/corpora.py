"""Small corpora with a known structure."""

import numpy as np

ANIMALS = ["cat", "dog", "horse", "sheep"]
FOODS = ["bread", "cheese", "soup", "rice"]
FILLERS = ["the", "a", "today", "again", "with", "and"]


def random_documents(n_documents=200, n_terms=30, longest=12, seed=0):
    """Return token lists of random words, some of them empty."""
    rng = np.random.default_rng(seed)
    terms = np.array([f"w{number:02d}" for number in range(n_terms)])
    chance = 1.0 / np.arange(1, n_terms + 1)
    return [
        rng.choice(terms, size=rng.integers(0, longest + 1), p=chance / chance.sum()).tolist()
        for _ in range(n_documents)
    ]


def two_topics(n_documents=300, seed=0):
    """Return sentences on animals or on food, and which."""
    rng = np.random.default_rng(seed)
    topic = rng.integers(0, 2, size=n_documents)
    documents = []
    for is_food in topic:
        verbs = ["eats", "cooks", "likes"] if is_food else ["runs", "sleeps", "likes"]
        words = [
            rng.choice(FILLERS), rng.choice(FOODS if is_food else ANIMALS), rng.choice(verbs),
            rng.choice(FILLERS), rng.choice(FOODS if is_food else ANIMALS),
        ]  # fmt: skip
        documents.append(" ".join(words))
    return documents, topic


def merged_words(n_documents=1000, n_clues=20, n_chatter=60, length=14, seed=0):
    """Return sentences in which one token stands for two words, which it was, and where it is.

    Each of the two has its clues. One of the right kind stands two places from the token, one of
    the wrong kind at the far end, and chatter everywhere else: next to the token, too. A thousand
    sentences without the token show that chatter is chatter and which clues belong together.

    Returns
    -------
    documents, background : list of list of str
        Sentences with the token and without.
    meanings : ndarray of int of shape (n_documents,)
        Which of the two words it was.
    token, right, wrong : ndarray of int of shape (n_documents,)
        Places of the token and of the clues.
    """
    rng = np.random.default_rng(seed)
    clues = [[f"{side}{number:02d}" for number in range(n_clues)] for side in "lr"]
    chatter = [f"c{number:02d}" for number in range(n_chatter)]
    meanings = rng.integers(2, size=n_documents)
    token = rng.integers(2, 5, size=n_documents)
    right = token + rng.choice([-2, 2], size=n_documents)
    wrong = rng.integers(length - 3, length, size=n_documents)
    documents = rng.choice(chatter, size=(n_documents, length)).tolist()
    for words, meaning, *places in zip(documents, meanings, token, right, wrong, strict=True):
        new = ["token", rng.choice(clues[meaning]), rng.choice(clues[1 - meaning])]
        for place, word in zip(places, new, strict=True):
            words[place] = str(word)
    background = rng.choice(chatter, size=(1000, length)).tolist()
    background += [rng.choice(clues[number % 2], size=4).tolist() for number in range(200)]
    return documents, background, meanings, token, right, wrong
