"""What the rooms' benchmarks share: runs that resume, pages from results."""

import json

from experiments import Bench, fingerprint
from pages import closing, opening


def make(tmp_path, calls, defaults="these"):
    def measure(seed):
        calls.append(seed)
        return {"value": seed}

    experiments = {"one": (measure, False), "two": (measure, True)}
    bench = Bench("toys", experiments, json.dumps, defaults, n_seeds=2, packages=("numpy", "none"))
    bench.out, bench.page_path = tmp_path / "toys.json", tmp_path / "toys.rst"
    return bench


def test_runs_resume_and_other_defaults_start_anew(tmp_path):
    calls = []
    bench = make(tmp_path, calls)
    bench.main([])
    bench.main(["one", "--seeds", "3"])
    assert calls == [0, 0, 1, 2]
    results = bench.load()
    assert [record["seed"] for record in results["records"]] == calls
    begin = "python benchmarks/bench_toys.py"
    assert results["commands"] == [begin, f"{begin} one --seeds 3"]
    (machine,) = results["machines"]
    assert "numpy" in machine["versions"] and "none" not in machine["versions"]
    bench.main(["--render"])
    assert json.loads(bench.page_path.read_text()) == results
    assert make(tmp_path, calls, "others").load()["records"] == []


def test_what_is_not_known_is_refused(tmp_path, capsys):
    calls = []
    try:
        make(tmp_path, calls).main(["three"])
    except SystemExit as stop:
        assert stop.code == 2
    assert "no such experiment: three; there are one, two" in capsys.readouterr().err
    assert calls == []


def test_fingerprints_differ_where_parameters_do():
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


def test_misses_and_gaps_stand_on_the_page():
    found = {
        "g": [
            {"name": "fast", "value": 3.0, "target": "<= 2", "reached": False},
            {"name": "right", "value": 1.0, "target": ">= 1", "reached": True},
            {"name": "aside", "value": 0.5},
        ]
    }
    page = "\n".join(opening("toys", "Toys", "Says.", found, ["later"], {"g": "Group"}))
    assert "1 of 2 targets are reached. Missed:" in page
    assert "- Group: fast: 3 (target ≤ 2)" in page
    assert "right" not in page
    assert "nothing is claimed: later." in page
    records = [{"experiment": name} for name in ("a", "b", "a")]
    machine = {"cpu": "c", "n_cores": 1, "system": "s", "versions": {"torch": "2"}}
    results = {"records": records, "machines": [machine], "commands": ["python x", "python y"]}
    end = "\n".join(closing(results, ["In words.\n"]))
    assert "In words." in end and "a: 2, b: 1" in end
    assert end.endswith("::\n\n   python x\n   python y\n")
