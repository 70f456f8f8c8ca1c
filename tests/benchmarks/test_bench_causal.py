"""The causal benchmark: what its records turn into, and that page and file agree."""

import bench_causal
import causal_experiments
import pytest
import render_causal
from causal_figures import figures, mean


def record(experiment, numbers, seed=0):
    return {"experiment": experiment, "seed": seed, "numbers": numbers, "cpu_s": 1.0}


def cell(f1, tests, exact=0.2):
    return {"f1": f1, "exact": exact, "marks off": 3.0, "tests": tests, "cpu_s": 0.1}


def searched(size, calls, **other):
    return {
        "found": 0.5, "size": size, "smallest": 1.0, "calls": calls, "paired found": 1.0,
        "paired size": size, "paired calls": calls, "paired rank": 2.0, "cpu_s": 1.0, **other,
    }  # fmt: skip


RECORDS = [
    record("exact", {"graphs": 100, "icd": 100, "fci": 99, "causal-learn": 98}),
    record("exact", {"graphs": 100, "icd": 100, "fci": 100, "causal-learn": 100}, seed=1),
    record("finite 15 nodes, 5,000 rows", {"icd": cell(0.9, 60), "causal-learn": cell(0.9, 100)}),
    record(
        "flights",
        {
            "rows": 10, "paired": 5, "hits": 0.4, "hits of the commonest": 0.3,
            "CLEANN": searched(1.5, 10.0, found=0.4),
            "CLEANN with fallback": searched(1.5, 9.0),
            "subsets by attention": searched(1.5, 9.5),
            "subsets by recency": searched(1.5, 9.0),
            "subsets in random order": searched(1.5, 12.0),
            "cumulative attention": searched(4.0, 4.0) | {"paired rank": 4.0},
        },
    ),
]  # fmt: skip


def test_misses_are_named():
    found = {f["name"]: f for entries in figures(RECORDS).values() for f in entries}
    missed = [name for name, f in found.items() if f.get("reached") is False]
    assert missed == [
        "5 observed, 0 to 3 hidden nodes: graphs of 200 all right, FCI",
        "15 nodes, 5,000 rows: skeleton F1 above FCI's",
        "CLEANN's model calls over those of subsets in random order, same rows",
        "CLEANN's with fallback model calls over those of subsets in random order, same rows",
    ]
    exact = found["5 observed, 0 to 3 hidden nodes: graphs of 200 all right, ICD"]
    assert (exact["value"], exact["reached"]) == (200, True)
    assert "target" not in found["share of rows that CLEANN explains"]
    machine = {"cpu": "one", "n_cores": 1, "system": "a", "versions": {"torch": "2"}}
    page = render_causal.page({"records": RECORDS, "machines": [machine], "commands": ["python x"]})
    for name in missed:
        assert f": {name}: " in page.split("Missed:")[1].split("---")[0]
    assert "Not measured yet" in page
    assert "not run" in page
    assert "9.5 by attention: that difference is what the causal order adds" in " ".join(
        page.split()
    )


def test_means_are_over_the_seeds_that_have_a_number():
    records = [
        record("flights", {"a": {"size": 1.0}}), record("flights", {"a": {"size": None}}, seed=1),
        record("flights", {"a": {"size": 4.0}}, seed=2),
    ]  # fmt: skip
    assert mean(records, "flights", "a", "size") == 2.5
    assert mean(records[1:2], "flights", "a", "size") is None


def test_an_experiment_without_peers():
    numbers = causal_experiments.known_attention(0)
    found = figures([record("known_attention", numbers)])["attention"]
    assert found[1]["reached"]  # all of 40 where samples are as many as floats can tell apart
    assert found[2]["value"] < 35
    assert causal_experiments.selection(0)["icd"] == 20


def test_wrong_marks_are_counted():
    import networkx as nx
    import numpy as np

    graph = nx.DiGraph([(0, 1)])
    right, wrong = np.array([[0, 2], [3, 0]]), np.array([[0, 3], [2, 0]])
    assert causal_experiments.count_violations(right, graph, [0, 1]) == 0
    assert causal_experiments.count_violations(wrong, graph, [0, 1]) == 2


@pytest.mark.shared_data
def test_journeys_are_in_the_order_of_departure(shared_data):
    import pandas as pd

    planes, names = causal_experiments.journeys()
    table = pd.read_csv(shared_data / "events" / "flights.csv.gz")
    plane = table["plane"].value_counts().index[0]
    own = table[table["plane"] == plane].sort_values("departure", kind="stable")["dest"]
    assert own.tolist() in [[names[k - 2] for k in p] for p in planes if len(p) == len(own)]


def test_the_page_is_what_the_results_render_to():
    bench = bench_causal.BENCH
    assert bench.load()["records"]  # at the present defaults
    assert bench.page_path.read_text() == bench.page(bench.load())
