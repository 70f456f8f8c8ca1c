"""Pictures of handwritten digits in a grid, and questions that only looking can answer."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Literal, TypeAlias, overload

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from ..core.typing import validate_params

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
KINDS = ("exist", "count", "relation", "compare", "match")
RELATIONS = {"left of": (0, -1), "right of": (0, 1), "above": (-1, 0), "below": (1, 0)}
SIDE, FILLED = 3, 0.7  # cells along a side, and the share of them that holds a digit
EMPTY = -1
TRAIN_SHARE, UNSEEN_SHARE = 0.7, 0.15


Question: TypeAlias = Literal["exist", "count", "relation", "compare", "match"]


@overload
def make_digit_scenes(
    n_samples: int = ...,
    *,
    questions: Sequence[Question] = ...,
    digits: Literal["all", "train", "test"] = ...,
    combinations: Literal["all", "seen", "unseen"] = ...,
    return_kind: Literal[False] = ...,
    random_state: int | np.random.RandomState | None = ...,
) -> tuple[pd.DataFrame, np.ndarray]: ...
@overload
def make_digit_scenes(
    n_samples: int = ...,
    *,
    questions: Sequence[Question] = ...,
    digits: Literal["all", "train", "test"] = ...,
    combinations: Literal["all", "seen", "unseen"] = ...,
    return_kind: Literal[True],
    random_state: int | np.random.RandomState | None = ...,
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]: ...
@validate_params(
    {
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "questions": ["array-like"],
        "digits": [StrOptions({"train", "test", "all"})],
        "combinations": [StrOptions({"seen", "unseen", "all"})],
        "return_kind": ["boolean"],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_digit_scenes(
    n_samples: int = 1000,
    *,
    questions: Sequence[Question] = (
        "exist",
        "count",
        "relation",
    ),
    digits: Literal["all", "train", "test"] = "all",
    combinations: Literal["all", "seen", "unseen"] = "all",
    return_kind: bool = False,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[pd.DataFrame, np.ndarray] | tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Make pictures of digits in a grid of 3 x 3 cells, each with a question and its answer.

    "Is there a three?" and "how many threes?" ask for what is in the picture, "what is left of
    the seven?" for a place that only the picture and the words together point to: features of
    the picture glued to a bag of words do not answer it. Each cell holds a handwritten digit of
    :func:`~sklearn.datasets.load_digits` with probability 0.7.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of pictures, one question each.
    questions : sequence of {"exist", "count", "relation", "compare", "match"}, \
            default=("exist", "count", "relation")
        Kinds of questions, equally often. "compare": are there more threes than fives? "match":
        a sentence, "the three is left of the seven", that is true or false.
    digits : {"all", "train", "test"}, default="all"
        From which pictures of digits: a fixed 70 % of them ("train"), the others ("test"), or all.
    combinations : {"all", "seen", "unseen"}, default="all"
        Which sentences "match" takes: a fixed 15 % of (digit, relation, digit) is "unseen".
    return_kind : bool, default=False
        Whether to return the kind of each question as well.
    random_state : int, RandomState instance or None, default=None
        Source of everything that is drawn.

    Returns
    -------
    X : DataFrame of shape (n_samples, 2)
        Columns "image", arrays of uint8 of shape (24, 24), and "text".
    y : ndarray of str of shape (n_samples,)
        "yes" and "no", "0" to "9", "zero" to "nine" and "nothing", "true" and "false".
    kind : ndarray of str of shape (n_samples,)
        Only if `return_kind`.

    Raises
    ------
    ValueError
        A kind of question that there is not, or none.

    Examples
    --------
    >>> from sklearn_selfattn.datasets import make_digit_scenes
    >>> X, y = make_digit_scenes(3, random_state=0)
    >>> X["image"][0].shape, X["text"][0], str(y[0])
    ((24, 24), 'how many sixes ?', '1')
    """
    questions = list(questions)
    unknown = [kind for kind in questions if kind not in KINDS]
    if unknown or not questions:
        raise ValueError(
            f"questions has to be some of {', '.join(map(repr, KINDS))}, got {questions}."
        )
    rng = check_random_state(random_state)
    pictures = _pictures(digits)
    is_allowed = _allowed(combinations)
    images: list[np.ndarray] = []
    texts, answers, kinds = [], [], []
    wanted = rng.rand() < 0.5  # that the answer is yes, where it may be
    while len(images) < n_samples:
        scene = np.where(rng.rand(SIDE, SIDE) < FILLED, rng.randint(10, size=(SIDE, SIDE)), EMPTY)
        kind = questions[len(images) % len(questions)]
        asked = _ASK[kind](scene, rng, wanted, is_allowed)
        if asked is None:  # this scene has no such question
            continue
        images.append(_draw(scene, pictures, rng))
        texts.append(asked[0])
        answers.append(asked[1])
        kinds.append(kind)
        wanted = rng.rand() < 0.5
    order = rng.permutation(n_samples)
    column = np.empty(n_samples, dtype=object)
    column[:] = [images[i] for i in order]
    X = pd.DataFrame({"image": column, "text": [texts[i] for i in order]})
    y = np.array(answers)[order]
    return (X, y, np.array(kinds)[order]) if return_kind else (X, y)


def _pictures(digits):
    """Return the pictures of each digit, all or of one part."""
    bunch = load_digits()
    is_train = np.random.RandomState(0).rand(len(bunch.target)) < TRAIN_SHARE
    chosen = {"all": is_train | True, "train": is_train, "test": ~is_train}[digits]
    pixels = np.minimum(16 * bunch.images, 255).astype(np.uint8)
    return [pixels[chosen & (bunch.target == digit)] for digit in range(10)]


def _allowed(combinations):
    """Return which (digit, relation, digit) sentences may use."""
    is_unseen = np.random.RandomState(1).rand(10, len(RELATIONS), 10) < UNSEEN_SHARE
    return {"all": is_unseen | True, "unseen": is_unseen, "seen": ~is_unseen}[combinations]


def _draw(scene, pictures, rng):
    image = np.zeros((8 * SIDE, 8 * SIDE), dtype=np.uint8)
    for (row, column), digit in np.ndenumerate(scene):
        if digit != EMPTY:
            examples = pictures[digit]
            place = np.s_[8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
            image[place] = examples[rng.randint(len(examples))]
    return image


def _plural(digit):
    return NAMES[digit] + ("es" if digit == 6 else "s")


def _exist(scene, rng, wanted, is_allowed):
    is_there = np.isin(np.arange(10), scene)
    options = np.flatnonzero(is_there == wanted)
    if not len(options):
        return None
    name = NAMES[rng.choice(options)]
    article = "an" if name == "eight" else "a"
    return f"is there {article} {name} ?", "yes" if wanted else "no"


def _count(scene, rng, wanted, is_allowed):
    counts = np.bincount(scene[scene != EMPTY], minlength=10)
    options = np.flatnonzero((counts > 0) == (rng.rand() < 0.7))
    if not len(options):
        return None
    digit = rng.choice(options)
    return f"how many {_plural(digit)} ?", str(counts[digit])


def _single(scene):
    """Return the digits that occur once."""
    counts = np.bincount(scene[scene != EMPTY], minlength=10)
    return np.flatnonzero(counts == 1)


def _relation(scene, rng, wanted, is_allowed):
    single = _single(scene)
    if not len(single):
        return None
    digit, name = rng.choice(single), rng.choice(list(RELATIONS))
    beside = _beside(scene, digit, name)
    if beside is None:
        return None
    answer = "nothing" if beside == EMPTY else NAMES[beside]
    return f"what is {name} the {NAMES[digit]} ?", answer


def _beside(scene, digit, name):
    """Return what is on one side of a digit; None beyond the edge."""
    (row,), (column,) = np.nonzero(scene == digit)
    row, column = row + RELATIONS[name][0], column + RELATIONS[name][1]
    is_inside = 0 <= row < SIDE and 0 <= column < SIDE
    return scene[row, column] if is_inside else None


def _compare(scene, rng, wanted, is_allowed):
    counts = np.bincount(scene[scene != EMPTY], minlength=10)
    one, other = rng.randint(10, size=2)
    if one == other or counts[one] + counts[other] == 0 or (counts[one] > counts[other]) != wanted:
        return None
    text = f"are there more {_plural(one)} than {_plural(other)} ?"
    return text, "yes" if wanted else "no"


def _match(scene, rng, wanted, is_allowed):
    single, names = _single(scene), list(RELATIONS)
    options = [
        (one, i, other)
        for other in single
        for i, name in enumerate(names)
        for one in single
        if one != other
        and is_allowed[one, i, other]
        and (_beside(scene, other, name) == one) == wanted
    ]
    if not options:
        return None
    one, i, other = options[rng.randint(len(options))]
    text = f"the {NAMES[one]} is {names[i]} the {NAMES[other]}"
    return text, "true" if wanted else "false"


_ASK = {
    "exist": _exist, "count": _count, "relation": _relation, "compare": _compare, "match": _match,
}  # fmt: skip
