"""The NPT benchmark: its generators are as stated, its figures judge right, it resumes."""

import json

import bench_npt
import npt_cells
import npt_exactness
import npt_figures
import npt_lookup
import npt_tables
import numpy as np
import pandas as pd
import pytest
import render_npt
import tabular_data
from scipy import stats

# ------------------------------------------------------------------ the lookup task


@pytest.fixture
def rows():
    rng = np.random.default_rng(1)
    return rng.normal(size=(2000, 9)), rng.normal(size=2000)


def test_pairs_share_features_but_for_marker_and_noise(rows):
    X, y = rows
    pairs = npt_lookup.make_pairs(X, y, np.random.default_rng(0))
    assert pairs.original.shape == pairs.twin.shape == (2000, 10)
    np.testing.assert_array_equal(pairs.original[:, :6], X[:, :6])
    np.testing.assert_array_equal(pairs.twin[:, :6], X[:, :6])
    assert (pairs.original[:, 9] == 0).all()
    assert (pairs.twin[:, 9] == 1).all()
    np.testing.assert_array_equal(pairs.y_original, y)
    np.testing.assert_array_equal(pairs.y_twin, y + 1.0)


def test_noise_is_normal_around_one_and_independent(rows):
    X, y = rows
    pairs = npt_lookup.make_pairs(X, y, np.random.default_rng(0))
    noise = np.concatenate([pairs.original[:, 6:9], pairs.twin[:, 6:9]], axis=1)  # (n, 6)
    for column in noise.T:
        assert stats.kstest(column, stats.norm(1.0, 1.0).cdf).pvalue > 1e-3
    # neither copies, nor features, nor the overwritten values tell of each other
    everything = np.column_stack([noise, X, y])
    correlation = np.corrcoef(everything.T)[:6]
    correlation[np.arange(6), np.arange(6)] = 0.0
    assert np.abs(correlation).max() < 5 / np.sqrt(len(X))


def test_table_of_pairs_and_parts(rows):
    X, y = rows
    pairs = npt_lookup.make_pairs(X, y, np.random.default_rng(0))
    table, target, pair = pairs.table
    assert (np.bincount(pair) == 2).all()
    for number in (0, 17, 1999):
        first, second = np.flatnonzero(pair == number)
        np.testing.assert_array_equal(table[first, :6], table[second, :6])
        assert {table[first, 9], table[second, 9]} == {0.0, 1.0}
        assert target[second] - target[first] == pytest.approx(1.0)
    part = pairs.part(np.array([5, 3]))
    np.testing.assert_array_equal(part.twin, pairs.twin[[5, 3]])
    np.testing.assert_array_equal(part.y_original, pairs.y_original[[5, 3]])


@pytest.mark.shared_data
def test_new_pairs_of_protein_were_never_trained_on():
    train, new = npt_lookup.protein_pairs()
    assert (len(train.original), len(new.original)) == (20_000, 5_700)
    kept = np.concatenate([train.original[:, :6], new.original[:, :6]])
    assert len(np.unique(kept, axis=0)) == 25_700
    np.testing.assert_allclose(train.original[:, :6].mean(axis=0), 0.0, atol=1e-9)
    np.testing.assert_allclose(train.original[:, :6].std(axis=0), 1.0, rtol=1e-9)
    assert train.y_original.std() == pytest.approx(1.0)


# ------------------------------------------------------------------ the other generators


def test_the_pointer_names_the_number_that_counts():
    X, y = npt_cells.pointer_table(20_000, np.random.default_rng(0))
    assert X.shape == (20_000, 9)
    for name, rows in X.groupby("pointer", observed=True).groups.items():
        np.testing.assert_array_equal(y[rows], X.loc[rows, name] > 0)
    share = X["pointer"].value_counts(normalize=True)
    np.testing.assert_allclose(share, 1 / 4, atol=0.02)
    agree = [((X[name] > 0) == y).mean() for name in X.columns[:8]]
    np.testing.assert_allclose(agree, [5 / 8] * 4 + [1 / 2] * 4, atol=0.02)


def test_cells_removed_at_random_from_every_kind_of_column():
    X, _, _ = npt_exactness.mixed_table(3000, np.random.default_rng(0))
    assert X["colour"].dtype == "category"
    share = X.isna().mean()
    assert share["large"] == 0
    np.testing.assert_allclose(share.drop("large"), 0.15, atol=0.03)
    X = X.fillna({"colour": "red"}).fillna(0.0)
    removed = npt_tables.remove_cells(X, 0.3, np.random.default_rng(0))
    np.testing.assert_allclose(removed.isna().mean(), 0.3, atol=0.04)
    assert not X.isna().to_numpy().any()
    kept = removed.notna()
    assert (removed["a"][kept["a"]] == X["a"][kept["a"]]).all()
    assert npt_tables.remove_cells(X, 0.0, np.random.default_rng(0)).equals(X)
    values, hidden = npt_tables._hide(np.ones((400, 5)), 0.3, np.random.default_rng(0))
    np.testing.assert_array_equal(np.isnan(values), hidden)


def test_relative_rise_of_rmse_from_r2():
    class Result:
        score = 0.75
        corrupted_scores = (0.0, 0.0)

    assert npt_tables._relative_rise(Result) == pytest.approx(1.0)  # sqrt(1 / .25) - 1


def test_row_losses():
    p = np.array([[0.2, 0.8], [0.6, 0.4]])
    losses = npt_exactness.row_losses(np.array(["b", "b"]), p, np.array(["a", "b"]))
    np.testing.assert_allclose(losses, -np.log([0.8, 0.4]))
    np.testing.assert_allclose(npt_exactness.row_losses(np.array([3.0]), np.array([1.0])), 4.0)


# ------------------------------------------------------------------ figures, store, page


@pytest.mark.parametrize(
    ("value", "target", "reached"),
    [
        (0.12, "<= 0.12", True), (0.120000001, "<= 0.12", False), (0.99, ">= 0.99", True),
        (0.9899999999, ">= 0.99", False), (1.1, "0.9 to 1.1", True), (0.89, "0.9 to 1.1", False),
        (-0.1, "-2 to 2", True), (float("nan"), "<= 1", False), (float("inf"), ">= 1", True),
    ],
)  # fmt: skip
def test_targets_judge_the_unrounded_value(value, target, reached):
    assert npt_figures.meets(value, target) is reached
    assert npt_figures.figure("f", value, target)["reached"] is reached


def test_a_figure_without_target_is_not_judged():
    assert npt_figures.figure("f", 1 / 3) == {"name": "f", "value": 0.333333}


@pytest.fixture
def two_experiments(monkeypatch):
    calls = []

    def first():
        """Say the first."""
        calls.append("lookup")
        figures = [npt_figures.figure("error", 0.5, "<= 0.12"), npt_figures.figure("plain", 2)]
        return {"figures": figures, "configuration": "C()", "notes": ["A note."], "seeds": [0]}

    def second():
        """Say the second."""
        calls.append("exactness")
        raise ValueError("no such table")

    monkeypatch.setattr(bench_npt, "EXPERIMENTS", {"lookup": first, "exactness": second})
    return calls


def test_run_resumes_replaces_and_survives(two_experiments, tmp_path, capsys):
    out = tmp_path / "npt.json"
    assert bench_npt.main(["--out", str(out)]) == 1
    assert two_experiments == ["lookup", "exactness"]
    found = json.loads(out.read_text())["experiments"]
    assert list(found) == ["lookup", "exactness"]
    assert found["exactness"]["error"] == "ValueError: no such table"
    assert found["lookup"]["says"] == "Say the first."
    assert found["lookup"]["figures"][0]["reached"] is False
    assert found["lookup"]["command"].startswith("python benchmarks/bench_npt.py")
    assert found["lookup"]["machine"]["versions"]["torch"]
    # what is there stays, what broke is tried again
    bench_npt.main(["--out", str(out)])
    assert two_experiments == ["lookup", "exactness", "exactness"]
    # a named experiment is measured again, and so are all with --force or other defaults
    bench_npt.main(["lookup", "--out", str(out)])
    assert two_experiments[3:] == ["lookup"]
    changed = json.loads(out.read_text())
    changed["experiments"]["lookup"]["defaults"] = "others"
    out.write_text(json.dumps(changed))
    bench_npt.main(["--out", str(out)])
    assert two_experiments[4:] == ["lookup", "exactness"]
    with pytest.raises(SystemExit):
        bench_npt.main(["nonsense", "--out", str(out)])
    assert "no such experiment: nonsense" in capsys.readouterr().err


def test_page_names_misses_and_failures(two_experiments, tmp_path):
    out = tmp_path / "npt.json"
    bench_npt.main(["--out", str(out)])
    results = json.loads(out.read_text())
    page = render_npt.page(results)
    assert "0 of 1 targets are reached. Missed:" in page
    assert "- Looking a label up in another row: error: 0.5 (target ≤ 0.12)" in page
    assert "**missed**" in page
    assert "**The experiment broke down**: ``ValueError: no such table``" in page
    assert "MISSED" in render_npt.as_text(results["experiments"]["lookup"])


def test_every_experiment_has_a_title_and_says_what_it_does():
    assert set(bench_npt.EXPERIMENTS) == set(render_npt.TITLES)
    for experiment in bench_npt.EXPERIMENTS.values():
        assert experiment.__doc__.splitlines()[0].endswith(".")


def test_loss_of_a_table_is_relative_to_its_target():
    class Model:
        def predict(self, X):
            return X["x"].to_numpy()

    X = pd.DataFrame({"x": [1.0, 2.0, 5.0]})
    table = tabular_data.Table("t", "regression", X, np.array([0.0, 3.0, 6.0]), None, 3)
    loss = npt_tables._loss(table, Model(), X, np.arange(3))
    assert loss == pytest.approx(1.0 / np.std([0.0, 3.0, 6.0]))
