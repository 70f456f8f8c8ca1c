"""A fit that was cut off and resumed equals one that never stopped, bit by bit."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_wine
from skorch.callbacks import Callback, EarlyStopping

from sklearn_selfattn import (
    AttentionReranker,
    NPTClassifier,
    OTTabularClassifier,
    PrimalAttentionClassifier,
    TimeEventClassifier,
    TrainingCheckpoint,
    VisualParsingClassifier,
)
from tests.core.toy import TableTransformerClassifier

SHARED = {"max_epochs": 6, "batch_size": 32, "random_state": 0}
MODELS = {
    AttentionReranker: {"n_anchors": 8, "n_candidates": 16, "early_stopping": True},
    NPTClassifier: {
        "pretrained": False, "n_estimators": 2, "d_model": 8, "row_dim": 16, "n_bins": 4,
        "early_stopping": True,
    },
    OTTabularClassifier: {"hidden_layer_sizes": (16,), "early_stopping": True},
    PrimalAttentionClassifier: {"n_estimators": 2, "d_model": 8, "early_stopping": True},
    TimeEventClassifier: {"d_model": 8, "dropout": 0.2, "early_stopping": True},
    VisualParsingClassifier: {"d_model": 8, "early_stopping": True, "n_iter_no_change": 2},
    TableTransformerClassifier: {"d_model": 8, "early_stopping": False},
}  # fmt: skip
wine = load_wine()
X = (wine.data - wine.data.mean(0)) / wine.data.std(0)
X, y = X + np.random.RandomState(0).normal(size=X.shape), wine.target


class CutOff(Callback):
    """End a fit after some epochs, as a machine or a person does."""

    def __init__(self, n_epochs, error=RuntimeError):
        self.n_epochs, self.error = n_epochs, error

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.n_epochs:
            raise self.error


def told(model):
    return [{k: v for k, v in row.items() if k != "dur"} for row in model.history_]


@pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)
def test_resumed_is_as_never_stopped(cls, tmp_path):
    path = tmp_path / "fit"

    def make(*callbacks):
        return cls(**{**SHARED, **MODELS[cls]}, callbacks=[*callbacks])

    whole = make().fit(X, y)
    for n_epochs in (2, 4):  # cut off, resumed, cut off again
        with pytest.raises(RuntimeError):
            make(TrainingCheckpoint(path), CutOff(n_epochs)).fit(X, y)
        assert len(torch.load(path)["history"]) == n_epochs - 1
    before = torch.get_rng_state()
    model = make(TrainingCheckpoint(path)).fit(X, y)
    assert torch.equal(torch.get_rng_state(), before)
    assert told(model) == told(whole)
    assert [row["epoch"] for row in told(model)] == list(range(1, len(model.history_) + 1))
    for name, value in whole.module_.state_dict().items():
        assert torch.equal(value, model.module_.state_dict()[name]), name
    np.testing.assert_array_equal(model.predict(X), whole.predict(X))
    assert not path.exists()  # done: nothing is left to resume


@pytest.mark.parametrize("part", ["optimizer", "average", "noise"])
def test_every_part_of_the_state_is_needed(part, tmp_path):
    path = tmp_path / "fit"

    def make(*callbacks):
        params = {**SHARED, **MODELS[PrimalAttentionClassifier]}
        return PrimalAttentionClassifier(**params, callbacks=[*callbacks])

    whole = make().fit(X, y)
    with pytest.raises(RuntimeError):
        make(TrainingCheckpoint(path), CutOff(3)).fit(X, y)
    state = torch.load(path)
    if part == "optimizer":
        state["optimizer"]["state"] = {}
    elif part == "average":
        aside, n_steps, holds = state["average"]
        state["average"] = [torch.zeros_like(value) for value in aside], n_steps, holds
    else:
        state["noise"] = torch.Generator().manual_seed(1).get_state(), None
    torch.save(state, path)
    assert told(make(TrainingCheckpoint(path)).fit(X, y)) != told(whole)


def test_early_stopping_of_the_user_is_resumed_beside_that_of_the_estimator(tmp_path):
    path = tmp_path / "fit"
    params = {**SHARED, **MODELS[TimeEventClassifier], "max_epochs": 12, "n_iter_no_change": 12}

    def make(*callbacks):
        # a threshold that no epoch reaches, so that it counts every one but the first as a miss
        stopper = EarlyStopping("train_loss", patience=5, threshold=0.9, sink=lambda text: None)
        return TimeEventClassifier(**params, callbacks=[stopper, *callbacks])

    whole = make().fit(X, y)
    assert whole.n_iter_ == 6
    with pytest.raises(RuntimeError):
        make(TrainingCheckpoint(path), CutOff(4)).fit(X, y)
    model = make(TrainingCheckpoint(path)).fit(X, y)
    assert told(model) == told(whole)
    for name, value in whole.module_.state_dict().items():
        assert torch.equal(value, model.module_.state_dict()[name]), name
    assert not path.exists()  # stopped, and so at its end


def make_toy(path, *callbacks, **params):
    params = {**SHARED, **MODELS[TableTransformerClassifier], **params}
    return TableTransformerClassifier(callbacks=[*callbacks, TrainingCheckpoint(path)], **params)


def test_ctrl_c_leaves_a_model_and_a_file(tmp_path):
    path = tmp_path / "fit"
    model = make_toy(path, CutOff(3, KeyboardInterrupt)).fit(X, y)
    assert model.n_iter_ == 3 and model.predict(X).shape == y.shape
    assert len(torch.load(path)["history"]) == 2  # of the third it has not seen the end
    assert make_toy(path).fit(X, y).n_iter_ == 6


def test_a_path_that_cannot_be_written_is_refused_before_training(tmp_path):
    missing = tmp_path / "no folder" / "fit"
    with pytest.raises(FileNotFoundError, match=r"path='.*fit', but the folder .* does not exist"):
        make_toy(missing).fit(X, y)
    with pytest.raises(IsADirectoryError, match="the path of a file, got the folder"):
        make_toy(tmp_path).fit(X, y)


@pytest.mark.parametrize(
    "changed",
    [
        {"random_state": 1},
        {"max_epochs": 7},
        {"batch_size": 40},
        {"learning_rate": 3e-3},
        {"d_model": 16},
    ],
    ids=str,
)
def test_files_of_other_fits_are_refused(changed, tmp_path):
    path = tmp_path / "fit"
    with pytest.raises(RuntimeError):
        make_toy(path, CutOff(3)).fit(X, y)
    saved = path.read_bytes()
    model = make_toy(tmp_path / "other", **changed).fit(X, y)
    expected = model.predict_proba(X)
    with pytest.raises(ValueError, match="'.*fit' was saved by another fit: with other data"):
        model.set_params(callbacks=[TrainingCheckpoint(path)]).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), expected)
    assert path.read_bytes() == saved
    with pytest.raises(ValueError, match="another fit"):
        make_toy(path).fit(X + 1e-9, y)
    with pytest.raises(ValueError, match="another fit"):
        make_toy(path).fit(X, np.roll(y, 1))
