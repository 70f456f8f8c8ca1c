"""What the pictures show is what was fitted."""

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")

from matplotlib import pyplot as plt

from sklearn_selfattn import (
    DistributionalProjectionVectorizer,
    SentenceAttentionDisplay,
    SpectrumDisplay,
    WordNeighborsDisplay,
)

from .corpora import two_topics


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def vectorizer():
    return DistributionalProjectionVectorizer(6, random_state=0).fit(two_topics(200)[0])


def labels(axis):
    return [text.get_text() for text in axis.get_ticklabels()]


def test_attention_of_a_sentence(vectorizer):
    text = "the cat runs with a dog"
    display = SentenceAttentionDisplay.from_estimator(vectorizer, text)
    weights = vectorizer.attention_weights([text])[0][0, 0]
    np.testing.assert_array_equal(display.image_.get_array(), weights)
    np.testing.assert_allclose(display.received_bars_.datavalues, weights.mean(axis=0))
    assert labels(display.ax_.xaxis) == labels(display.ax_.yaxis) == text.split()
    _, ax = plt.subplots()
    heads = DistributionalProjectionVectorizer(6, heads="offset", n_heads=2, random_state=0)
    heads.fit(two_topics(200)[0])
    display = SentenceAttentionDisplay.from_estimator(heads, text, head=1, ax=ax)
    np.testing.assert_array_equal(
        display.image_.get_array(), heads.attention_weights([text])[0][0, 1]
    )
    assert display.ax_ is ax


def test_attention_that_cannot_be_drawn(vectorizer):
    with pytest.raises(ValueError, match="at most 60 words, got 61"):
        SentenceAttentionDisplay.from_estimator(vectorizer, ["cat"] * 61)
    with pytest.raises(ValueError, match="square with a row for each of the 2 words"):
        SentenceAttentionDisplay(np.eye(3), words=["a", "b"]).plot()
    kernel = DistributionalProjectionVectorizer(6, normalizer="none").fit(two_topics(60)[0])
    with pytest.raises(ValueError, match="normalizer='none' has no shares"):
        SentenceAttentionDisplay.from_estimator(kernel, "cat dog")


def test_neighbours_of_a_word(vectorizer):
    display = WordNeighborsDisplay.from_estimator(vectorizer, "cat", n_words=4)
    nearest = vectorizer.most_similar("cat", 4)
    assert labels(display.ax_.yaxis) == [word for word, _ in nearest]
    np.testing.assert_allclose(display.bars_.datavalues, [cosine for _, cosine in nearest])
    low, high = display.ax_.get_ylim()
    assert low > high  # the nearest is on top
    assert "cat" in display.ax_.get_title(loc="left")


def test_spectrum(vectorizer):
    display = SpectrumDisplay.from_estimator(vectorizer)
    spectrum = vectorizer.spectrum_
    np.testing.assert_array_equal(display.positive_points_.get_ydata(), spectrum[spectrum > 0])
    np.testing.assert_array_equal(display.negative_points_.get_ydata(), -spectrum[spectrum < 0])
    assert SpectrumDisplay(np.array([2.0, 1.0])).plot().negative_points_ is None
