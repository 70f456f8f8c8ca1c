"""The page "Which method, when" is what the results say."""

import json

import pytest
import render_which


def test_page_is_rendered_from_the_results():
    assert render_which.PAGE.read_text() == render_which.page()


def test_a_changed_result_changes_the_page(tmp_path, monkeypatch):
    page = render_which.page()
    for path in render_which.RESULTS.glob("*.json"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    results = json.loads((tmp_path / "tabular.json").read_text())
    ranks = results["summary"]["sets"]["ten"]["ranking"]["mean_rank"]
    ranks["npt"], ranks["linear"] = ranks["linear"], ranks["npt"]
    (tmp_path / "tabular.json").write_text(json.dumps(results))
    monkeypatch.setattr(render_which, "RESULTS", tmp_path)
    changed = render_which.page()
    before, after = (
        next(line for line in text.splitlines() if line.startswith("- Trained NPT"))
        for text in (page, changed)
    )
    assert before.split("tables: ")[1].startswith("NPT, trained")
    assert after.split("tables: ")[1].startswith("logistic / ridge")


def test_a_figure_that_is_gone_or_doubtful_is_refused():
    value = render_which.Figures()
    with pytest.raises(LookupError, match="primal, accuracy: 0 figures begin with 'no such"):
        value("primal", "accuracy", "no such figure")
    with pytest.raises(LookupError, match="figures begin with 'points above'"):
        value("primal", "accuracy", "points above")
