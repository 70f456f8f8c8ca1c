"""The context: swapped, extended, refused, sampled, left out in parts."""

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from sklearn_selfattn.npt.context import LOO_FOLDS
from tests.npt.tables import classes_of, classifier, mixed_table, regressor


@pytest.fixture
def fitted():
    frame, target = mixed_table(100)
    return classifier().fit(frame, classes_of(target))


def other_rows(n_rows=40, seed=1):
    frame, target = mixed_table(n_rows, seed=seed)
    return frame, classes_of(target)


# --- set_context ----------------------------------------------------------------------------


def test_a_swapped_context_is_the_whole_context(fitted):
    frame, labels = other_rows()
    queries, _ = mixed_table(20, seed=2)
    weights = {name: value.clone() for name, value in fitted.module_.state_dict().items()}
    before = fitted.predict_proba(queries)
    assert fitted.set_context(frame, labels) is fitted
    assert fitted.n_context_ == 40
    assert (fitted.context_target_ == labels).all()
    assert np.abs(fitted.predict_proba(queries) - before).max() > 1e-4
    assert all((value == weights[n]).all() for n, value in fitted.module_.state_dict().items())
    # nothing of the old context is left: two models with other contexts agree from here on
    frame_before, labels_before = other_rows(70, seed=3)
    again = fitted.predict_proba(queries)
    fitted.set_context(frame_before, labels_before).set_context(frame, labels)
    np.testing.assert_array_equal(fitted.predict_proba(queries), again)


def test_appended_rows_join_the_context(fitted):
    old, old_labels = mixed_table(100)[0], fitted.context_target_
    new, labels = other_rows()
    queries, _ = mixed_table(20, seed=2)
    fitted.set_context(new, labels, append=True)
    assert fitted.n_context_ == 140
    assert (fitted.context_target_ == np.concatenate([old_labels, labels])).all()
    assert len(fitted.predict_loo()) == 140
    appended = fitted.predict_proba(queries)
    fitted.set_context(pd.concat([old, new]), np.concatenate([old_labels, labels]))
    np.testing.assert_allclose(fitted.predict_proba(queries), appended, rtol=0, atol=1e-10)


@pytest.mark.parametrize("append", [False, True])
@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (lambda X, y: (X, np.where(np.arange(40) == 3, "huge", y)), ValueError,
         r"labels that were not seen in fit: \['huge'\]; accepted are \['high', 'low', 'middle'\]"),
        (lambda X, y: (X, y[:-1]), ValueError, "inconsistent numbers of samples: .40, 39."),
        (lambda X, y: (X.drop(columns="size"), y), ValueError, "feature names should match"),
        (lambda X, y: (X[X.columns[::-1]], y), ValueError, "feature names should match"),
        (lambda X, y: (X.assign(size=np.inf), y), ValueError, "infinity"),
        (lambda X, y: (X.iloc[:0], y[:0]), ValueError, "0 sample"),
        (lambda X, y: (X, None), ValueError, "y should be a 1d array"),
        (lambda X, y: (X, y[:, None].repeat(2, 1)), ValueError, "y should be a 1d array"),
    ],
    ids=["label", "lengths", "columns", "order", "inf", "empty", "no y", "2-D y"],
)  # fmt: skip
def test_a_refused_context_leaves_the_old_one(fitted, append, spoil, error, words):
    queries, _ = mixed_table(20, seed=2)
    before, state = fitted.predict_proba(queries), dict(vars(fitted))
    with pytest.raises(error, match=words):
        fitted.set_context(*spoil(*other_rows()), append=append)
    assert vars(fitted).keys() == state.keys()
    assert all(vars(fitted)[name] is value for name, value in state.items())
    np.testing.assert_array_equal(fitted.predict_proba(queries), before)


def test_a_number_that_is_missing_or_infinite_is_no_target():
    frame, target = mixed_table(60)
    model = regressor().fit(frame, target)
    for bad, words in ((np.nan, "contains NaN"), (np.inf, "contains infinity")):
        spoilt = target.copy()
        spoilt[5] = bad
        with pytest.raises(ValueError, match=words):
            model.set_context(frame, spoilt)
    assert model.n_context_ == 60


def test_a_context_of_one_row():
    frame, target = mixed_table(60)
    model = regressor().fit(frame, target)
    model.set_context(frame.head(1), target[:1])
    assert np.isfinite(model.predict(frame)).all()
    assert np.isfinite(model.predict_loo()).all()  # nothing is left to look at but itself
    assert model.neighbors(frame.head(2), n_neighbors=1)["context_row"].tolist() == [0, 0]


def test_a_context_may_lack_classes(fitted):
    frame, labels = other_rows()
    fitted.set_context(frame[labels == "high"], labels[labels == "high"])
    assert fitted.predict_proba(frame).shape == (40, 3)


# --- more rows than context_size ------------------------------------------------------------


def test_a_large_context_is_sampled_evenly_and_from_the_seed():
    frame, target = mixed_table(400)
    labels = classes_of(target)
    settings = {"context_size": 40, "n_estimators": 3, "max_epochs": 2}
    model = classifier(**settings).fit(frame, labels)
    assert model.n_context_ == 120  # three members' worth
    assert model._member_rows.shape == (3, 40)
    shares = {label: np.mean(labels == label) for label in model.classes_}
    for label, share in shares.items():
        assert abs((model.context_target_ == label).sum() - 120 * share) <= 1
        for rows in model._member_rows:
            assert abs((model.context_target_[rows] == label).sum() - 40 * share) <= 2
    assert len({tuple(rows) for rows in model._member_rows}) == 3
    again = classifier(**settings).fit(frame, labels)
    np.testing.assert_array_equal(model._context, again._context)
    np.testing.assert_array_equal(model._member_rows, again._member_rows)
    model.set_context(frame, labels)
    np.testing.assert_array_equal(model._context, again.set_context(frame, labels)._context)
    # the seed decides
    other = classifier(**settings).set_params(random_state=1).fit(frame, labels)
    assert not np.array_equal(model._context, other._context)
    # and what is kept are rows of the table
    cells = {row.tobytes() for row in model._as_cells(model._encode_table(frame, reset=False),
                                                      model._encode_target(labels))}  # fmt: skip
    assert all(row.tobytes() in cells for row in model._context)


def test_each_member_looks_at_its_sample_only():
    frame, target = mixed_table(300)
    model = regressor(context_size=30, max_epochs=2).fit(frame, target)
    weights = model.attention_weights(frame.head(5), between="rows")[0]  # (5, m h, 1, k + 1)
    assert weights.shape == (5, 4, 1, 61)
    for member, rows in enumerate(model._member_rows):
        looked_at = weights[:, 2 * member : 2 * member + 2, 0, :-1].sum(axis=(0, 1)) > 0
        assert set(np.flatnonzero(looked_at)) <= set(rows)
        assert looked_at.sum() > 15


# --- predict_loo ----------------------------------------------------------------------------


def test_rows_are_left_out_in_parts_and_come_back_in_order(fitted, monkeypatch):
    parts = []
    leave_out = type(fitted)._predict_left_out

    def watch(self, part, member):
        parts.append((part, member))
        return leave_out(self, part, member)

    monkeypatch.setattr(type(fitted), "_predict_left_out", watch)
    probability = fitted.predict_loo("predict_proba")
    np.testing.assert_array_equal(fitted.predict_loo(), fitted.classes_[probability.argmax(axis=1)])
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=0, atol=1e-12)
    once = parts[: len(parts) // 2]
    assert sorted(np.concatenate([part for part, _ in once]).tolist()) == list(range(100))
    for part, member in once:
        if member is not None:  # rows that this member held out in fit
            assert (fitted._context_fold[part] == member).all()
        left_out = leave_out(fitted, part, member)
        np.testing.assert_array_equal(np.exp(left_out), probability[part])
    assert {member for _, member in once} == {None, 0, 1}
    assert sum(member is None for _, member in once) == LOO_FOLDS


def test_left_out_rows_are_predicted_from_the_rest(fitted):
    """The same as to swap the context for the others and predict."""
    frame, labels = other_rows(50)
    fitted.set_context(frame, labels)
    whole = fitted.predict_loo("predict_proba")
    parts = np.array_split(np.random.RandomState(fitted._context_seed).permutation(50), LOO_FOLDS)
    for part in parts:
        others = np.setdiff1d(np.arange(50), part)
        fitted.set_context(frame.iloc[others], labels[others])
        np.testing.assert_allclose(
            fitted.predict_proba(frame.iloc[part]), whole[part], rtol=0, atol=1e-10
        )


def test_predict_loo_refuses_what_there_is_not(fitted):
    with pytest.raises(ValueError, match="method has to be one of .*got 'decision_function'"):
        fitted.predict_loo("decision_function")
    frame, target = mixed_table(60)
    model = regressor(max_epochs=2).fit(frame, target)
    with pytest.raises(ValueError, match="one of .'predict',., got 'predict_proba'"):
        model.predict_loo("predict_proba")


@pytest.mark.parametrize("make", [classifier, regressor])
def test_nothing_works_before_fit(make):
    frame, target = mixed_table(10)
    calls = {
        "predict": (frame,), "set_context": (frame, target), "predict_loo": (),
        "neighbors": (frame,), "attention_weights": (frame,), "impute": (frame,),
        "context_reliance": (frame, target),
    }  # fmt: skip
    for name, arguments in calls.items():
        with pytest.raises(NotFittedError, match="is not fitted yet"):
            getattr(make(), name)(*arguments)
    assert not hasattr(make(), "context_target_")


@pytest.mark.parametrize("pretrained", [False, True], ids=["trained", "pretrained"])
def test_members_stay_those_of_the_fit(pretrained):
    """A parameter set afterwards is for the next fit; it does not reach into the context."""
    frame, target = mixed_table(90)
    model = regressor(pretrained=pretrained, context_size=30, max_epochs=1).fit(frame, target)
    before = model.predict(frame)
    model.set_params(n_estimators=5).set_context(frame, target)
    assert model._member_rows.shape == (2, 30)
    np.testing.assert_allclose(model.predict(frame), before, rtol=0, atol=1e-9)
