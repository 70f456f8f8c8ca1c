"""The search: shapes of equal size, what is chosen, what is said of crossings, what is refused."""

import json
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import BaggingRegressor
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from sklearn_selfattn import DepthWidthSearchCV, NPTClassifier, NPTRegressor
from tests.core.toy import TableTransformerClassifier, TableTransformerRegressor


def toy(**params):
    """Return a net whose layers have ``n_layers * 4 * d * (d + 1)`` parameters."""
    return TableTransformerClassifier(
        **{"max_epochs": 3, "learning_rate": 2e-2, "random_state": 0, **params}
    )


def of_toy(depth, width):
    return depth * 4 * width * (width + 1)


class Scored(RegressorMixin, BaseEstimator):
    """An estimator whose score is a formula of its shape, plus noise that depends on the split."""

    def __init__(self, n_layers=1, d_model=8, rule=None, noise=0.0, random_state=None):
        self.n_layers = n_layers
        self.d_model = d_model
        self.rule = rule
        self.noise = noise
        self.random_state = random_state

    def fit(self, X, y):
        self.seen_ = float(np.sum(X))
        return self

    def predict(self, X):
        return np.zeros(len(X))

    def score(self, X, y):
        seed = int(abs(self.seen_ * 1e6)) % 2**31 + (self.random_state or 0) % 1000
        rng = np.random.RandomState(seed % 2**31)
        rng.normal(size=1000 * self.n_layers + self.d_model)
        return self.rule(self.n_layers, self.d_model) + self.noise * rng.normal()


def count_square(estimator, X, y):
    return 12 * estimator.n_layers * estimator.d_model**2


def scored_search(rule, noise=0.0, **params):
    X = np.random.RandomState(0).normal(size=(60, 2))
    params = {
        "n_params": [1e4, 3e4, 1e5, 3e5], "depths": (1, 2, 3), "width_multiple": 1,
        "count_params": count_square, "cv": 5, "random_state": 0, **params,
    }  # fmt: skip
    search = DepthWidthSearchCV(Scored(rule=rule, noise=noise), **params)
    return search.fit(X, X[:, 0])


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


# --- sizes ------------------------------------------------------------------------------------


def test_shapes_are_of_equal_size_on_the_real_module(iris):
    search = DepthWidthSearchCV(toy(), n_params=(600, 2000), depths=(1, 2, 3), cv=2)
    search.set_params(tolerance=0.2).fit(*iris)
    curves = search.curves_
    assert len(curves) == 6
    for row in curves.itertuples():
        assert abs(row.n_params / row.budget - 1) <= 0.2
        assert row.width % 2 == 0  # n_heads
        # counted on modules that were trained: what is not in the layers has the same size
        module = toy(n_layers=row.depth, d_model=row.width).fit(*iris).module_
        in_layers = sum(
            p.numel() for name, p in module.named_parameters() if name.startswith(("attend", "mix"))
        )
        assert row.n_params == in_layers == of_toy(row.depth, row.width)
    best = search.best_estimator_.module_
    assert len(best.attend) == search.best_depth_
    assert best.slope.shape[1] == search.best_width_


def test_shapes_far_from_the_budget_are_left_out_and_named(iris):
    search = DepthWidthSearchCV(toy(n_heads=8, d_model=8), n_params=576, depths=(1, 2), cv=2)
    with pytest.warns(UserWarning, match="1 layers for 576: nearest is width 16 with 1088") as seen:
        search.fit(*iris)
    assert search.curves_[["depth", "width"]].to_numpy().tolist() == [[2, 8]]
    assert seen[0].filename == __file__
    with pytest.raises(ValueError, match=r"No shape is within tolerance=0.1 .* smaller width_mul"):
        search.set_params(n_params=100).fit(*iris)
    assert search.best_depth_ == 2  # nothing fitted was lost
    search.predict(iris[0])


@pytest.mark.parametrize("architecture", ["rows", "cells"])
def test_npt_and_its_members_are_counted(architecture):
    X, y = load_diabetes(return_X_y=True)
    net = NPTRegressor(
        pretrained=False, architecture=architecture, n_estimators=2, n_heads=2, row_dim=8,
        feed_forward_dim=8, max_epochs=1, random_state=0,
    )  # fmt: skip
    search = DepthWidthSearchCV(
        net, n_params=9000, depths=(1, 2), cv=ShuffleSplit(1, random_state=0), tolerance=0.3
    ).fit(X[:150], y[:150])
    assert len(search.curves_) == 2
    for row in search.curves_.itertuples():
        model = clone(net).set_params(n_layers=row.depth, d_model=row.width).fit(X[:150], y[:150])
        assert row.n_params == sum(p.numel() for p in model.module_.blocks.parameters())
        assert len(model.module_.blocks) == row.depth


def test_pretrained_weights_have_their_own_shape(iris):
    with pytest.raises(ValueError, match="n_layers does not change the number of parameters"):
        DepthWidthSearchCV(NPTClassifier(pretrained=True), n_params=1000, cv=2).fit(*iris)


def test_names_may_be_nested(iris):
    X, y = iris
    pipeline = make_pipeline(StandardScaler(), toy())
    prefix = "tabletransformerclassifier__"
    names = {"depth_param": f"{prefix}n_layers", "width_param": f"{prefix}d_model"}
    options = {"n_params": 576, "depths": (1, 2), "cv": KFold(2, shuffle=True, random_state=0)}
    nested = DepthWidthSearchCV(pipeline, **options, **names).fit(X, y)
    direct = DepthWidthSearchCV(toy(), **options).fit(X, y)
    columns = ["depth", "width", "n_params"]
    pd.testing.assert_frame_equal(nested.curves_[columns], direct.curves_[columns])
    assert set(nested.best_params_) == set(names.values())


def test_members_of_an_ensemble_are_all_counted():
    X, y = load_diabetes(return_X_y=True)
    net = TableTransformerRegressor(max_epochs=1)
    search = DepthWidthSearchCV(
        BaggingRegressor(net, n_estimators=3), n_params=1728, depths=(1, 2), cv=2,
        depth_param="estimator__n_layers", width_param="estimator__d_model",
    ).fit(X[:60], y[:60])  # fmt: skip
    assert search.curves_["n_params"].tolist() == [3 * of_toy(1, 12), 3 * of_toy(2, 8)]


def test_a_module_of_others_is_fitted_for_an_epoch_at_each_shape():
    """Nets of skorch hold their module in the same attribute, and cannot build it untrained."""
    import torch
    from skorch import NeuralNetRegressor

    class Net(torch.nn.Module):
        def __init__(self, depth=1, width=4):
            super().__init__()
            self.first = torch.nn.Linear(3, width)
            self.hidden = torch.nn.ModuleList(torch.nn.Linear(width, width) for _ in range(depth))
            self.last = torch.nn.Linear(width, 1)

        def forward(self, X):
            H = self.first(X)
            for layer in self.hidden:
                H = H + layer(H).relu()
            return self.last(H)

    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = NeuralNetRegressor(Net, train_split=None, verbose=0, max_epochs=2)
        X = np.random.RandomState(0).normal(size=(40, 3)).astype(np.float32)
        search = DepthWidthSearchCV(
            net, n_params=420, depths=(1, 2), depth_param="module__depth",
            width_param="module__width", cv=2, width_multiple=2,
        ).set_params(estimator__module__depth=1, estimator__module__width=4)  # fmt: skip
        search.fit(X, X[:, :1])
    assert search.curves_["n_params"].tolist() == [20 * 21, 2 * 14 * 15]


# --- choosing ---------------------------------------------------------------------------------


def deeper_from(width):
    """Return scores under which depth L is best once its width has passed a threshold."""
    return lambda L, d: np.log(d) + 0.4 * L * (np.log(d) - np.log(width)) - 0.1 * L**2


def test_select_rules():
    near = scored_search(lambda L, d: 0.03 * L + 0.02 * np.log(d), noise=0.1)
    results = near.cv_results_
    mean = results["mean_test_score"]
    splits = np.array([results[f"split{i}_test_score"] for i in range(5)])  # (5, n_shapes)
    error = splits.std(axis=0, ddof=1) / np.sqrt(5)
    close = np.flatnonzero(mean >= mean.max() - error[mean.argmax()])
    assert len(close) > 1
    smallest = min(close, key=lambda i: (results["budget"][i], results["depth"][i]))
    assert near.best_index_ == smallest != mean.argmax()
    best = scored_search(lambda L, d: 1.0 + L * 1e-3, noise=0.0, select="best")
    assert best.best_depth_ == 3
    one = scored_search(lambda L, d: float(L), select="1se")  # no noise: no one is near
    assert (one.best_depth_, one.cv_results_["budget"][one.best_index_]) == (3, 1e4)
    cheap = scored_search(lambda L, d: 1.0, select="cheapest")
    assert cheap.best_index_ == cheap.cv_results_["mean_fit_time"].argmin()
    index = scored_search(lambda L, d: 1.0, refit=lambda results: 4)
    assert index.best_index_ == 4


def test_frontier_is_the_best_of_each_budget():
    search = scored_search(lambda L, d: -abs(L - np.log10(12 * L * d * d) + 3))
    assert search.frontier_["budget"].tolist() == [1e4, 3e4, 1e5, 3e5]
    for row in search.frontier_.itertuples():
        same = search.curves_[search.curves_["budget"] == row.budget]
        assert row.score == same["score"].max()


def test_halving_goes_on_with_the_best(iris):
    search = DepthWidthSearchCV(
        toy(max_epochs=8), n_params=(576, 2000), depths=(1, 2), cv=2, halving_factor=2,
        tolerance=0.2,
    ).fit(*iris)  # fmt: skip
    results = search.cv_results_
    assert results["n_resources"].tolist() == [2] * 4 + [4] * 2 + [8]
    assert results["param_max_epochs"].tolist() == results["n_resources"].tolist()
    first = results["mean_test_score"][:4]
    kept = results["mean_test_score"][:4].argsort()[-2:]
    assert {(results["depth"][i], results["width"][i]) for i in (4, 5)} <= {
        (results["depth"][i], results["width"][i])
        for i in np.flatnonzero(first >= first[kept].min())
    }
    assert search.best_index_ == 6
    assert search.best_estimator_.n_iter_ == 8
    assert len(search.curves_) == 1


def test_repeats_are_splits_with_other_seeds():
    rule = deeper_from(30)
    search = scored_search(rule, noise=0.1, n_repeats=4, cv=3)
    results = search.cv_results_
    assert len(results["params"]) == 12
    assert "split11_test_score" in results
    assert "split12_test_score" not in results
    assert search.curves_["n_splits"].unique().tolist() == [12]
    assert all(set(params) == {"n_layers", "d_model"} for params in results["params"])
    scores = np.array([results[f"split{i}_test_score"] for i in range(12)]).T
    assert len(np.unique(scores[0])) == 12
    np.testing.assert_allclose(results["mean_test_score"], scores.mean(axis=1))


# --- crossings --------------------------------------------------------------------------------


def test_planted_crossings_are_found_and_the_law_is_fitted():
    """Depth L overtakes L - 1 where log d = a + b L, as planted."""
    a, b = 2.0, 0.5

    def rule(L, d):
        log_n = np.log(12 * L * d * d)
        gain = 0.0
        for depth in range(2, L + 1):
            at = np.log(12 * depth) + 2 * (a + b * depth)
            gain += np.tanh((log_n - at) / 2)
        return gain

    search = scored_search(
        rule, noise=0.01, n_params=np.logspace(3, 6, 9), depths=(1, 2, 3, 4, 5), cv=6,
        tolerance=0.25,
    )  # fmt: skip
    crossings = search.crossings_
    assert (crossings["status"] == "crosses").all()
    for row in crossings.itertuples():
        true = np.log(12 * row.depth_hi) + 2 * (a + b * row.depth_hi)
        assert row.log_n_cross == pytest.approx(true, abs=0.25)
        assert row.ci_low <= row.log_n_cross <= row.ci_high
        assert row.ci_high - row.ci_low < 0.5
    assert search.law_["a"] == pytest.approx(a, abs=0.2)
    assert search.law_["b"] == pytest.approx(b, abs=0.05)
    assert search.law_["b_error"] > 0


@pytest.mark.parametrize(
    ("rule", "status"),
    [
        (lambda L, d: float(L), "deeper always"),
        (lambda L, d: -float(L), "shallower always"),
        (lambda L, d: 0.0, "undetermined"),
        (lambda L, d: L * (11.0 - np.log(12 * L * d * d)), "crosses back"),
    ],
)
def test_other_statuses(rule, status):
    found = scored_search(rule, noise=0.05).crossings_
    assert found["status"].tolist() == [status, status]
    assert found["log_n_cross"].isna().all()
    assert scored_search(rule, noise=0.05).law_ is None


def test_noise_alone_gives_no_crossing():
    """The point estimates cross in most of these runs: intervals that overlap forbid to say so."""
    apparent, reported = 0, 0
    for seed in range(20):
        X = np.random.RandomState(seed).normal(size=(60, 2))
        search = DepthWidthSearchCV(
            Scored(rule=lambda L, d: 0.0, noise=1.0), [1e4, 3e4, 1e5, 3e5], depths=(1, 2),
            width_multiple=1, count_params=count_square, cv=8, random_state=0,
        ).fit(X, X[:, 0])  # fmt: skip
        by_depth = search.curves_.pivot_table(index="budget", columns="depth", values="score")
        signs = np.sign(by_depth[2] - by_depth[1])
        apparent += signs.nunique() > 1
        reported += search.crossings_["status"].iloc[0] in ("crosses", "crosses back")
    assert apparent >= 10
    assert reported == 0


def test_one_budget_is_compared_and_too_few_splits_are_not():
    search = scored_search(lambda L, d: float(L), noise=0.05, n_params=1e5)
    assert search.crossings_["status"].tolist() == ["deeper always"] * 2
    two = scored_search(lambda L, d: float(L), noise=0.05, cv=2)
    assert two.crossings_["status"].tolist() == ["undetermined"] * 2


# --- among scikit-learn's tools ---------------------------------------------------------------


FAST = {"max_epochs": 12, "learning_rate": 4e-2, "n_heads": 1, "random_state": 0}


@pytest.mark.parametrize(
    "estimator",
    [
        TableTransformerClassifier(**FAST),
        TableTransformerRegressor(**FAST),
    ],
    ids=["classifier", "regressor"],
)
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")  # scikit-learn's own
def test_scikit_learn_checks(estimator):
    search = DepthWidthSearchCV(
        estimator, n_params=160, depths=(1, 2), cv=2, tolerance=0.3, error_score="raise",
        random_state=0,
    )  # fmt: skip
    results = check_estimator(search, on_fail=None, on_skip=None)
    assert len(results) > 40
    assert [
        (r["check_name"], r["status"], r["exception"]) for r in results if r["status"] != "passed"
    ] == []


def test_behaves_like_a_search(iris):
    X, y = iris
    frame = pd.DataFrame(X, columns=list("abcd"))
    search = DepthWidthSearchCV(
        toy(), n_params=576, depths=(1, 2), cv=3, scoring=["accuracy", "neg_log_loss"],
        refit="neg_log_loss", n_jobs=2, return_train_score=True, random_state=0,
    ).fit(frame, y)  # fmt: skip
    alone = clone(search).set_params(n_jobs=None).fit(frame, y)
    for key in ("mean_test_accuracy", "mean_test_neg_log_loss", "mean_train_accuracy"):
        np.testing.assert_array_equal(search.cv_results_[key], alone.cv_results_[key])
    assert search.multimetric_
    np.testing.assert_array_equal(search.feature_names_in_, list("abcd"))
    np.testing.assert_array_equal(search.classes_, [0, 1, 2])
    assert search.predict_proba(frame).shape == (150, 3)
    selecting = search.cv_results_["mean_test_neg_log_loss"]
    np.testing.assert_array_equal(search.curves_["score"], selecting)
    copied = pickle.loads(pickle.dumps(search))
    np.testing.assert_array_equal(copied.predict(frame), search.predict(frame))
    json.dumps(search.law_)
    scores = cross_val_score(clone(alone), frame, y, cv=2)
    assert scores.shape == (2,)
    unrefitted = clone(alone).set_params(refit=False, scoring="accuracy").fit(frame, y)
    assert not hasattr(unrefitted, "best_estimator_")
    assert unrefitted.best_depth_ in (1, 2)
    with pytest.raises(AttributeError):
        unrefitted.predict(frame)


def test_groups_and_routing(iris):
    X, y = iris
    groups = np.arange(150) % 6
    options = {"n_params": 576, "depths": (1,), "tolerance": 0.2, "cv": GroupKFold(3)}
    by_hand = DepthWidthSearchCV(toy(), **options).fit(X, y, groups=groups)
    with config_context(enable_metadata_routing=True):
        net = toy().set_fit_request(sample_weight=True).set_score_request(sample_weight=False)
        routed = DepthWidthSearchCV(net, **options)
        routed.fit(X, y, groups=groups, sample_weight=np.ones(150))
    np.testing.assert_array_equal(
        by_hand.cv_results_["mean_test_score"], routed.cv_results_["mean_test_score"]
    )


def test_failing_fits_get_the_error_score():
    class Fragile(Scored):
        def fit(self, X, y):
            if self.n_layers == 2:
                raise ValueError("too deep")
            return super().fit(X, y)

    X = np.random.RandomState(0).normal(size=(30, 2))
    search = DepthWidthSearchCV(
        Fragile(rule=lambda L, d: float(L)), [1e4, 3e4], depths=(1, 2), width_multiple=1,
        count_params=count_square, cv=3, random_state=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(X, X[:, 0])
    assert search.best_depth_ == 1
    assert np.isnan(search.curves_["score"]).tolist() == [False, True, False, True]
    assert search.frontier_["depth"].tolist() == [1, 1]
    with pytest.raises(ValueError, match="too deep"):
        search.set_params(error_score="raise").fit(X, X[:, 0])


class NoNames(ClassifierMixin, BaseEstimator):
    def __init__(self, layers=1, d_model=4):
        self.layers = layers
        self.d_model = d_model

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.repeat(self.classes_[0], len(X))


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"n_params": 0}, "n_params"),
        ({"n_params": (1000, -1)}, "n_params has to hold positive numbers"),
        ({"n_params": ()}, "n_params has to hold positive numbers"),
        ({"n_params": "many"}, "n_params"),
        ({"depths": (0, 1)}, "depths has to hold positive integers"),
        ({"depths": (1.5,)}, "depths has to hold positive integers"),
        ({"depths": (True,)}, "depths has to hold positive integers"),
        ({"depths": ()}, "depths has to hold positive integers"),
        ({"depth_param": "layers"}, r"depth_param='layers' is no parameter of TableTransformerCl"),
        ({"depth_param": "net__n_layers"}, r"It has: n_layers\."),
        ({"width_param": "width"}, "width_param='width' is no parameter"),
        ({"width_multiple": 0}, "width_multiple"),
        ({"width_multiple": "dropout"}, "width_multiple='dropout' has to name a parameter"),
        ({"select": "2se"}, "select"),
        ({"tolerance": 0}, "tolerance"),
        ({"n_repeats": 0}, "n_repeats"),
        ({"halving_factor": 1}, "halving_factor"),
        ({"halving_factor": 2, "cv": KFold(2, shuffle=True)}, "same splits"),
        ({"halving_factor": 2, "scoring": ["accuracy"], "refit": False}, "one metric"),
        ({"estimator": NoNames()}, "It has: d_model, layers"),
        ({"estimator": NoNames(), "depth_param": "layers"}, "no torch module to count: give count"),
        ({"estimator": NoNames(), "depth_param": "layers", "halving_factor": 2}, "'max_epochs'"),
    ],
)
def test_bad_input(iris, params, words):
    search = DepthWidthSearchCV(toy(), n_params=576, depths=(1, 2), cv=2)
    with pytest.raises(ValueError, match=words):
        search.set_params(**params).fit(*iris)
    assert not hasattr(search, "cv_results_")
