"""The tabular benchmark: what it measures, how it adds up, that it resumes."""

import io
import json
import warnings

import bench_tabular
import numpy as np
import pandas as pd
import pytest
import render_tabular
import tabular_data
import tabular_peers
import tabular_scores
from sklearn.datasets import load_breast_cancer
from sklearn.dummy import DummyClassifier, DummyRegressor

# ------------------------------------------------------------------ tables and splits


def test_repeated_rows_go_and_contradictions_stay():
    frame = pd.DataFrame(
        {"x": [1.0, 1.0, 1.0, np.nan, np.nan], "c": list("aaabb"), "target": [0, 0, 1, 1, 1]}
    )
    kept = tabular_data.drop_repeated_rows(frame)
    assert kept["target"].tolist() == [0, 1, 1]
    assert kept.index.tolist() == [0, 1, 2]


def test_no_row_of_a_bundled_table_is_in_both_parts():
    # iris has one repeated row
    table = tabular_data.load_table("iris")
    assert (table.n_rows_raw, len(table.X)) == (150, 149)
    rows = table.X.assign(target=table.y)
    tests = []
    for split in range(5):
        train, test = tabular_data.split_rows(table, split)
        assert sorted([*train, *test]) == list(range(149))
        assert len(test) == pytest.approx(149 * tabular_data.TEST_SIZE, abs=1)
        assert len(rows.iloc[train].merge(rows.iloc[test])) == 0
        # classes keep their shares
        shares = np.bincount(table.y[test]) / len(test)
        np.testing.assert_allclose(shares, np.bincount(table.y) / 149, atol=1 / len(test))
        again = tabular_data.split_rows(table, split)
        np.testing.assert_array_equal(test, again[1])
        tests.append(tuple(test))
    assert len(set(tests)) == 5


def test_blocks_of_rows_are_not_torn():
    blocks = np.arange(1000) // 50
    table = tabular_data.Table(
        "toy", "classification", pd.DataFrame({"x": np.arange(1000.0)}), blocks % 2, blocks, 1000
    )
    for split in range(3):
        train, test = tabular_data.split_rows(table, split)
        assert not set(blocks[train]) & set(blocks[test])
        assert len(train) + len(test) == 1000
        assert len(test) == 250
        assert 100 <= table.y[test].sum() <= 150


def test_bundled_table_is_what_scikit_learn_ships():
    table = tabular_data.load_table("wdbc")
    X, y = load_breast_cancer(return_X_y=True)
    np.testing.assert_array_equal(table.X.to_numpy(), X)
    np.testing.assert_array_equal(table.y, y)
    assert not any(" " in name for name in table.X.columns)
    assert table.describe()["n_classes"] == 2
    assert len(tabular_data.load_table("digits", 300).X) == 300


@pytest.mark.shared_data
def test_shared_tables_keep_types_gaps_and_no_copies():
    facts = json.loads((tabular_data.shared_folder() / "tables.json").read_text())
    for name in ("soybean", "autompg", "credit_g", "concrete"):
        table = tabular_data.load_table(name)
        categorical = [c for c in table.X.columns if table.X[c].dtype == "category"]
        assert categorical == [c.replace(" ", "_") for c in facts[name]["categorical"]]
        assert table.n_rows_raw == facts[name]["n_rows"]
        assert len(table.X) == facts[name]["n_rows"] - facts[name]["duplicate_rows"]
        assert (table.X.isna().to_numpy().sum() > 0) == (facts[name]["missing_fraction"] > 0)


# ------------------------------------------------------------------ peers


def mixed_table(task):
    rng = np.random.default_rng(2)
    X = pd.DataFrame(
        {
            "x": rng.normal(size=90),
            "colour": pd.Categorical(rng.choice(["red", "green", None], size=90)),
        }
    )
    X.loc[::7, "x"] = np.nan
    signal = X["x"].fillna(0) + (X["colour"] == "red")
    y = signal.to_numpy() if task == "regression" else (signal > 0.5).to_numpy().astype(int)
    return tabular_data.Table("mixed", task, X, y, None, 90)


@pytest.mark.parametrize(
    ("model", "task"),
    [
        (model, task)
        for model in tabular_peers.CORE
        for task in ("classification", "regression")
        if model not in ("npt", "mlp") and tabular_peers.takes(model, task)
    ],
)
def test_core_peers_take_a_mixed_table_with_gaps(model, task):
    table = mixed_table(task)
    found = bench_tabular.measure(table, 0, model)
    assert "error" not in found
    loss = found["scores"][tabular_scores.LOSS[task]]
    train, test = tabular_data.split_rows(table, 0)
    if task == "regression":
        baseline = np.sqrt(np.mean((table.y[test] - table.y[train].mean()) ** 2))
        assert loss < baseline
    else:
        assert found["scores"]["auc"] > 0.7
    assert found["cost"]["fit_cpu_s"] > 0
    # What does not depend on the clock is the same again.
    assert bench_tabular.measure(table, 0, model)["scores"] == found["scores"]


def test_every_model_has_its_name_and_settings():
    assert list(tabular_peers.MODELS) == list(tabular_peers.LABELS)
    assert list(tabular_peers.MODELS) == list(tabular_peers.SETTINGS)
    assert set(tabular_peers.CORE) <= set(tabular_peers.MODELS)
    assert tabular_peers.installed("hgb")


# ------------------------------------------------------------------ the run


@pytest.fixture
def toy(monkeypatch):
    """Two quick models on two quick tables; fits are counted."""
    fits = []

    def constant(task, seed, n_threads):
        fits.append(task)
        if task == "classification":
            return DummyClassifier()
        return DummyRegressor()

    def broken(task, seed, n_threads):
        raise_on_fit = constant(task, seed, n_threads)
        raise_on_fit.set_params(strategy="no such strategy")
        return raise_on_fit

    monkeypatch.setitem(tabular_peers.MODELS, "hgb", constant)
    monkeypatch.setitem(tabular_peers.MODELS, "npt", constant)
    monkeypatch.setitem(tabular_peers.MODELS, "knn", broken)
    monkeypatch.setattr(tabular_peers, "settings", lambda model, task: f"{model} {task}")
    monkeypatch.setattr(tabular_peers, "warm_up", lambda *a: None)
    return fits


def run(out, models=("npt", "hgb"), splits=(0, 1), force=False, time_limit=None):
    facts = bench_tabular.run(
        out, ["iris", "diabetes"], list(models), splits,
        force=force, n_threads=1, time_limit=time_limit,
    )  # fmt: skip
    return bench_tabular.write_results(out, "the command", facts)


def test_a_run_resumes_and_repeats_nothing(toy, tmp_path, monkeypatch, capsys):
    out = tmp_path / "tabular.json"
    run(out, splits=[0])
    assert len(toy) == 4
    with open(out.with_suffix(".jsonl"), "a") as lines:
        lines.write('{"table": "ir')  # stopped in the middle of a line
    results = run(out)
    assert len(toy) == 8
    assert len(results["records"]) == 8
    run(out)
    assert len(toy) == 8
    # The lines are gone, the results file alone is enough.
    out.with_suffix(".jsonl").unlink()
    results = run(out)
    assert len(toy) == 8
    # Other settings are another model; its records take the place of the old ones.
    monkeypatch.setattr(tabular_peers, "settings", lambda model, task: f"{model} {task} new")
    results = run(out, models=["npt"])
    assert len(toy) == 12
    assert len(results["records"]) == 8
    run(out, models=["npt"], force=True)
    assert len(toy) == 16
    assert "[1/4] iris 0 npt: log_loss" in capsys.readouterr().err


def test_results_say_how_they_were_made(toy, tmp_path):
    results = run(tmp_path / "tabular.json")
    assert results["commands"] == ["the command"]
    assert results["machine"]["versions"]["scikit-learn"]
    assert results["tables"]["iris"]["n_rows_raw"] == 150
    assert results["tables"]["iris"]["n_rows"] == 149
    summary = results["summary"]
    shares = np.bincount(tabular_data.load_table("iris").y) / 149
    entropy = -np.sum(shares * np.log(shares))
    assert summary["means"]["iris"]["npt"]["log_loss"] == pytest.approx(entropy, abs=0.01)
    assert summary["sets"]["all"]["versus"]["npt"]["hgb"]["ties"] == 2
    again = bench_tabular.write_results(tmp_path / "tabular.json", None, {})
    assert again == results


def test_one_failing_model_does_not_end_the_run(toy, tmp_path):
    results = run(tmp_path / "tabular.json", models=["npt", "hgb", "knn"], splits=[0])
    errors = [r for r in results["records"] if "error" in r]
    assert {r["model"] for r in errors} == {"knn"}
    assert "InvalidParameterError" in errors[0]["error"]
    assert len(results["records"]) == 6
    assert "knn" not in results["summary"]["means"]["iris"]
    assert "no such strategy" in render_tabular.page(results)


def test_a_model_for_classes_is_spared_numbers(toy, tmp_path, monkeypatch):
    monkeypatch.setitem(tabular_peers.MODELS, "ot", tabular_peers.MODELS["hgb"])
    results = run(tmp_path / "tabular.json", models=("hgb", "ot"))
    assert {r["table"] for r in results["records"] if r["model"] == "ot"} == {"iris"}
    every = results["summary"]["sets"]["all"]
    # It is ranked among the tables that it can do, and not called incomplete there.
    assert every["ranking"]["incomplete"] == ["ot"]
    assert set(every["ranking_classes"]["mean_rank"]) == {"hgb", "ot"}
    table = render_tabular.readme_table(results)
    assert next(line for line in table.splitlines() if "OT" in line).startswith("| **OT** | – | 1.")


def test_tables_of_openml_join_under_their_number(toy, tmp_path, monkeypatch):
    bunch = load_breast_cancer(as_frame=True)
    bunch.data = bunch.data.iloc[:, :3].assign(
        site=pd.Categorical(["left", "right", None] * 189 + ["left"] * 2)
    )
    bunch.target = bunch.target.astype(str).where(bunch.target.index > 0)  # no label, no row
    asked = []
    monkeypatch.setattr(
        tabular_data.datasets,
        "fetch_openml",
        lambda **given: asked.append(given["data_id"]) or bunch,
    )
    out = tmp_path / "mine.json"
    bench_tabular.main(["--openml", "1510", "--models", "hgb", "--splits", "1", "--out", str(out)])
    results = json.loads(out.read_text())
    facts = results["tables"]["openml_1510"]
    assert asked == [1510]
    assert (facts["task"], facts["n_categorical"], facts["n_rows_raw"]) == (
        "classification",
        1,
        568,
    )
    assert results["summary"]["sets"]["all"]["tables"] == ["openml_1510"]


def test_time_limit_starts_no_further_fit(toy, tmp_path, capsys):
    results = run(tmp_path / "tabular.json", time_limit=-1)
    assert results["records"] == []
    assert "time limit reached" in capsys.readouterr().err
    assert render_tabular.terminal_table(results) == "no results"


def test_progress_knows_what_is_left(record):
    jobs = [("t", 0, "a"), ("t", 0, "b"), ("u", 0, "a")]
    progress = bench_tabular.Progress(jobs, [record("t", 1, "a", 1.0, fit=2.9)], io.StringIO())
    # b was never seen: it counts as the mean of those seen, 2.9 s to fit and .1 to predict
    assert progress.time_left() == pytest.approx(9)
    progress.end(record("t", 0, "b", 1.0, fit=9.9))
    assert progress.time_left() == pytest.approx(6)
    assert progress.stream.getvalue().startswith("[1/3] t 0 b: rmse 1, fit 9.90 CPU s, 6 s left")


def test_command_line_knows_its_tables():
    options = bench_tabular.parse(["--models", "npt", "hgb", "--force", "--tables", "beed"])
    assert (options.models, options.force, options.resume) == (["npt", "hgb"], True, True)
    with pytest.raises(SystemExit):
        bench_tabular.parse(["--tables", "no_such_table"])
    # What is costly or peculiar runs only when asked for.
    assert not set(tabular_data.ON_REQUEST) & set(bench_tabular.TABLE_SETS["all"])


# ------------------------------------------------------------------ page and picture


@pytest.fixture
def results(record):
    records = []
    for split in range(2):
        for table, npt, hgb in (("iris", 0.1, 0.2), ("wine", 0.3, 0.2)):
            for model, loss in (("npt", npt), ("hgb", hgb), ("knn", 2.0)):
                records.append(
                    record(table, split, model, loss, task="classification",
                           auc=0.9, accuracy=0.8, ece=0.1)
                )  # fmt: skip
        records += [record("diabetes", split, "npt", 55.0, mae=1, r2=0.4)]
        records += [record("diabetes", split, "hgb", 50.0, mae=1, r2=0.5)]
        records += [record("diabetes", split, "knn", 60.0, mae=1, r2=0.3)]
    return {
        "commands": ["python benchmarks/bench_tabular.py"], "machine": bench_tabular.machine(),
        "tables": {n: tabular_data.load_table(n).describe() for n in ("iris", "wine", "diabetes")},
        "summary": tabular_scores.summarise(records, bench_tabular.TABLE_SETS),
        "records": records,
    }  # fmt: skip


def test_losses_are_told_as_plainly_as_wins(results):
    page = render_tabular.page(results)
    assert "higher on 2 (2 clearly): wine and diabetes" in page
    assert "lower loss on 1 of 3 tables" in page
    assert "1.10 times its RMSE (diabetes)" in page
    assert "**0.1**" in page  # iris: NPT is best
    assert "**50**" in page  # diabetes: HistGradientBoosting is
    text = render_tabular.terminal_table(results)
    assert "0.1*" in text
    assert "50*" in text
    row = next(line for line in render_tabular.readme_table(results).splitlines() if "Hist" in line)
    assert "| 1 / 2 |" in row


def test_mean_over_fewer_splits_is_marked_and_not_the_best(results, record):
    lucky = record("iris", 0, "mlp", 0.01, task="classification", auc=1, accuracy=1, ece=0)
    records = [*results["records"], lucky]
    results["summary"] = tabular_scores.summarise(records, bench_tabular.TABLE_SETS)
    text = render_tabular.terminal_table(results)
    assert "0.01†" in text
    assert "0.1*" in text
    assert "not all splits" in text
    assert "mlp" not in results["summary"]["sets"]["all"]["ranking"]["mean_rank"]


def test_readme_is_filled_between_its_markers(results, tmp_path):
    start, end = render_tabular.README_MARKERS
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{start}\nold\n{end}\nafter\n")
    render_tabular.write_page(results, tmp_path)
    once = readme.read_text()
    assert once.startswith(f"before\n{start}\n| model")
    assert once.endswith(f"{end}\nafter\n")
    assert "old" not in once
    render_tabular.write_page(results, tmp_path)
    assert readme.read_text() == once
    assert (tmp_path / "docs/benchmarks/tabular.rst").exists()
    picture = tmp_path / "docs/benchmarks/tabular.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < 150_000


def test_page_is_valid_restructured_text(results):
    docutils = pytest.importorskip("docutils.core")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # docutils' own deprecations
        docutils.publish_string(
            render_tabular.page(results), writer="null", settings_overrides={"halt_level": 2}
        )
