"""Digit scenes: answers are true, handwriting and combinations are apart."""

import re

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sklearn_selfattn.datasets import make_digit_scenes
from sklearn_selfattn.datasets.digit_scenes import KINDS, NAMES, RELATIONS

DIGITS = {
    np.minimum(16 * image, 255).astype(np.uint8).tobytes(): target
    for image, target in zip(*(load_digits()[name] for name in ("images", "target")), strict=True)
}


def read(image):
    """Return the digit of each cell by its pixels, None where there is none."""
    cells = [image[r : r + 8, c : c + 8].tobytes() for r in (0, 8, 16) for c in (0, 8, 16)]
    return [DIGITS.get(cell) for cell in cells]


def digit_of(word):
    return next(i for i, name in enumerate(NAMES) if word.startswith(name))


def answer(cells, text):
    """Answer a question from what is in the cells, in other words than the generator's."""
    if found := re.fullmatch(r"is there an? (\w+) \?", text):
        return "yes" if digit_of(found[1]) in cells else "no"
    if found := re.fullmatch(r"how many (\w+) \?", text):
        return str(cells.count(digit_of(found[1])))
    if found := re.fullmatch(r"are there more (\w+) than (\w+) \?", text):
        one, other = (cells.count(digit_of(word)) for word in found.groups())
        return "yes" if one > other else "no"
    found = re.fullmatch(r"(?:what|the (\w+)) is (.*) the (\w+)(?: \?)?", text)
    place = cells.index(digit_of(found[3]))
    row, column = divmod(place, 3)
    down, right = RELATIONS[found[2]]
    row, column = row + down, column + right
    beside = cells[3 * row + column] if 0 <= row < 3 and 0 <= column < 3 else None
    if found[1] is None:
        return "nothing" if beside is None else NAMES[beside]
    return "true" if beside == digit_of(found[1]) else "false"


def test_answers_are_true_and_of_every_kind():
    X, y, kind = make_digit_scenes(2000, questions=KINDS, return_kind=True, random_state=0)
    assert [answer(read(image), text) for image, text in X.to_numpy()] == y.tolist()
    assert dict(zip(*np.unique(kind, return_counts=True), strict=True)) == dict.fromkeys(KINDS, 400)
    for name in ("exist", "compare", "match"):  # a constant answer is right half of the time
        counts = np.unique(y[kind == name], return_counts=True)[1]
        assert len(counts) == 2
        assert abs(counts[0] - 200) < 45


def test_handwriting_of_train_and_test_is_apart():
    cells = {}
    for digits in ("train", "test"):
        X, _ = make_digit_scenes(400, digits=digits, random_state=0)
        cells[digits] = {
            image[r : r + 8, c : c + 8].tobytes()
            for image in X["image"] for r in (0, 8, 16) for c in (0, 8, 16)
        } - {bytes(64)}  # fmt: skip
    assert len(cells["train"]) > 600
    assert not cells["train"] & cells["test"]


def test_unseen_combinations_are_not_among_the_seen():
    texts = {
        name: set(
            make_digit_scenes(3000, questions=["match"], combinations=name, random_state=0)[0][
                "text"
            ]
        )
        for name in ("seen", "unseen")
    }
    assert not texts["seen"] & texts["unseen"]
    assert 0.08 < len(texts["unseen"]) / sum(map(len, texts.values())) < 0.25


def test_the_same_seed_makes_the_same_scenes():
    one, other = (make_digit_scenes(20, random_state=3) for _ in range(2))
    np.testing.assert_array_equal(np.stack(one[0]["image"]), np.stack(other[0]["image"]))
    assert one[0]["text"].tolist() == other[0]["text"].tolist()
    assert make_digit_scenes(20, random_state=4)[0]["text"].tolist() != one[0]["text"].tolist()


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"questions": ["colour"]}, "questions has to be some of 'exist', 'count'"),
        ({"questions": []}, "questions has to be some of"),
        ({"n_samples": 0}, "n_samples"),
        ({"digits": "mine"}, "digits"),
        ({"combinations": "new"}, "combinations"),
    ],
)
def test_bad_input_is_named(params, words):
    with pytest.raises(ValueError, match=words):
        make_digit_scenes(**params)
