"""The distributional benchmark: its data are as stated, its figures judge right, it resumes."""

import json

import bench_distributional
import distributional_experiments
import distributional_texts
import numpy as np
import pytest
import render_distributional
from npt_figures import figure


@pytest.fixture
def corpus():
    rng = np.random.default_rng(0)
    chance = 1.0 / np.arange(1, 1501)
    words = rng.choice(1500, size=(400, 60), p=chance / chance.sum())
    return [[f"w{number}" for number in row] for row in words]


def test_merged_pairs_can_be_taken_apart_again(corpus):
    merged, places = distributional_experiments.merge_pairs(
        corpus, 7, slice(200, 1000), np.random.default_rng(0)
    )
    assert len(places) == 7
    originals = {name: [set(), set()] for name in places}
    restored = [list(tokens) for tokens in merged]
    for name, found in places.items():
        for document, place, which in found:
            assert merged[document][place] == name
            original = corpus[document][place]
            originals[name][which].add(original)
            restored[document][place] = original
    assert restored == corpus
    assert all(len(first) == len(second) == 1 for first, second in originals.values())
    assert len({word for pair in originals.values() for words in pair for word in words}) == 14


def test_cosines_of_rows():
    left, right = np.array([[3.0, 4.0], [1.0, 0.0], [0.0, 0.0]]), np.array([[4.0, 3.0]] * 3)
    np.testing.assert_allclose(distributional_texts.cosines(left, right), [0.96, 0.8, 0.0])


def test_the_classifier_never_sees_test_texts():
    """The vectors are fitted on training texts alone, and the labels decide the score."""

    class Letters:
        def fit(self, texts):
            self.seen = list(texts)
            return self

        def transform(self, texts):
            return np.array([[text.count("a"), text.count("b")] for text in texts], dtype=float)

    train = ["aa", "ab", "b", "bb", "a", "bbb"] * 5
    labels = ["a" if text.count("a") >= text.count("b") else "b" for text in train]
    vectorizer = Letters()
    texts = (train, np.array(labels), ["aaa", "bbbb"], np.array(["a", "b"]))
    assert distributional_texts.accuracy_on_test(vectorizer, texts) == 1.0
    assert vectorizer.seen == train


def test_recipes_are_parameters_of_the_vectorizer():
    for recipe in distributional_experiments.RECIPES.values():
        distributional_texts.projection(**recipe)._check_parameters()


@pytest.mark.shared_data
def test_the_texts_are_those_of_the_specification():
    sizes = {"mr": (7108, 3554), "R8": (5485, 2189), "TREC": (5452, 500)}
    for name, (n_train, n_test) in sizes.items():
        X_train, y_train, X_test, y_test = distributional_texts.labelled(name)
        assert (len(X_train), len(X_test)) == (n_train, n_test)
        assert len(X_train) == len(y_train)
        assert set(y_test) <= set(y_train)
    for name in distributional_texts.STS:
        judged, left, right = distributional_texts.sentence_pairs(name)
        assert len(judged) == len(left) == len(right)
        assert 0 <= judged.min() < judged.max() <= 5


def test_run_resumes_and_the_page_names_misses(monkeypatch, tmp_path):
    calls = []

    def first():
        """Say the first."""
        calls.append("exactness")
        figures = [figure("error", 0.5, "<= 0.12"), figure("plain", 2)]
        return {"figures": figures, "configuration": "C()", "notes": ["A note."], "seeds": [0]}

    def second():
        """Say the second."""
        calls.append("reviews")
        raise ValueError("no such text")

    experiments = {"exactness": first, "reviews": second}
    monkeypatch.setattr(bench_distributional, "EXPERIMENTS", experiments)
    out = tmp_path / "distributional.json"
    assert bench_distributional.main(["--out", str(out)]) == 1
    bench_distributional.main(["--out", str(out)])  # what is there stays, what broke runs again
    bench_distributional.main(["exactness", "--out", str(out)])  # what is named runs again
    assert calls == ["exactness", "reviews", "reviews", "exactness"]
    page = render_distributional.page(json.loads(out.read_text()))
    assert "0 of 1 targets are reached. Missed:" in page
    assert "- Exactness: error: 0.5 (target ≤ 0.12)" in page
    assert "**The experiment broke down**: ``ValueError: no such text``" in page
    with pytest.raises(SystemExit):
        bench_distributional.main(["nonsense", "--out", str(out)])


def test_every_experiment_has_a_title_and_says_what_it_does():
    assert list(bench_distributional.EXPERIMENTS) == list(render_distributional.TITLES)
    for experiment in bench_distributional.EXPERIMENTS.values():
        assert experiment.__doc__.splitlines()[0].endswith(".")


def test_the_page_is_what_the_results_render_to():
    results = json.loads(bench_distributional.OUT.read_text())
    assert set(results["experiments"]) == set(bench_distributional.EXPERIMENTS)
    assert bench_distributional.PAGE.read_text() == render_distributional.page(results)
    for entry in results["experiments"].values():
        assert entry["defaults"] == bench_distributional.defaults_hash()
