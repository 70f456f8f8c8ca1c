"""What the pictures of this room hold."""

import matplotlib as mpl
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError

from sklearn_selfattn.transport import OTMapDisplay, OTTrainingDisplay, OTTrainingMonitor
from tests.transport.tables import fast

mpl.use("Agg")
from matplotlib import pyplot as plt


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.mark.parametrize("geometry", ["orthogonal", "simplex"])
def test_map_shows_rows_where_they_are(iris, geometry):
    X, y = iris
    model = fast(geometry=geometry).fit(X, y)
    display = OTMapDisplay.from_estimator(model, X, n_dummies=2000)
    assert display.arrows_.N == 150
    assert len(display.clouds_) == 3
    # a plane keeps no distance longer than it is
    flat = np.linalg.norm(display.landing[:, None] - display.landing, axis=2)
    z = model.transform(X)
    assert (flat <= np.linalg.norm(z[:, None] - z, axis=2) + 1e-9).all()
    # and in the plane most rows land nearest to the cloud of their class
    centers = display.dummies.mean(axis=1)
    nearest = np.linalg.norm(display.landing[:, None] - centers, axis=2).argmin(axis=1)
    assert (nearest == y).mean() > 0.9
    np.testing.assert_allclose(display.arrows_.U, (display.landing - display.source)[:, 0])


def test_map_of_two_classes_and_one_column(iris):
    X, y = iris[0][:100, :1], iris[1][:100]
    display = OTMapDisplay.from_estimator(fast(geometry="simplex").fit(X, y), X, max_arrows=20)
    assert display.source.shape == (20, 2)
    assert not display.source[:, 1].any()  # a latent line has no second coordinate


def test_training_is_drawn_as_it_was(iris):
    X, y = iris
    model = fast(callbacks=[OTTrainingMonitor("out", X, y)]).fit(X, y)
    display = OTTrainingDisplay.from_estimator(model)
    taken, optimal = display.axes_[0, 0].get_lines()
    for line, name in ((taken, "ot_displacement"), (optimal, "ot_wasserstein")):
        np.testing.assert_allclose(line.get_ydata(), [row[name] for row in model.history_])
    band = display.band_.get_paths()[0].vertices[:, 1]
    assert band.min() == pytest.approx(min(r["ot_optimality_low"] for r in model.history_))
    assert band.max() == pytest.approx(max(r["ot_optimality_high"] for r in model.history_))
    assert display.figure_._suptitle.get_text() == "Training of OTTabularClassifier as transport"


def test_pictures_that_cannot_be_drawn(iris):
    X, y = iris
    with pytest.raises(NotFittedError):
        OTMapDisplay.from_estimator(fast(), X)
    with pytest.raises(ValueError, match="no entries of OTTrainingMonitor"):
        OTTrainingDisplay.from_estimator(fast(max_epochs=1).fit(X, y))
