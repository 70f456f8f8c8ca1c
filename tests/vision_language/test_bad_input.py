"""What users get wrong: each is named, and a model that was fitted stays as it was."""

import numpy as np
import pandas as pd
import pytest

from sklearn_selfattn import VisualParsingClassifier
from sklearn_selfattn.datasets import make_digit_scenes
from sklearn_selfattn.vision_language import make_pairs

SMALL = {"d_model": 8, "n_heads": 2, "max_epochs": 1, "random_state": 0}


@pytest.fixture(scope="module")
def scenes():
    return make_digit_scenes(24, random_state=0)


@pytest.fixture(scope="module")
def model(scenes):
    return VisualParsingClassifier(**SMALL).fit(*scenes)


def with_image(X, row, image):
    X = X.copy()
    column = X["image"].to_numpy().copy()
    column[row] = image
    return X.assign(image=column)


def with_text(X, row, text):
    X = X.astype({"text": object})
    X.loc[row, "text"] = text
    return X


SPOILED = {
    "another shape": (
        lambda X: with_image(X, 5, np.zeros((24, 23), dtype=np.uint8)), ValueError,
        r"row 0 has \(24, 24\), row 5 has \(24, 23\)",
    ),
    "NaN pixel": (
        lambda X: with_image(X, 3, np.full((24, 24), np.nan)), ValueError,
        "picture of row 3 has a pixel that is NaN or infinite",
    ),
    "no pixels": (
        lambda X: with_image(X, 0, np.zeros((0, 24))), ValueError, "picture of row 0 is empty",
    ),
    "a file name": (
        lambda X: with_image(X, 2, "cat.png"), TypeError, "PIL image; row 2 has str 'cat.png'",
    ),
    "a number": (lambda X: with_image(X, 2, 7.0), TypeError, "PIL image; row 2 has float '7.0'"),
    "missing text": (lambda X: with_text(X, 4, None), ValueError, "text of row 4 is missing"),
    "NaN text": (lambda X: with_text(X, 4, np.nan), ValueError, "text of row 4 is missing"),
    "text that is a number": (
        lambda X: with_text(X, 4, 3), TypeError, "Texts have to be str, row 4 has int 3",
    ),
    "absent column": (
        lambda X: X.drop(columns="text"), ValueError, "X lacks the column 'text'; it has 'image'",
    ),
    "absent columns": (
        lambda X: X.rename(columns={"image": "photo", "text": "note"}), ValueError,
        "X lacks the columns 'image', 'text'; it has 'photo', 'note'",
    ),
    "a triple among pairs": (
        lambda X: [*map(tuple, X.to_numpy()[:-1]), (X["image"][0], "a", "b")], ValueError,
        "row 23 has 3 entries",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILED)
@pytest.mark.parametrize("method", ["fit", "predict", "partial_fit", "pretrain"])
def test_spoiled_pairs_are_refused_and_nothing_is_lost(model, scenes, name, method):
    X, y = scenes
    spoil, kind, words = SPOILED[name]
    before = model.predict_proba(X)
    arguments = {"fit": (y,), "partial_fit": (y,)}.get(method, ())
    with pytest.raises(kind, match=words):
        getattr(model, method)(spoil(X), *arguments)
    np.testing.assert_array_equal(model.predict_proba(X), before)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"patch_size": 25}, "patch_size=25 is larger than a picture"),
        ({"patch_size": 6}, "patch_size has to be a power of 2, got 6"),
        ({"backbone": "resnet"}, "backbone"),
        ({"d_model": 10, "n_heads": 4}, "d_model has to be divisible by n_heads"),
        ({"mask_ratio": 1.0}, "mask_ratio"),
        ({"tokenizer": "bert"}, "tokenizer"),
        ({"class_weight": "even"}, "class_weight"),
    ],
)
def test_parameters_are_checked(scenes, params, words):
    with pytest.raises(ValueError, match=words):
        VisualParsingClassifier(**{**SMALL, **params}).fit(*scenes)


def test_patches_that_do_not_divide_are_padded(scenes):
    X, y = scenes
    model = VisualParsingClassifier(backbone="linear", patch_size=7, **SMALL).fit(X, y)
    assert model.n_visual_tokens_ == 16


def test_pictures_of_another_shape_than_in_fit(scenes):
    model = VisualParsingClassifier(**SMALL).fit(make_pairs(*scenes[0].to_numpy().T), scenes[1])
    with pytest.raises(ValueError, match=r"shape \(12, 24, 1\).* was fitted on \(24, 24, 1\)"):
        model.predict(make_pairs(np.zeros((2, 12, 24)), ["is it", "so ?"]))


def test_image_shape_has_to_fit_the_columns():
    X, y = np.random.default_rng(0).random((20, 12)), np.arange(20) % 2
    assert VisualParsingClassifier(image_shape=(3, 4), **SMALL).fit(X, y).image_shape_ == (3, 4, 1)
    for shape in ((3, 5), (12,)):
        with pytest.raises(ValueError, match="image_shape has to be .* as X has columns, 12; got"):
            VisualParsingClassifier(image_shape=shape, **SMALL).fit(X, y)


def test_long_texts_are_cut_with_a_warning(scenes):
    X, y = scenes
    with pytest.warns(UserWarning, match=r"of 24 texts have more than 3 words .* were cut"):
        model = VisualParsingClassifier(max_text_length=3, **SMALL).fit(X, y)
    longer = X.assign(text=X["text"] + " and so on")
    with pytest.warns(UserWarning, match="24 of 24 texts"):
        model.predict(longer)


def test_one_class_is_predicted(scenes):
    X, _ = scenes
    model = VisualParsingClassifier(**SMALL).fit(X, ["yes"] * 24)
    assert set(model.predict(X)) == {"yes"}
    assert (model.predict_proba(X) == 1).all()


def test_partial_fit_wants_all_classes_first(scenes):
    X, y = scenes
    model = VisualParsingClassifier(**SMALL)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        model.partial_fit(X, y)
    model.partial_fit(X, y, classes=np.unique(y))
    with pytest.raises(ValueError, match="is not the same as in the first call"):
        model.partial_fit(X, y, classes=["a", "b"])
    with pytest.raises(ValueError, match=r"labels \['eleven'\], which are not among classes"):
        model.partial_fit(X, np.where(y == y[0], "eleven", y))
    assert list(model.classes_) == sorted(set(y))


def test_matching_has_to_be_learnt_first(model, scenes):
    X, _ = scenes
    with pytest.raises(ValueError, match=r"Matching was not learnt: call pretrain\(X\)"):
        model.match_proba(X)
    with pytest.raises(ValueError, match="Matching was not learnt"):
        model.retrieve(X["image"], ["is there a three ?"])


def test_pretraining_with_nothing_to_learn_by(scenes):
    X, _ = scenes
    none = {"mlm_weight": 0, "itm_weight": 0, "mfr_weight": 0}
    with pytest.raises(ValueError, match="nothing to pretrain by"):
        VisualParsingClassifier(**none, **SMALL).pretrain(X)
    with pytest.warns(UserWarning, match="there are no sentences"):
        VisualParsingClassifier(**SMALL).pretrain(np.stack(X["image"]))
    with pytest.warns(UserWarning, match="there are no two rows"):
        VisualParsingClassifier(**SMALL).pretrain(X[:1])


def test_frames_of_polars_and_objects_of_numpy_are_taken(scenes, model):
    X, _ = scenes
    expected = model.predict_proba(X)
    pairs = X.to_numpy()
    as_list = [tuple(pair) for pair in pairs]
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        np.testing.assert_array_equal(model.predict_proba(pairs), expected)
    fitted_on_array = VisualParsingClassifier(**SMALL).fit(pairs, pd.Series(["a", "b"] * 12))
    np.testing.assert_array_equal(
        fitted_on_array.predict_proba(as_list), fitted_on_array.predict_proba(pairs)
    )
