"""The visual-parsing benchmark: what its records turn into, and that page and file agree."""

import bench_vision_language
import numpy as np
import pytest
import render_vision_language
import vision_language_data
import vision_language_experiments
from vision_language_figures import figures

from sklearn_selfattn.datasets import make_digit_scenes


def record(experiment, numbers, seed=0):
    return {"experiment": experiment, "seed": seed, "numbers": numbers, "cpu_s": 1.0}


def ours(accuracy, **kinds):
    return {
        "accuracy": accuracy, **kinds, "cpu_s": 100.0, "epochs": 20, "flow": [0.4, 0.5],
        "relative": [1.1, 1.2], "right cell": 0.8,
        "without cross": {"accuracy": 0.2, **dict.fromkeys(kinds, 0.1)},
    }  # fmt: skip


RECORDS = [
    record("easy-VQA", ours(0.97, **{"yes/no": 0.94})),
    record("easy-VQA", ours(0.95, **{"yes/no": 0.94}), seed=1),
    record("scenes", ours(0.85, relation=0.75, exist=0.9, count=0.9)),
    record("speed", {"ours": 1.0, "encoder": 1.5}),
]


def test_misses_are_named():
    found = {group: {f["name"]: f for f in fs} for group, fs in figures(RECORDS).items()}
    vqa = found["vqa"]
    assert vqa["accuracy"]["value"] == pytest.approx(0.96)  # the mean over seeds
    assert vqa["accuracy"]["reached"] and not vqa["accuracy of yes and no"]["reached"]
    missed = [f["name"] for f in found["scenes"].values() if f.get("reached") is False]
    assert missed == ["accuracy"]
    machine = {"cpu": "one", "n_cores": 1, "system": "a", "versions": {"torch": "2"}}
    results = {"records": RECORDS, "machines": [machine], "commands": ["python x"]}
    page = render_vision_language.page(results)
    assert "Digit scenes: accuracy: 0.85 (target ≥ 0.9)" in page
    assert "Not measured yet" in page


def test_scenes_are_read_back():
    """The cell that a relation asks for is found from the pixels, and holds the answer."""
    X, y, kinds = make_digit_scenes(60, questions=["relation"], return_kind=True, random_state=0)
    assert set(kinds) == {"relation"}
    asked = [i for i in range(60) if y[i] != "nothing"]
    pairs = X.to_numpy()
    for i in asked:  # asserts that the answer is what stands there
        row, column = vision_language_experiments._place(pairs[i], y[i])
        cell = pairs[i, 0][8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
        assert cell.any()
    assert None in vision_language_data.digits_of(pairs[0, 0])
    assert len(asked) > 20


@pytest.mark.shared_data
def test_questions_of_the_shared_data_are_read(monkeypatch):
    monkeypatch.setattr(vision_language_data, "N_TRAIN", 50)
    pairs, y, test, y_test = vision_language_data.easy_vqa(0)
    assert (len(pairs), len(test)) == (50, 9673)
    assert pairs[0, 0].shape == (32, 32, 3) and isinstance(pairs[0, 1], str)
    assert np.isin(["yes", "no", "circle"], y_test).all() and len(y) == 50


def test_the_page_is_what_the_results_render_to():
    bench = bench_vision_language.BENCH
    assert bench.load()["records"]  # at the present defaults
    assert bench.page_path.read_text() == bench.page(bench.load())
