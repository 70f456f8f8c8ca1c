"""Pictures and sentences as users have them, turned into arrays; the vocabulary."""

import re
from numbers import Number
from typing import Any

import numpy as np

from ..core.columns import frame_library
from .module import N_SPECIAL, PAD, UNKNOWN

_WORD = re.compile(r"\w+|[^\w\s]")


def split_words(text: str) -> list[str]:
    """Split a sentence into lower-case words and signs.

    Examples
    --------
    >>> from sklearn_selfattn.vision_language.pairs import split_words
    >>> split_words("Is it Red?")
    ['is', 'it', 'red', '?']
    """
    return _WORD.findall(text.lower())


def make_pairs(images: Any, texts: Any) -> np.ndarray:
    """Put pictures and sentences side by side in an array that scikit-learn can split.

    Parameters
    ----------
    images : sequence of length n
        Arrays (height, width) or (height, width, channels), or PIL images.
    texts : sequence of str of length n
        Sentences.

    Returns
    -------
    ndarray of object of shape (n, 2)
        One pair in each row.

    Raises
    ------
    ValueError
        If there are not as many pictures as sentences.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_selfattn.vision_language import make_pairs
    >>> make_pairs(np.zeros((2, 8, 8)), ["is it dark?", "is it bright?"]).shape
    (2, 2)
    """
    images, texts = list(images), list(texts)
    if len(images) != len(texts):
        raise ValueError(
            f"images and texts have to be of one length, got {len(images)} and {len(texts)}."
        )
    pairs = np.empty((len(images), 2), dtype=object)
    for i, pair in enumerate(zip(images, texts, strict=True)):
        pairs[i, 0], pairs[i, 1] = pair
    return pairs


def columns_of(X: Any, image_column: str, text_column: str) -> tuple[list[Any], list[Any]] | None:
    """Return the pictures and the texts of X as lists; None if X holds numbers alone.

    Raises
    ------
    ValueError
        A frame lacks one of the columns, or rows are no pairs.
    """
    if frame_library(X) is not None:
        missing = [name for name in (image_column, text_column) if name not in X.columns]
        if not missing:
            return list(X[image_column]), list(X[text_column])
        if len(missing) == 1 or (len(X) and any(_is_part(X[name].to_list()) for name in X.columns)):
            raise ValueError(
                f"X lacks the column{'s' * (len(missing) - 1)} {', '.join(map(repr, missing))}; "
                f"it has {', '.join(map(repr, map(str, X.columns)))}. image_column and "
                "text_column name the columns of pictures and sentences."
            )
        return None
    if isinstance(X, np.ndarray) and X.dtype == object:
        is_pair = X.ndim == 2 and X.shape[1] == 2 and len(X) and not _is_number(X[0, 0])
        return (list(X[:, 0]), list(X[:, 1])) if is_pair else None
    if not isinstance(X, (list, tuple)) or not len(X) or not _is_pair(X[0]):
        return None
    for row, pair in enumerate(X):
        if len(pair) != 2:
            raise ValueError(
                f"Each row of X has to be a pair of picture and sentence, row {row} has "
                f"{len(pair)} entries."
            )
    return [pair[0] for pair in X], [pair[1] for pair in X]


def _is_pair(row: Any) -> bool:
    return isinstance(row, (list, tuple)) and len(row) == 2 and isinstance(row[1], str)


def _is_number(value: Any) -> bool:
    return isinstance(value, Number)


def _is_part(values: list[Any]) -> bool:
    """Tell whether a column holds pictures or sentences."""
    return isinstance(values[0], str) or np.ndim(values[0]) > 1


def read_images(images: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Check pictures and keep each different one once.

    Parameters
    ----------
    images : list of length n
        Arrays (height, width) or (height, width, channels), or PIL images.

    Returns
    -------
    different : ndarray of shape (u, height, width, channels)
        uint8 if all are, else float32.
    index : ndarray of int of shape (n,)
        Which of them each row has.

    Raises
    ------
    TypeError
        Something that is no picture.
    ValueError
        A picture of another shape than the first, without pixels, or with a pixel that is not
        finite: the first such row is named.
    """
    places: dict[Any, int] = {}
    known: dict[int, int] = {}
    kept: list[np.ndarray] = []
    index = np.empty(len(images), dtype=np.int64)
    for row, image in enumerate(images):
        if id(image) in known:  # the same object again: the list keeps it alive
            index[row] = known[id(image)]
            continue
        pixels = np.asarray(image)
        if pixels.dtype.kind not in "buif" or pixels.ndim not in (2, 3):
            raise TypeError(
                "A picture has to be an array of numbers of shape (height, width) or (height, "
                f"width, channels), or a PIL image; row {row} has {_told(image, pixels)}."
            )
        if not pixels.size:
            raise ValueError(f"The picture of row {row} is empty: its shape is {pixels.shape}.")
        if kept and pixels.shape != kept[0].shape:
            raise ValueError(
                f"All pictures have to be of one shape: row 0 has {kept[0].shape}, row {row} has "
                f"{pixels.shape}. Resize them first."
            )
        if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
            raise ValueError(f"The picture of row {row} has a pixel that is NaN or infinite.")
        key = (pixels.dtype.str, pixels.tobytes())
        if key not in places:
            places[key] = len(kept)
            kept.append(pixels)
        index[row] = known[id(image)] = places[key]
    is_bytes = all(pixels.dtype == np.uint8 for pixels in kept)
    if not is_bytes:
        kept = [p.astype(np.float32) / (255 if p.dtype == np.uint8 else 1) for p in kept]
    stacked = np.stack(kept)
    return stacked if stacked.ndim == 4 else stacked[..., None], index


def _told(image: Any, pixels: np.ndarray) -> str:
    if isinstance(image, np.ndarray):
        return f"an array of dtype {pixels.dtype} and shape {pixels.shape}"
    return f"{type(image).__name__} {str(image)[:40]!r}"


def read_texts(texts: list[Any]) -> list[str]:
    """Check sentences; an empty one is allowed, a missing one is not.

    Raises
    ------
    ValueError
        A sentence is missing.
    TypeError
        Something that is no text.
    """
    for row, text in enumerate(texts):
        if isinstance(text, str):
            continue
        if text is None or text != text or str(text) == "<NA>":
            raise ValueError(f"The text of row {row} is missing ({text}); '' is allowed.")
        raise TypeError(f"Texts have to be str, row {row} has {type(text).__name__} {text!r}.")
    return [str(text) for text in texts]


def learn_vocabulary(split: list[list[str]]) -> dict[str, int]:
    """Return the code of each word that occurs, in the order of the alphabet."""
    words = sorted({word for words in split for word in words})
    return {word: code for code, word in enumerate(words, start=N_SPECIAL)}


def encode_words(
    split: list[list[str]], vocabulary: dict[str, int], max_length: int
) -> tuple[np.ndarray, int]:
    """Return codes of words, ``(n, l)``, PAD after the end, and how many sentences were cut."""
    n_cut = sum(len(words) > max_length for words in split)
    split = [words[:max_length] for words in split]
    codes = np.full((len(split), max(map(len, split), default=0)), PAD, dtype=np.int64)
    for row, words in enumerate(split):
        codes[row, : len(words)] = [vocabulary.get(word, UNKNOWN) for word in words]
    return codes, n_cut
