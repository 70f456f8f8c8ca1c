"""Scores of the tabular benchmark against their formulas, and how records add up."""

import numpy as np
import pytest
import tabular_scores
from sklearn.metrics import roc_auc_score

# ------------------------------------------------------------------ scores


def test_calibration_error_is_its_formula():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(4), size=500)
    y = rng.integers(0, 4, size=500)
    confidence, hit = probabilities.max(axis=1), probabilities.argmax(axis=1) == y
    expected, edges = 0.0, np.linspace(0, 1, 16)
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            expected += inside.mean() * abs(hit[inside].mean() - confidence[inside].mean())
    error = tabular_scores.expected_calibration_error(y, probabilities)
    assert error == pytest.approx(expected, abs=1e-12)


def test_calibration_error_at_its_extremes():
    sure = np.tile([1.0, 0.0], (10, 1))
    assert tabular_scores.expected_calibration_error(np.zeros(10), sure) == 0
    assert tabular_scores.expected_calibration_error(np.ones(10), sure) == 1
    even = np.tile([0.5, 0.5], (10, 1))
    assert tabular_scores.expected_calibration_error(np.arange(10) % 2, even) == 0


def test_auc_equals_scikit_learn_and_bears_absent_classes():
    rng = np.random.default_rng(1)
    probabilities = rng.dirichlet(np.ones(3), size=60)
    y = rng.integers(0, 3, size=60)
    expected = roc_auc_score(y, probabilities, multi_class="ovr", average="macro")
    assert tabular_scores.macro_auc(y, probabilities) == pytest.approx(expected)
    binary = probabilities[:, :2] / probabilities[:, :2].sum(axis=1, keepdims=True)
    assert tabular_scores.macro_auc(y % 2, binary) == roc_auc_score(y % 2, binary[:, 1])
    two = y != 2
    both = [roc_auc_score(y[two] == k, probabilities[two, k]) for k in (0, 1)]
    assert tabular_scores.macro_auc(y[two], probabilities[two]) == pytest.approx(np.mean(both))


def test_scores_accept_unnormalised_float32_probabilities():
    probabilities = np.array([[0.2, 0.8], [0.6, 0.4]])
    scaled = (3 * probabilities).astype(np.float32)
    scores = tabular_scores.classification_scores(np.array([1, 0]), scaled)
    assert scores["log_loss"] == pytest.approx(-np.log([0.8, 0.6]).mean(), rel=1e-6)
    assert scores["accuracy"] == 1
    assert scores["auc"] == 1


# ------------------------------------------------------------------ adding up


def test_equal_values_share_their_rank():
    assert tabular_scores.ranks([0.3, 0.1, 0.3, 0.7]).tolist() == [2.5, 1, 2.5, 4]


def test_mean_rank_ranks_mean_losses_per_table(record):
    # On table t, b wins split 0 but a has the lower mean; on table u, b wins.
    records = [
        record("t", 0, "a", 2.0), record("t", 1, "a", 1.0),
        record("t", 0, "b", 1.5), record("t", 1, "b", 3.0),
        record("u", 0, "a", 2.0), record("u", 1, "a", 2.0),
        record("u", 0, "b", 1.0), record("u", 1, "b", 1.0),
        record("t", 0, "c", 9.0), record("t", 1, "c", 9.0), record("u", 0, "c", 0.1),
    ]  # fmt: skip
    ranking = tabular_scores.mean_ranks(records)
    # c lacks split 1 of u: it is named, not ranked.
    assert ranking["incomplete"] == ["c"]
    assert ranking["rank_per_table"] == {"t": {"a": 1, "b": 2}, "u": {"a": 2, "b": 1}}
    assert ranking["mean_rank"] == {"a": 1.5, "b": 1.5}


def test_critical_difference_is_that_of_its_source():
    # Demsar (2006), section 3.2.2: four classifiers on fourteen data sets.
    assert tabular_scores.critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)
    # More tables tell more, more models less.
    assert tabular_scores.critical_difference(4, 56) == pytest.approx(1.25 / 2, abs=0.005)
    assert tabular_scores.critical_difference(9, 14) > 2.5


def test_classes_are_ranked_by_themselves_too(record):
    records = [
        record("t", 0, "a", 1.0, task="classification", auc=1),
        record("t", 0, "b", 2.0, task="classification", auc=1),
        record("u", 0, "a", 2.0), record("u", 0, "b", 1.0),
    ]  # fmt: skip
    both = tabular_scores.summarise(records, {"both": ("t", "u")}, references=())["sets"]["both"]
    assert both["ranking"]["mean_rank"] == {"a": 1.5, "b": 1.5}
    assert both["ranking_classes"]["mean_rank"] == {"a": 1, "b": 2}


def test_comparison_counts_wins_ties_and_losses(record):
    records = []
    # win: lower in every split by the same; loss: higher on average, but not clearly.
    for split, (ours, theirs) in enumerate([(1.0, 2.0), (1.1, 2.1), (0.9, 1.9)]):
        records += [record("win", split, "a", ours, fit=4.0), record("win", split, "b", theirs)]
    for split, (ours, theirs) in enumerate([(1.0, 2.0), (9.0, 2.0), (1.0, 2.0)]):
        records += [record("loss", split, "a", ours, fit=9.0), record("loss", split, "b", theirs)]
    records += [record("tie", 0, "a", 1.0, fit=1.0), record("tie", 0, "b", 1.0)]
    for split, (ours, theirs) in enumerate([(0.9, 0.95), (0.9, 0.91)]):
        for model, auc, loss in (("a", ours, 0.5), ("b", theirs, 1.0)):
            records.append(
                record("classes", split, model, loss, task="classification", auc=auc, fit=2.0)
            )
    # Splits that only one of the two has do not count.
    records += [record("alone", 0, "a", 1.0), record("win", 7, "b", 1e-9)]
    found = tabular_scores.compare(records, "a", "b")
    assert (found["wins"], found["ties"], found["losses"]) == (2, 1, 1)
    assert (found["clear_wins"], found["clear_losses"], found["n_tables"]) == (2, 0, 4)
    ratios = {"win": 3.0 / 6.0, "loss": 11 / 6, "tie": 1.0, "classes": 0.5}
    assert found["ratios"] == pytest.approx(ratios, rel=1e-4)
    geometric = np.prod(list(ratios.values())) ** (1 / len(ratios))
    assert found["loss_ratio"] == pytest.approx(geometric, rel=1e-4)
    assert found["cpu_ratio"] == pytest.approx((4 * 9 * 1 * 1) ** (1 / 4))
    assert found["worst_rmse_ratio"] == (pytest.approx(11 / 6), "loss")
    assert found["worst_auc_difference"] == (pytest.approx(-0.03), "classes")
    back = tabular_scores.compare(records, "b", "a")
    assert (back["wins"], back["losses"]) == (1, 2)
    assert back["loss_ratio"] == pytest.approx(1 / geometric, rel=1e-4)


def test_means_leave_failed_fits_out(record):
    failed = record("t", 2, "a", 0.0)
    del failed["scores"]
    records = [record("t", 0, "a", 1.0), record("t", 1, "a", 3.0), failed]
    entry = tabular_scores.table_means(records)["t"]["a"]
    assert entry["rmse"] == 2
    assert entry["rmse_sd"] == pytest.approx(np.sqrt(2))
    assert entry["n_splits"] == 2
    assert entry["peak_memory_mb"] is None
