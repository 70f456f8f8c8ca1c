"""Ways to answer questions about pictures without attention between words and places."""

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from torch import nn

from sklearn_selfattn.core.randomness import seeded
from sklearn_selfattn.core.training import TensorBatches, one_cycle, train, weighted_row_loss

N_COMPONENTS = 60


class Features:
    """Principal components of the pixels, and counts of words and of pairs of words."""

    def fit(self, pairs):
        """Learn from training pairs."""
        self.words = CountVectorizer(token_pattern=r"\w+", ngram_range=(1, 2)).fit(pairs[:, 1])
        pixels = self._pixels(pairs)
        self.pca = PCA(N_COMPONENTS, svd_solver="randomized", random_state=0).fit(pixels)
        return self

    @staticmethod
    def _pixels(pairs):
        return np.stack([image.ravel() for image in pairs[:, 0]]).astype(np.float32) / 255

    def texts(self, pairs):
        """Return counts of words."""
        return self.words.transform(pairs[:, 1]).toarray().astype(np.float32)

    def both(self, pairs):
        """Return both side by side."""
        return np.hstack([self.pca.transform(self._pixels(pairs)), self.texts(pairs)])


class _Product(nn.Module):
    """A small convolutional net, multiplied with a bag of words (as easy-VQA's author does)."""

    def __init__(self, channels, side, n_words, n_classes, d=64):
        super().__init__()
        self.see = nn.Sequential(
            nn.Conv2d(channels, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(32 * (side // 4) ** 2, d), nn.Tanh(),
        )  # fmt: skip
        self.say = nn.Sequential(nn.Linear(n_words, d), nn.Tanh(), nn.Linear(d, d), nn.Tanh())
        self.head = nn.Sequential(nn.Linear(d, d), nn.Tanh(), nn.Linear(d, n_classes))

    def forward(self, pixels, words):
        return self.head(self.see(pixels) * self.say(words))


def product_net(features, pairs, codes, test, n_classes, seed, max_epochs=20):
    """Train the product net and return its predictions."""

    def tensors(pairs):
        pixels = torch.as_tensor(np.stack(list(pairs[:, 0]))).float() / 255 - 0.5
        pixels = pixels[..., None] if pixels.ndim == 3 else pixels
        return pixels.movedim(-1, 1), torch.as_tensor(features.texts(pairs))

    pixels, words = tensors(pairs)
    with seeded(seed):
        net = _Product(pixels.shape[1], pixels.shape[2], words.shape[1], n_classes)
    batches = TensorBatches(
        pixels, words, torch.as_tensor(codes), torch.ones(len(codes)), batch_size=64
    )
    loss = weighted_row_loss(lambda output, y: F.cross_entropy(output, y, reduction="none"))
    train(net, batches=batches, loss=loss, max_epochs=max_epochs, learning_rate=2e-3,
          schedule=one_cycle, generator=torch.Generator().manual_seed(seed))  # fmt: skip
    with torch.inference_mode():
        return net(*tensors(test)).argmax(1).numpy()


def answers(pairs, y, test, seed):
    """Return the predictions of each peer.

    Answers with fewer than five examples are left out of their training: early stopping wants
    some on both sides.
    """
    _, index, counts = np.unique(y, return_inverse=True, return_counts=True)
    pairs, y = pairs[counts[index] >= 5], y[counts[index] >= 5]
    features = Features().fit(pairs)
    classes, codes = np.unique(y, return_inverse=True)
    both, both_test = features.both(pairs), features.both(test)
    models = {
        "hgb": HistGradientBoostingClassifier(random_state=seed),
        "logistic": LogisticRegression(max_iter=2000),
        "mlp": MLPClassifier((256, 128), early_stopping=True, random_state=seed),
    }
    found = {name: model.fit(both, y).predict(both_test) for name, model in models.items()}
    question = LogisticRegression(max_iter=2000).fit(features.texts(pairs), y)
    found["question only"] = question.predict(features.texts(test))
    found["product"] = classes[product_net(features, pairs, codes, test, len(classes), seed)]
    return found
