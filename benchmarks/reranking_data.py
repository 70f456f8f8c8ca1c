"""Open sets for re-ranking: drawings of characters and sentences of intents, as embeddings.

Open means that no class of the training part occurs among queries or gallery of the test part.
What makes embeddings (principal components, TF-IDF) is fitted on the training part alone.
"""

import gzip
import io
import json
import zipfile
from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize
from tabular_data import shared_folder

ALPHABETS = {
    "train": ("Balinese", "Early_Aramaic", "Greek", "Korean", "Latin"),
    "test": ("Japanese_(katakana)", "Sanskrit", "Tagalog"),
}
HELD_OUT_ALPHABETS = ("Greek", "Latin")  # of the training part, where defaults are chosen
N_TRAIN_INTENTS, N_HELD_OUT_INTENTS = 100, 30
N_COMPONENTS = 128
PIXELS = 28


@dataclass
class OpenSet:
    """Embeddings and labels to train on, and a gallery and queries of other classes.

    Attributes
    ----------
    name : str
        What the set is called in results.
    X, y : ndarray of shape (n_samples, 128) and (n_samples,)
        To train on.
    gallery, gallery_y : ndarray of shape (n_gallery, 128) and (n_gallery,)
        To search in.
    queries, queries_y : ndarray of shape (n_queries, 128) and (n_queries,), or None
        None: each row of the gallery queries the others.
    images : ndarray of shape (n_gallery, 28, 28), or None
        Pictures of the gallery.
    view : ndarray of shape (n_samples, n_features), or None
        Other embeddings of X.
    """

    name: str
    X: np.ndarray
    y: np.ndarray
    gallery: np.ndarray
    gallery_y: np.ndarray
    queries: np.ndarray | None = None
    queries_y: np.ndarray | None = None
    images: np.ndarray | None = None
    view: np.ndarray | None = None


def load_drawings(alphabets):
    """Return drawings (n, 28, 28) of alphabets, and the character of each as ``alphabet/name``."""
    from PIL import Image

    drawings, labels = {}, {}
    for number in (1, 2):  # two alphabets occur in both files: the second time is left out
        path = shared_folder().parent / "retrieval" / f"omniglot_small{number}.zip"
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                *_, alphabet, character, _ = ["", "", *name.split("/")]
                key = (alphabet, character, name.rsplit("_", 1)[-1])
                if not name.endswith(".png") or alphabet not in alphabets or key in drawings:
                    continue
                image = Image.open(io.BytesIO(archive.read(name))).convert("L")
                small = image.resize((PIXELS, PIXELS), Image.Resampling.BOX)
                drawings[key] = 1.0 - np.asarray(small, dtype=np.float64) / 255.0
                labels[key] = f"{alphabet}/{character}"
    keys = sorted(drawings)
    return np.stack([drawings[k] for k in keys]), np.array([labels[k] for k in keys])


def histograms_of_gradients(images, *, cell=4, n_bins=8):
    """Return a histogram of gradient directions for each cell, blocks of 2 x 2 cells normalised."""
    dy, dx = np.gradient(images, axis=(1, 2))
    strength, direction = np.hypot(dx, dy), np.arctan2(dy, dx) % np.pi
    position = direction / np.pi * n_bins
    low = np.floor(position).astype(int)
    share = position - low
    n_cells = images.shape[1] // cell
    size = n_cells * cell
    bins = np.zeros((*images.shape, n_bins))
    for b, part in ((low % n_bins, 1 - share), ((low + 1) % n_bins, share)):
        values = np.take_along_axis(bins, b[..., None], -1) + (strength * part)[..., None]
        np.put_along_axis(bins, b[..., None], values, -1)
    cells = bins[:, :size, :size].reshape(-1, n_cells, cell, n_cells, cell, n_bins).sum(axis=(2, 4))
    blocks = np.concatenate(
        [cells[:, i : n_cells - 1 + i, j : n_cells - 1 + j] for i in (0, 1) for j in (0, 1)], axis=3
    )
    blocks /= np.sqrt((blocks**2).sum(axis=3, keepdims=True) + 1e-4)
    return blocks.reshape(len(images), -1)


def omniglot(*, held_out=False):
    """Return characters: five alphabets to train on, three others to search in.

    With `held_out`, two of the five are searched in, and the test alphabets stay untouched.
    """
    train, test = ALPHABETS["train"], ALPHABETS["test"]
    if held_out:
        train, test = tuple(a for a in train if a not in HELD_OUT_ALPHABETS), HELD_OUT_ALPHABETS
    images, y = load_drawings(train)
    gallery_images, gallery_y = load_drawings(test)
    features, other = histograms_of_gradients(images), histograms_of_gradients(images, cell=7)
    pca = PCA(N_COMPONENTS, random_state=0).fit(features)
    gallery = pca.transform(histograms_of_gradients(gallery_images))
    return OpenSet(
        "omniglot", normalize(pca.transform(features)), y, normalize(gallery), gallery_y,
        images=gallery_images,
        view=normalize(PCA(N_COMPONENTS // 2, random_state=0).fit_transform(other)),
    )  # fmt: skip


def clinc(*, held_out=False):
    """Return sentences: 100 intents to train on, 50 others to search in.

    With `held_out`, 30 of the 100 are searched in, and the 50 stay untouched.
    """
    path = shared_folder().parent / "retrieval" / "clinc150.json.gz"
    with gzip.open(path, "rt") as file:
        parts = json.load(file)
    intents = np.random.default_rng(0).permutation(sorted({label for _, label in parts["train"]}))
    train, test = intents[:N_TRAIN_INTENTS], intents[N_TRAIN_INTENTS:]
    if held_out:
        train, test = train[:-N_HELD_OUT_INTENTS], train[-N_HELD_OUT_INTENTS:]

    def pick(part, wanted):
        rows = [(text, label) for text, label in parts[part] if label in set(wanted)]
        return [text for text, _ in rows], np.array([label for _, label in rows])

    texts, y = pick("train", train)
    gallery_texts, gallery_y = pick("train", test)
    # Queries whose defaults are chosen come from the validation sentences, others from the test.
    query_texts, queries_y = pick("val" if held_out else "test", test)
    tfidf = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit(texts)
    svd = TruncatedSVD(N_COMPONENTS, random_state=0).fit(tfidf.transform(texts))

    def embed(texts):
        return normalize(svd.transform(tfidf.transform(texts)))

    return OpenSet(
        "clinc", embed(texts), y, embed(gallery_texts), gallery_y, embed(query_texts), queries_y
    )  # fmt: skip


SETS = {"omniglot": omniglot, "clinc": clinc}
