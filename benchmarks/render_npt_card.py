"""Write the model card of the shipped weights from the benchmark's results and their own facts."""

from npt_prior_models import LABELS
from npt_prior_summary import WORDS
from render_npt_prior import boards, rank_of

CARD = "sklearn_selfattn/npt/weights/MODEL_CARD.md"

TEXT = """\
# Model card: the pretrained weights of NPT

<!-- Written by `python benchmarks/bench_npt_prior.py --render`, from
`benchmarks/results/npt_prior.json` and what the weights say of themselves. -->

## What they are

{what}

They turn a few hundred labelled rows of a table into predictions for others, without training on
them: classes (up to ten) or numbers (a distribution over {n_bars} bars). One net for both. It is
described in the [user guide](../../../docs/guide/npt_pretrained.rst).

## What they have seen

Synthetic tables only, drawn by `sklearn_selfattn/npt/pretrain/prior.py`: {tables:,} of them, a
third of the steps with a number as target. Rows at most 512, columns at most 30, small tables
first. No real table was trained on. The development tables below were looked at while net, prior
and defaults were chosen: what is reported on them is no blind test.

## What they cost

{compute}

{curve}

## What they reach

Development tables, the same rows for all models, one thread each; {splits}. Every score of every
table: `docs/benchmarks/npt_prior.rst`.

{results}

## Limits

- Made for up to about a thousand context rows, 40 columns and ten classes; beyond, see the guide.
- Exact rules of many columns are often missed without fine-tuning. Where it lost, by table, is in
  the benchmark; where a linear model or boosting is ahead there, take that.
- Order and names of columns enter at random: another `random_state` gives slightly other
  predictions.
- Arrays are kept in half precision. On another processor probabilities agree to about three digits.
- Nothing is known of the fairness of predictions to any group: synthetic tables have none.

## Licence

BSD-3, as the package. Made by this project alone; no weights and no data of others went in.
"""


def _table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _curve(points):
    real = [point for point in points if point.get("development")]
    chosen = sorted({round(i * (len(real) - 1) / 8) for i in range(9)})
    rows = [
        [f"{real[i]['step']:,}", f"{real[i]['flop']:.2e}", f"{real[i]['validation_loss']:.4f}",
         f"{real[i]['development']['auc']:.4f}", f"{real[i]['development']['log_loss']:.4f}"]
        for i in chosen
    ]  # fmt: skip
    head = ["step", "operations", "log loss, synthetic tables", "AUC, development tables",
            "log loss, development tables"]  # fmt: skip
    return "One member in one pass, as it went:\n\n" + _table(head, rows)


def _results(summary):
    parts = []
    for task, by_size in summary["tasks"].items():
        score = "log_loss" if task == "classification" else "rmse"
        for size, entry in by_size.items():
            for name, board in boards(entry):
                if name == "common" and "complete" in entry:
                    continue
                models = sorted(board["models"], key=lambda m: rank_of(board, score, m))
                means = ("auc", "log_loss") if task == "classification" else ("relative_rmse",)
                words = {**WORDS, "relative_rmse": "RMSE / sd"}
                head = ["", *(f"mean {words[m]}" for m in means), f"mean rank by {words[score]}"]
                rows = [
                    [LABELS[m], *(f"{board['means'][m][key]:.4f}" for key in means),
                     f"{rank_of(board, score, m):.2f}"]
                    for m in models
                ]  # fmt: skip
                parts.append(
                    f"{task.capitalize()}, {size} context rows, {len(board['tables'])} tables:\n\n"
                    + _table(head, rows)
                )
    return "\n\n".join(parts)


def card(results):
    """Return the text of the card."""
    weights = results["weights"][0]
    says = weights["says"]
    plan, config = says["plan"], says["config"]
    curve = results["pretraining"][weights["file"].removesuffix(".npz")]
    n_splits = len({record["split"] for record in results["records"]})
    return TEXT.format(
        what=(
            f"`{weights['file']}`, {weights['bytes']:,} bytes, SHA-256 `{weights['sha256']}`: "
            f"{config['n_layers']} blocks of width {config['d_model']} with {config['n_heads']} "
            "heads, half-precision arrays in an `.npz`, no pickle."
        ),
        n_bars=config["n_bars"],
        tables=says["tables"],
        compute=(
            f"{says['step']:,} of {plan['n_steps']:,} steps of {plan['cells']:,} cells, "
            f"{says['flop']:.2e} operations in {says['seconds'] / 3600:.1f} CPU hours on "
            f"{says['device']} ({says['flop'] / says['seconds'] / 1e9:.0f} GFLOP/s on a core that "
            f"other work shared), {says['generation_seconds'] / says['seconds']:.0%} of it to draw "
            f"the tables; torch {says['torch']}. Preset `{plan['preset']}`, learning rate "
            f"{plan['learning_rate']}, seed {plan['seed']}."
        ),
        curve=_curve(curve["points"]),
        splits=f"{n_splits} splits",
        results=_results(results["summary"]),
    )


def write_card(results, root):
    """Write the card beside the weights."""
    (root / CARD).write_text(card(results))
