"""Turn the results of `bench_time_events.py` into a page."""

from pages import closing, figure_table, heading, opening
from time_events_experiments import EXPERIMENTS
from time_events_figures import GROUPS, figures, seeds_of


def page(results):
    """Write the documentation page."""
    records = results["records"]
    found = figures(records)
    unmeasured = [name for name in EXPERIMENTS if not seeds_of(records, name)]
    says = (
        ":class:`~sklearn_selfattn.TimeEventRegressor` and "
        ":class:`~sklearn_selfattn.TimeEventClassifier` beside named peers, and beside themselves "
        "without time: targets were set before. The guide is :ref:`time_events`."
    )
    title = "Continuous time: what it is held to"
    out = opening("time_events", title, says, found, unmeasured, GROUPS)
    for group, entries in found.items():
        out.append(heading(GROUPS[group], "-"))
        out.append(figure_table(entries))
    how = (
        "Means over seeds; a seed is another simulation or another split, by plane and by user, "
        "and every model sees the same rows. One thread, on a machine that others used as well: "
        "CPU seconds are inflated, ratios less so. Estimators are at their defaults, except for "
        "flights (``n_layers=2, dropout=0.2, max_epochs=12``), badges (``dropout=0.2, "
        "max_epochs=12``) and intensive care (all events of a stay, ``d_model=64, n_heads=8, "
        "dropout=0.3, weight_decay=0.01, batch_size=64, learning_rate=2e-3, max_epochs=12``). "
        "Depth and dropout for the logs were set on a part of the training planes; those for "
        "intensive care were not searched for. A first run of it saw the last 512 events only, "
        "which cut off the age of long stays. HistGradientBoosting stops early, with up to 600 "
        "iterations at a rate of 0.05 for times and 300 for classes. For flights it is given 16 "
        "gaps, the last five destinations, four distances and delays, hour, weekday and day of "
        "the year. Badges: 1,500 of 4,468 users, a fifth held out, and the two protocols "
        "(history only; time of the target given) are kept apart. Intensive care: a seed is a "
        "fold of five. The classical peer of the Hawkes process is a fit by maximum likelihood "
        "with scipy, in place of the package tick.\n"
    )
    return "\n".join([*out, *closing(results, [how])])
