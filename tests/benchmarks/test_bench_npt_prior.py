"""The benchmark of the pretrained NPT: its rows, its sums, its targets, that it resumes."""

import json
import time
import warnings

import bench_npt_prior
import draw_npt_prior
import npt_prior_cost
import npt_prior_models
import npt_prior_pretraining
import npt_prior_summary
import npt_prior_tables
import numpy as np
import pandas as pd
import pytest
import render_npt_prior
import tabular_data
from scipy.stats import rankdata, wilcoxon
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import log_loss

# ------------------------------------------------------------------ tables and rows


def table_of(y, task="classification"):
    X = pd.DataFrame({"x": np.arange(len(y), dtype=float)})
    return tabular_data.Table("toy", task, X, np.asarray(y), None, len(y))


def test_lists_are_long_enough_and_do_not_overlap():
    assert len(npt_prior_tables.CLASSIFICATION) >= 14
    assert len(npt_prior_tables.REGRESSION) >= 6
    assert len(set(npt_prior_tables.TABLES)) == len(npt_prior_tables.TABLES)
    assert set(npt_prior_tables.MADE) <= set(npt_prior_tables.TABLES)


@pytest.mark.parametrize("n", [7, 20, 100, 333])
def test_drawn_rows_keep_the_shares_and_every_class(n):
    y = np.repeat([0, 1, 2, 3], [500, 300, 190, 2])
    rows = np.flatnonzero(np.arange(len(y)) % 2 == 0)
    table = table_of(y)
    drawn = npt_prior_tables.draw_rows(table, rows, n, 0)
    assert len(drawn) == len(set(drawn)) == n
    assert set(drawn) <= set(rows)
    counts = np.bincount(y[drawn], minlength=4)
    assert counts.min() >= 1
    # No class is further from its share than rounding and the row of the rare one explain.
    assert np.abs(counts - np.bincount(y[rows]) * n / len(rows)).max() < 2
    np.testing.assert_array_equal(drawn, npt_prior_tables.draw_rows(table, rows, n, 0))
    assert set(drawn) != set(npt_prior_tables.draw_rows(table, rows, n, 1))
    np.testing.assert_array_equal(npt_prior_tables.draw_rows(table, rows, 1000, 0), rows)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_context_and_test_share_no_row(task):
    y = np.arange(5000) % 3 if task == "classification" else np.linspace(0, 1, 5000)
    table = table_of(y, task)
    tests = []
    for size in npt_prior_tables.SIZES:
        context, test = npt_prior_tables.context_and_test(table, 0, size)
        assert (len(context), len(test)) == (size, npt_prior_tables.MAX_TEST)
        assert not set(context) & set(test)
        tests.append(test)
    # every size is asked the same rows
    np.testing.assert_array_equal(tests[0], tests[1])
    np.testing.assert_array_equal(tests[0], tests[2])


def test_too_small_a_half_is_used_whole_or_left_out():
    table = table_of(np.arange(150) % 3)
    context, test = npt_prior_tables.context_and_test(table, 0, 500)
    assert (len(context), len(test)) == (75, 75)
    assert npt_prior_tables.context_and_test(table, 0, 100) is None


def test_most_frequent_classes_are_counted_anew():
    table = table_of(np.repeat([0, 1, 2, 3], [5, 9, 5, 7]))
    made = npt_prior_tables.most_frequent_classes(table, 3, "three")
    # of the two classes with five rows the first one stays
    np.testing.assert_array_equal(np.bincount(made.y), [5, 9, 7])
    assert made.X["x"].tolist() == [*range(14), *range(19, 26)]


def test_series_are_described_channel_by_channel():
    series = np.random.default_rng(0).normal(size=(4, 2, 9))
    made = npt_prior_tables.series_summaries(series)
    assert made.shape == (4, 10)
    one = series[3, 1]
    steps = sum(abs(one[i + 1] - one[i]) for i in range(8)) / 8
    expected = [one.sum() / 9, np.sqrt(((one - one.mean()) ** 2).sum() / 9), min(one), max(one)]
    np.testing.assert_allclose(made.iloc[3, 5:], [*expected, steps])


def test_last_values_of_what_is_often_measured():
    events = pd.DataFrame(
        {
            "stay": [7, 7, 7, 5, 5, 5, 9],
            "minute": [30, 10, 0, 0, 5, 9, 0],
            "parameter": ["HR", "HR", "age", "age", "HR", "rare", "age"],
            "value": [80.0, 70.0, 40.0, -1.0, 60.0, 1.0, 50.0],
        }
    )
    made = npt_prior_tables.last_values(events, min_share=0.5)
    expected = pd.DataFrame({"HR": [60.0, 80.0, np.nan], "age": [np.nan, 40.0, 50.0]}, [5, 7, 9])
    pd.testing.assert_frame_equal(made, expected, check_names=False)


@pytest.mark.shared_data
def test_tables_made_from_shared_data():
    for name, n_rows, n_columns, n_classes in (
        ("soybean_10", 483, 35, 10), ("icu", 4000, 38, 2), ("racket_sports", 303, 30, 4),
        ("ering", 300, 20, 6), ("libras", 330, 10, 15),
    ):  # fmt: skip
        table = npt_prior_tables.load_table(name)
        assert table.X.shape == (n_rows, n_columns)
        assert np.unique(table.y).tolist() == list(range(n_classes))
        assert len(table.X.assign(y=table.y).drop_duplicates()) == n_rows
        context, _ = npt_prior_tables.context_and_test(table, 0, 500)
        assert len(np.unique(table.y[context])) == n_classes


# ------------------------------------------------------------------ models


def test_intervals_are_scored_by_coverage_and_width():
    class Quantiles:
        weights_ = "a hash"

        def predict_quantiles(self, X, quantiles):
            assert np.allclose(quantiles, [0.05, 0.95])
            return np.column_stack([X[:, 0] - 1, X[:, 0] + 3])

    y = np.arange(10.0)
    X = (y + np.array([0, 0.9, 1.1, -2.9, -3.1, 0, 0, 0, 0, 0]))[:, None]
    found = npt_prior_models.interval_scores(Quantiles(), X, y)
    assert found == pytest.approx({"coverage_90": 0.8, "width_90": 4 / np.std(y)})
    assert npt_prior_models.interval_scores(DummyRegressor(), X, y) == {}


def test_a_slow_fit_is_given_up():
    def work():
        while True:
            sum(range(1000))

    started = time.process_time()
    with (
        pytest.raises(npt_prior_models.TooSlow, match=r"0\.1 CPU seconds"),
        npt_prior_models.cpu_limit(0.1),
    ):
        work()
    assert time.process_time() - started < 1
    with npt_prior_models.cpu_limit(0.05):
        pass
    while time.process_time() - started < 0.3:  # the timer of a block that ended is off
        pass


def write_weights(folder, **facts):
    """Write a file like those that the package carries, by the name of the one in use."""
    folder.mkdir(exist_ok=True)
    np.savez(folder / "tiny.npz", facts=np.array(json.dumps(facts)))


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """Return a folder to play with in place of the package's."""
    monkeypatch.setattr(npt_prior_models, "WEIGHTS", tmp_path / "weights")
    monkeypatch.setattr("sklearn_selfattn.npt.weights.DEFAULT", "tiny")
    return tmp_path / "weights"


def test_settings_of_npt_hold_the_hash_of_its_weights(weights):
    def hashes(model="npt_pretrained"):
        return [npt_prior_models.settings_hash(model, t) for t in ("classification", "regression")]

    found, scratch = hashes(), hashes("npt_scratch")
    for step in (1, 2):
        write_weights(weights, step=step)
        found += hashes()
    assert len(set(found[::2])) == len(set(found[1::2])) == 3
    np.savez(weights / "base.npz", facts=np.array("{}"))  # not in use
    assert hashes() == found[-2:]
    # What is trained on the table alone has nothing to do with them.
    assert hashes("npt_scratch") == scratch


# ------------------------------------------------------------------ the run


@pytest.fixture
def toy(monkeypatch, weights):
    """Quick models on bundled tables; fits are counted."""
    fits = []

    class Classes(DummyClassifier):
        def fit(self, X, y):
            fits.append("classification")
            return super().fit(X, y)

    class Values(DummyRegressor):
        def fit(self, X, y):
            fits.append("regression")
            return super().fit(X, y)

    def constant(task, seed, n_threads):
        return Classes() if task == "classification" else Values()

    def slow(task, seed, n_threads):
        fits.append("slow")
        raise npt_prior_models.TooSlow("more than 0 CPU seconds")

    def broken(task, seed, n_threads):
        fits.append("broken")
        raise TypeError("no such parameter")

    write_weights(weights, plan={"preset": "tiny"}, curve=[])
    for name, maker in (
        ("npt_pretrained", constant), ("hgb", constant), ("knn", broken), ("catboost", slow)
    ):  # fmt: skip
        monkeypatch.setitem(npt_prior_models.MODELS, name, maker)
    monkeypatch.setattr(npt_prior_models, "warm_up", lambda *a: None)
    return fits


def run(out, models=("npt_pretrained", "hgb"), splits=(0, 1), sizes=(500,), force=False):
    tables = ["iris", "diabetes"]
    facts = bench_npt_prior.run(out, tables, list(models), sizes, splits, force=force)
    return bench_npt_prior.write_results(out, "the command", facts)


def test_a_run_resumes_and_new_weights_are_a_new_model(toy, weights, tmp_path):
    out = tmp_path / "npt_prior.json"
    run(out, splits=[0])
    assert len(toy) == 4
    results = run(out)
    assert len(toy) == 8
    assert len(results["records"]) == 8
    out.with_suffix(".jsonl").unlink()  # the results file alone is enough
    run(out)
    assert len(toy) == 8
    write_weights(weights, plan={"preset": "base"})
    results = run(out)
    # NPT is measured again, its peer is not
    assert len(toy) == 12
    assert len(results["records"]) == 8
    assert results["weights"][0]["file"] == "tiny.npz"
    run(out, models=["hgb"], force=True)
    assert len(toy) == 16


def test_sizes_are_measured_apart(toy, tmp_path):
    results = run(tmp_path / "npt_prior.json", splits=[0], sizes=(500, 100, 1000))
    # iris has fewer than 100 rows in a half, diabetes more than 100
    kept = {(r["table"], r["n"], r["n_context"]) for r in results["records"]}
    assert kept == {("iris", 500, 74), ("diabetes", 500, 221), ("diabetes", 100, 100)}
    assert set(results["summary"]["tasks"]["regression"]) == {"500", "100"}
    assert set(results["summary"]["tasks"]["classification"]) == {"500"}


def test_errors_are_tried_again_and_slow_fits_are_not(toy, tmp_path):
    out = tmp_path / "npt_prior.json"
    results = run(out, models=["hgb", "knn", "catboost"])
    # too slow on one split: not tried on the other
    assert toy.count("slow") == 2
    assert toy.count("broken") == 4
    assert {r["model"] for r in results["records"] if "error" in r} == {"knn", "catboost"}
    assert set(results["summary"]["means"]["500"]["iris"]) == {"hgb"}
    run(out, models=["hgb", "knn", "catboost"])
    assert toy.count("slow") == 2
    assert toy.count("broken") == 8
    run(out, models=["catboost"], force=True)
    assert toy.count("slow") == 4
    page = render_npt_prior.page(results)
    assert "no such parameter" in page
    assert "TooSlow: more than 0 CPU seconds" in page


def test_results_say_how_they_were_made(toy, tmp_path):
    results = run(tmp_path / "npt_prior.json", splits=[0])
    assert results["commands"] == ["the command"]
    assert results["machine"]["versions"]["scikit-learn"]
    assert results["weights"][0]["says"] == {"plan": {"preset": "tiny"}}
    table = npt_prior_tables.load_table("iris")
    context, test = npt_prior_tables.context_and_test(table, 0, 500)
    shares = np.tile(np.bincount(table.y[context]) / len(context), (len(test), 1))
    assert results["summary"]["means"]["500"]["iris"]["hgb"]["log_loss"] == pytest.approx(
        log_loss(table.y[test], shares), abs=1e-5
    )
    again = bench_npt_prior.write_results(tmp_path / "npt_prior.json")
    assert again == results


def test_the_curve_is_read_from_weights_and_log(weights, tmp_path):
    assert npt_prior_pretraining.curve(tmp_path) == {}
    real = {"auc": 0.9, "log_loss": 0.4, "n_tables": 2, "tables": {"wine": [1, 2], "iris": [3, 4]}}
    line = {"seconds": 1.0, "validation_loss": 0.8}
    write_weights(weights, curve=[{"step": 5, "flop": 5e9, **line, "development": real}])
    lines = [json.dumps({"step": step, "flop": 1e9 * step, "run": "b"}) for step in (2, 1, 2)]
    (tmp_path / "npt_pretraining.jsonl").write_text("\n".join([*lines, '{"step": 3, "fl']))
    found = npt_prior_pretraining.curve(tmp_path)
    assert found["b"] == {
        "points": [{"step": 1, "flop": 1e9}, {"step": 2, "flop": 2e9}], "tables": []
    }  # fmt: skip
    short = {"auc": 0.9, "log_loss": 0.4, "n_tables": 2}
    point = {"step": 5, "flop": 5e9, **line, "development": short}
    assert found["tiny"] == {"points": [point], "tables": ["iris", "wine"]}


def test_development_tables_are_those_of_the_benchmark(tmp_path, monkeypatch):
    monkeypatch.setattr(npt_prior_pretraining, "CLASSIFICATION", ("iris", "wine"))
    npt_prior_pretraining.write_development(tmp_path / "development.npz")
    with np.load(tmp_path / "development.npz", allow_pickle=False) as file:
        assert len(file.files) == 8
        table = npt_prior_tables.load_table("iris")
        context, test = npt_prior_tables.context_and_test(table, 0, 500)
        rows = [*context, *test]
        assert file["iris/context"] == len(context)
        np.testing.assert_array_equal(file["iris/y"], table.y[rows])
        X = table.X.to_numpy()
        np.testing.assert_allclose(file["iris/X"], X[rows] - X[context[0]], atol=1e-6)
        assert not file["iris/categorical"].any()


@pytest.mark.shared_data
def test_development_tables_keep_codes_and_gaps(tmp_path, monkeypatch):
    monkeypatch.setattr(npt_prior_pretraining, "CLASSIFICATION", ("adult", "vowel"))
    npt_prior_pretraining.write_development(tmp_path / "development.npz")
    with np.load(tmp_path / "development.npz", allow_pickle=False) as file:
        assert {name.split("/")[0] for name in file.files} == {"adult"}  # vowel has 11 classes
        X, categorical = file["adult/X"], file["adult/categorical"]
    table = npt_prior_tables.load_table("adult")
    rows = np.concatenate(npt_prior_tables.context_and_test(table, 0, 500))
    np.testing.assert_array_equal(np.isnan(X), table.X.iloc[rows].isna())
    for column in np.flatnonzero(categorical):
        codes, names = X[:, column], table.X.iloc[rows, column]
        known = ~np.isnan(codes)
        categories = table.X.dtypes.iloc[column].categories
        assert (categories[codes[known].astype(int)] == names[known]).all()


def test_command_line_knows_its_choices():
    options = bench_npt_prior.parse(["--models", "hgb", "--sizes", "100", "--splits", "2"])
    assert (options.models, options.sizes, options.splits) == (["hgb"], [100], 2)
    for bad in (["--models", "mlp"], ["--tables", "no_such_table"], ["--sizes", "50"]):
        with pytest.raises(SystemExit):
            bench_npt_prior.parse(bad)


# ------------------------------------------------------------------ sums and targets


@pytest.fixture
def records(record):
    """Scores drawn at random: NPT and three peers, TabM on one split, kNN without a table."""
    rng = np.random.default_rng(0)
    made = []
    for table in (*npt_prior_tables.CLASSIFICATION, *npt_prior_tables.REGRESSION):
        task = "regression" if table in npt_prior_tables.REGRESSION else "classification"
        for split in range(3):
            for model in ("npt_pretrained", "npt_fine_tuned", "hgb", "forest", "catboost", "tabm",
                          "knn"):  # fmt: skip
                loss, auc, coverage = rng.uniform(0.1, 1, 3)
                if (model == "tabm" and split) or (model == "knn" and table in ("iris", "wine")):
                    continue
                scores = {"auc": auc, "accuracy": 0.8, "ece": 0.1}
                if task == "regression":
                    scores = {"mae": 1.0, "r2": 1 - loss**2}
                    if model == "npt_pretrained":
                        scores["coverage_90"] = 0.85 + 0.1 * coverage
                        scores["width_90"] = 1.0
                made.append({**record(table, split, model, loss, task=task, **scores), "n": 500})
    return made


def frame_of(records, task, score):
    rows = [
        {"table": r["table"], "split": r["split"], "model": r["model"], "value": r["scores"][score]}
        for r in records
        if r["task"] == task
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("task", "score", "sign"),
    [("classification", "log_loss", 1), ("classification", "auc", -1), ("regression", "rmse", 1)],
)
def test_ranks_and_means_agree_with_pandas(records, task, score, sign):
    summary = npt_prior_summary.summarise(records)["tasks"][task]["500"]
    frame = frame_of(records, task, score)
    means = sign * frame.pivot_table(index="table", columns="model", values="value")
    assert summary["complete"]["models"] == [
        m for m in npt_prior_models.MODELS
        if m in frame["model"].unique() and (frame["model"] == m).sum() == summary["n_fits"]
    ]  # fmt: skip
    field = ["npt_pretrained", "hgb", "forest", "catboost"]
    if task == "regression":
        field.insert(3, "knn")  # it has every regression table
    expected = pd.DataFrame(rankdata(means[field], axis=1), columns=field).mean()
    ranked = summary["complete"]["ranks"][score]
    assert ranked["npt_pretrained"] == pytest.approx(expected.to_dict())
    assert set(ranked["peers"]) == set(field[1:])
    # On the board of all, only the first split counts, for TabM has no other.
    common = summary["common"]
    assert common["n_fits"] == len(common["tables"]) == len(means)
    first = sign * frame[frame["split"] == 0].pivot(index="table", columns="model", values="value")
    field = list(common["ranks"][score]["npt_pretrained"])
    assert "tabm" in field
    expected = pd.DataFrame(rankdata(first[field], axis=1), columns=field).mean()
    assert common["ranks"][score]["npt_pretrained"] == pytest.approx(expected.to_dict())
    if task == "classification":
        # without two tables kNN is on no board
        assert summary["left_out"] == ["knn"]
        for model in field:
            value = common["means"][model][score]
            assert value == pytest.approx(abs(first[model].mean()))


@pytest.mark.parametrize("peer", ["hgb", "tabm", "knn"])
def test_beside_agrees_with_scipy(records, peer):
    found = npt_prior_summary.scores_by_model(
        [record for record in records if record["task"] == "classification"]
    )
    entry = npt_prior_summary.beside(found, "npt_pretrained", peer, "auc")
    frame = frame_of(records, "classification", "auc")
    wide = frame.pivot(index=["table", "split"], columns="model", values="value")
    wide = wide.dropna(subset=peer)
    difference = wide["npt_pretrained"] - wide[peer]
    by_table = difference.groupby("table").mean()
    assert entry["n_fits"] == len(wide)
    assert entry["p_fits"] == pytest.approx(wilcoxon(difference).pvalue)
    assert entry["p_tables"] == pytest.approx(wilcoxon(by_table).pvalue)
    assert entry["difference"] == pytest.approx(by_table.mean())
    assert (entry["won"], entry["tied"]) == ((by_table > 0).sum(), 0)
    assert set(entry["lost"]) == set(by_table.index[by_table < 0])
    # ranked with those that have all these fits
    field = ["npt_pretrained", *(m for m in ("hgb", "forest", "catboost", "tabm", "knn")
                                 if not wide[m].isna().any())]  # fmt: skip
    ranks = pd.DataFrame(
        rankdata(-wide.groupby("table").mean()[field], axis=1), columns=field
    ).mean()
    assert entry["n_ranked"] == len(field)
    assert entry["rank_difference"] == pytest.approx(ranks["npt_pretrained"] - ranks[peer])


def test_equal_scores_are_ties_and_no_evidence():
    scores = {("iris", split): {"log_loss": 0.1 * split} for split in range(1, 4)}
    found = {"npt_pretrained": scores, "hgb": dict(scores)}
    entry = npt_prior_summary.beside(found, "npt_pretrained", "hgb", "log_loss")
    assert (entry["won"], entry["tied"], entry["lost"]) == (0, 1, [])
    assert entry["p_fits"] == entry["p_tables"] == 1.0
    assert entry["rank_difference"] == 0


def named(figures, *words):
    matching = [f for f in figures if all(word in f["name"] for word in words)]
    assert len(matching) == 1, [f["name"] for f in figures]
    return matching[0]


def test_targets_are_judged_by_what_was_measured(records):
    figures = npt_prior_summary.figures(npt_prior_summary.summarise(records))
    means = frame_of(records, "classification", "log_loss").groupby(["model", "table"]).mean()
    means = means["value"].groupby("model").mean()
    for peer, label in (("hgb", "HistGradientBoosting"), ("forest", "RandomForest")):
        found = named(figures, "NPT pretrained, 500", f"mean log loss less that of {label}")
        difference = means["npt_pretrained"] - means[peer]
        assert found["value"] == pytest.approx(difference, rel=1e-4)
        assert found["reached"] is bool(difference <= 0)
    coverage = frame_of([r for r in records if r["model"] == "npt_pretrained"], "regression",
                        "coverage_90")["value"].mean()  # fmt: skip
    found = named(figures, "90 % interval")
    assert found["value"] == pytest.approx(coverage, rel=1e-4)
    assert found["reached"] is bool(0.88 <= coverage <= 0.92)
    for table, target in (("tic_tac_toe", 0.99), ("car", 0.985)):
        found = named(figures, "NPT fine-tuned", f"AUC on {table}")
        assert found["target"] == f">= {target}"
        assert found["reached"] is False
    assert named(figures, "classification tables")["reached"] is True
    assert named(figures, "fine-tuned", "rank by AUC", "CatBoost")["target"] == "< 0"


def test_being_level_is_not_being_ahead(record):
    records = [
        {**record(table, 0, model, 0.5, task="classification", auc=0.9, accuracy=1.0), "n": 500}
        for table in npt_prior_tables.CLASSIFICATION
        for model in ("npt_fine_tuned", "npt_pretrained", "hgb", "catboost")
    ]
    figures = npt_prior_summary.figures(npt_prior_summary.summarise(records))
    assert named(figures, "NPT pretrained", "mean log loss", "Hist")["reached"] is True
    assert named(figures, "NPT pretrained", "rank by log loss", "CatBoost")["reached"] is False
    assert named(figures, "NPT fine-tuned", "mean log loss", "CatBoost")["reached"] is False


def test_too_few_tables_are_not_judged(records):
    some = [r for r in records if r["model"] != "npt_pretrained" or r["table"] == "iris"]
    figures = npt_prior_summary.figures(npt_prior_summary.summarise(some))
    assert not [f for f in figures if "NPT pretrained" in f["name"]]
    peers = [r for r in records if not r["model"].startswith("npt")]
    assert npt_prior_summary.figures(npt_prior_summary.summarise(peers)) == []


# ------------------------------------------------------------------ cost and exactness


def stand_in(base, company):
    """Return a class that predicts the mean target, changed by its company if so wished."""

    class StandIn(base):
        def __init__(self, random_state=None, pretrained=None):
            super().__init__()
            self.random_state, self.pretrained = random_state, pretrained

        def predict(self, X):
            return super().predict(X) + company * len(X)

        def predict_proba(self, X):
            return super().predict_proba(X) + company * len(X)

    return StandIn


@pytest.mark.parametrize("company", [0, 1e-4])
def test_cost_and_exactness_are_judged(company, monkeypatch):
    for name, base in (("NPTClassifier", DummyClassifier), ("NPTRegressor", DummyRegressor)):
        monkeypatch.setattr(npt_prior_cost, name, stand_in(base, company))
    monkeypatch.setattr(npt_prior_cost, "preset", lambda: "tiny")
    entry = npt_prior_cost.measure()
    alone = [f for f in entry["figures"] if "alone" in f["name"] and "among" in f["name"]]
    assert [f["reached"] for f in alone] == [company == 0] * 4
    assert alone[0]["value"] == pytest.approx((npt_prior_cost.N_ASKED - 1) * company)
    orders = [f for f in entry["figures"] if "order of" in f["name"]]
    assert len(orders) == 12
    assert all(f["reached"] for f in orders)
    seconds = [f for f in entry["figures"] if "500 queries, CPU s" in f["name"]]
    assert [f.get("target") for f in seconds] == ["<= 1", None, None]
    assert "pretrained=True" in entry["configuration"]


def test_preset_is_what_the_weights_say(weights):
    assert npt_prior_cost.preset() is None
    write_weights(weights)
    assert npt_prior_cost.preset() is None
    write_weights(weights, plan={"preset": "base"})
    assert npt_prior_cost.preset() == "base"
    assert npt_prior_cost.ALLOWED_S["base"] == 3


# ------------------------------------------------------------------ page and picture


@pytest.fixture
def results(records, weights, tmp_path):
    out = tmp_path / "results" / "npt_prior.json"
    for record in records:
        bench_npt_prior.append_record(out, record)
    point = {"step": 1, "flop": 1e12, "seconds": 1, "tables": 10, "validation_loss": 0.8}
    development = {"auc": 0.9, "log_loss": 0.4, "n_tables": 15, "tables": {"iris": [], "car": []}}
    lines = [point, {**point, "step": 2, "flop": 1e13, "development": development}]
    text = "\n".join(json.dumps(line) for line in lines)
    (out.parent / "npt_pretraining.jsonl").write_text(text)
    tables = {n: npt_prior_tables.load_table(n).describe() for n in ("iris", "diabetes")}
    return bench_npt_prior.write_results(out, "python benchmarks/bench_npt_prior.py", tables)


def test_losses_are_told_and_partial_means_marked(results):
    page = render_npt_prior.page(results)
    lost = results["summary"]["tasks"]["classification"]["500"]["versus"]["npt_pretrained"]["hgb"]
    assert lost["log_loss"]["lost"]
    assert ", ".join(lost["log_loss"]["lost"]) in page
    assert "**missed**" in page
    assert "Training curve" in page
    row = page.split("Log loss on each table", 1)[1].split("* - iris", 1)[1]
    row = row.split("* - wine", 1)[0]
    assert row.count("†") == 1  # TabM
    assert row.count("**") == 2
    assert "no such" not in page
    text = render_npt_prior.terminal_table(results)
    assert "classification, 500 context rows, 15 tables, 45 fits a model (complete)" in text


def test_page_is_valid_restructured_text(results):
    docutils = pytest.importorskip("docutils.core")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # docutils' own deprecations
        docutils.publish_string(
            render_npt_prior.page(results), writer="null", settings_overrides={"halt_level": 2}
        )


def test_picture_has_a_curve_only_where_there_is_one(results, tmp_path):
    render_npt_prior.write_page(results, tmp_path)
    assert (tmp_path / "docs/benchmarks/npt_prior.rst").exists()
    picture = tmp_path / "docs/benchmarks/npt_prior.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < 200_000
    assert draw_npt_prior.has_curve(results)
    frame = frame_of([r for r in results["records"] if r["split"] == 0], "classification",
                     "log_loss")  # fmt: skip
    for tables in (["iris", "car", "not_ours"], []):
        chosen = frame[frame["table"].isin(tables)] if tables else frame
        means = chosen.groupby("model")["value"].mean()
        lines = draw_npt_prior.reference_lines(results, tables)
        assert lines == pytest.approx({m: means[m] for m in ("hgb", "catboost")})
    assert not draw_npt_prior.has_curve({**results, "pretraining": {}})
    draw_npt_prior.draw({**results, "pretraining": {}}, picture)


def test_page_of_peers_alone(records, weights, tmp_path):
    out = tmp_path / "npt_prior.json"
    for record in records:
        if not record["model"].startswith("npt"):
            bench_npt_prior.append_record(out, record)
    results = bench_npt_prior.write_results(out)
    assert results["figures"] == []
    assert "No result of NPT yet" in render_npt_prior.page(results)
    draw_npt_prior.draw(results, tmp_path / "picture.png")
