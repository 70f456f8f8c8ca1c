import importlib
import re
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from sklearn_selfattn import TrainingHistoryDisplay
from sklearn_selfattn.core.display import draw_heatmap, format_label, label_ticks, new_axes

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def history(n_epochs=30):
    """Make a validation loss that falls until epoch 12 and rises again."""
    epochs = np.arange(1, n_epochs + 1)
    valid_loss = 0.3 + 0.001 * (epochs - 12.0) ** 2
    return [
        {"epoch": int(epoch), "train_loss": 1.0 / epoch, "valid_loss": float(loss), "lr": 0.001}
        for epoch, loss in zip(epochs, valid_loss, strict=True)
    ]


class Trained(BaseEstimator):
    def fit(self, X=None, y=None):
        self.history_ = history()
        return self


def legend_texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_history_draws_the_losses_and_marks_the_best_epoch():
    display = TrainingHistoryDisplay.from_estimator(Trained().fit())
    records = history()
    epochs = [record["epoch"] for record in records]
    np.testing.assert_array_equal(display.train_line_.get_xdata(), epochs)
    np.testing.assert_array_equal(
        display.train_line_.get_ydata(), [record["train_loss"] for record in records]
    )
    np.testing.assert_array_equal(
        display.valid_line_.get_ydata(), [record["valid_loss"] for record in records]
    )
    assert display.best_epoch_ == 12
    assert display.best_point_.get_xydata().tolist() == [[12.0, 0.3]]
    assert legend_texts(display.ax_) == ["training", "validation", "best epoch: 12 (loss 0.3)"]
    assert display.ax_.get_title(loc="left") == "Training history of Trained"
    assert display.figure_ is display.ax_.figure


def test_history_without_validation_has_one_curve():
    records = [{"epoch": 1, "train_loss": 0.5}, {"epoch": 2, "train_loss": 0.4}]
    display = TrainingHistoryDisplay.from_history(records)
    assert display.valid_line_ is None
    assert display.best_epoch_ is None
    assert display.best_point_ is None
    assert legend_texts(display.ax_) == ["training"]
    same = TrainingHistoryDisplay.from_history(
        [{**record, "valid_loss": None} for record in records]
    )
    assert same.valid_line_ is None


def test_best_epoch_skips_gaps_and_takes_the_first_of_equals():
    losses = [0.9, None, 0.4, float("nan"), 0.4]
    records = [
        {"epoch": epoch, "train_loss": 1.0, "valid_loss": loss}
        for epoch, loss in enumerate(losses, start=1)
    ]
    assert TrainingHistoryDisplay.from_history(records).best_epoch_ == 3
    all_missing = [{**record, "valid_loss": float("nan")} for record in records]
    assert TrainingHistoryDisplay.from_history(all_missing).best_epoch_ is None


def test_one_epoch_is_visible_and_wide_ranges_are_logarithmic():
    one = TrainingHistoryDisplay.from_history(history(1))
    assert one.train_line_.get_marker() == "o"
    assert one.ax_.get_yscale() == "linear"
    wide = TrainingHistoryDisplay(epochs=[1, 2], train_loss=[100.0, 0.1]).plot()
    assert wide.ax_.get_yscale() == "log"
    negative = TrainingHistoryDisplay(epochs=[1, 2], train_loss=[100.0, -1.0]).plot()
    assert negative.ax_.get_yscale() == "linear"


def test_history_needs_a_fit():
    with pytest.raises(NotFittedError):
        TrainingHistoryDisplay.from_estimator(Trained())
    with pytest.raises(ValueError, match="history is empty"):
        TrainingHistoryDisplay.from_history([])


def test_plot_uses_the_axes_given():
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots()
    display = TrainingHistoryDisplay.from_history(history(), ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is figure
    assert plt.get_fignums() == [figure.number]


def test_missing_matplotlib_names_the_extra(monkeypatch):
    def refuse(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    message = (
        "TrainingHistoryDisplay.plot draws with matplotlib, which is not installed. "
        'Install it with: pip install "sklearn-selfattn[plot]"'
    )
    with pytest.raises(ImportError, match=re.escape(message)):
        TrainingHistoryDisplay.from_history(history())


def test_drawing_leaves_the_style_of_the_user_alone():
    before = dict(matplotlib.rcParams)
    TrainingHistoryDisplay.from_history(history())
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize(
    ("label", "text"),
    [
        (3.14159265, "3.142"),
        (np.float64(1234567.0), "1.235e+06"),
        (12, "12"),
        ("exactly 18 letters", "exactly 18 letters"),
        ("mean fractal dimension", "mean fracta…ension"),
    ],
)
def test_labels_are_short(label, text):
    assert format_label(label) == text
    assert len(text) <= 18


def test_many_labels_are_thinned_evenly_and_few_are_all_shown():
    _, ax = new_axes(None, "test", (6.4, 4.8))
    draw_heatmap(ax, np.zeros((1000, 1000)), colorbar_label="weight")
    label_ticks(ax, "y", range(1000))
    label_ticks(ax, "x", range(1000))
    for ticks, labels in (
        (ax.get_yticks(), ax.get_yticklabels()),
        (ax.get_xticks(), ax.get_xticklabels()),
    ):
        assert 5 <= len(ticks) <= 40
        assert len(set(np.diff(ticks))) == 1
        assert [text.get_text() for text in labels] == [str(tick) for tick in ticks]
    _, ax = new_axes(None, "test", (6.4, 4.8))
    draw_heatmap(ax, np.zeros((5, 5)), colorbar_label="weight")
    label_ticks(ax, "x", range(5))
    assert list(ax.get_xticks()) == [0, 1, 2, 3, 4]


def test_words_that_would_overlap_are_turned_and_uneven_positions_kept_apart():
    figure, ax = new_axes(None, "test", (6.4, 4.8))
    draw_heatmap(ax, np.zeros((2, 20)), colorbar_label="weight")
    label_ticks(ax, "x", [f"long feature {i}" for i in range(20)])
    assert {text.get_rotation() for text in ax.get_xticklabels()} == {45.0}
    label_ticks(ax, "y", ["a", "b"], [0.0, 0.001])
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a"]
    figure.canvas.draw()


def test_heatmap_colours_start_at_zero_and_survive_all_zeros():
    ax = new_axes(None, "test", (4, 3))[1]
    image, colorbar = draw_heatmap(ax, np.array([[0.2, 0.6]]), colorbar_label="weight")
    assert (image.norm.vmin, image.norm.vmax) == (0.0, 0.6)
    assert colorbar.ax.get_ylabel() == "weight"
    image, _ = draw_heatmap(
        new_axes(None, "test", (4, 3))[1], np.zeros((2, 2)), colorbar_label="weight"
    )
    assert (image.norm.vmin, image.norm.vmax) == (0.0, 1.0)


def test_estimators_without_a_history_are_refused():
    with pytest.raises(TypeError, match="is not an estimator instance"):
        TrainingHistoryDisplay.from_estimator(SimpleNamespace())
