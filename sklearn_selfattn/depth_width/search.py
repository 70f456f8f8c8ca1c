"""DepthWidthSearchCV: spend a parameter budget between depth and width, by cross-validation."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.model_selection._search import BaseSearchCV
from sklearn.model_selection._split import _yields_constant_splits
from sklearn.utils import check_random_state, get_tags
from sklearn.utils._param_validation import Interval, StrOptions

from ..core.typing import Table
from .choosing import choose, curves_of
from .counting import LayerCounter, shape_for_budget, sibling
from .crossings import find_crossings, fit_law


class DepthWidthSearchCV(BaseSearchCV):
    r"""Search over depth and width at equal numbers of parameters.

    A grid over layers and width compares small nets with large ones, and the large one wins
    or overfits. Here candidates share a budget: for every number of layers the width is
    chosen so that the layers have as many parameters, counted on the module that would be
    trained. So the search answers "deeper or wider?", tells from which size on the deeper
    net is ahead (`crossings_`), and whether the scores suffice to say so.

    Parameters
    ----------
    estimator : estimator
        Has a parameter for its depth and one for its width: all attention estimators of this
        library with `n_layers` and `d_model`, skorch nets, pipelines of them.
    n_params : float or sequence of floats, default=(10_000, 30_000, 100_000)
        Budgets: parameters of the layers. Embeddings and outputs are not counted, members
        of an ensemble are, all of them.
    depths : sequence of int, default=(1, 2, 3, 4, 6)
        Numbers of layers to try.
    depth_param, width_param : str, default="n_layers", "d_model"
        What the estimator calls them; nested names such as `"model__n_layers"` as well.
    width_multiple : int or str, default="n_heads"
        Widths are multiples of it: a number, or the name of a parameter of the estimator
        (beside `depth_param`; 1 if there is none).
    tolerance : float, default=0.1
        Shapes whose count is further from the budget than this share are left out, with a
        warning: widths come in steps, and a comparison at unequal sizes is none.
    count_params : callable, default=None
        ``count_params(estimator, X, y)`` returns the parameters of an unfitted estimator with
        its shape set. None counts on the module, see Notes.
    n_repeats : int, default=1
        Fits for each shape and split, with other seeds (the estimator's `random_state`).
    select : {"1se", "best", "cheapest"}, default="1se"
        Among shapes within one standard error of the best mean score, "1se" takes the smallest
        budget, then the fewest layers; "cheapest" the one that was fitted fastest, as
        measured. "best" takes the best mean score, however narrow the lead. A callable
        `refit` comes before it.
    halving_factor : int, default=None
        Successive halving through the estimator's `max_epochs`: all shapes are fitted for few
        epochs first, one in `halving_factor` of them goes on with as many times more, up to the
        full number. None fits all in full. Cheaper, but deep nets start slowly, and curves
        and crossings are only known of what was trained in full.
    scoring : str, callable, list, tuple or dict, default=None
        The metrics, the higher the better; the estimator's own score by default. This and what
        follows up to `return_train_score` as in
        :class:`~sklearn.model_selection.GridSearchCV`.
    n_jobs : int, default=None
        Fits at a time.
    refit : bool, str or callable, default=True
        Whether to fit the selected shape on all rows. With several metrics the name of the one
        that selects; a callable gets `cv_results_` and returns the index to select.
    cv : int, splitter or iterable, default=None
        The splits; five folds by default.
    verbose : int, default=0
        Whether to print what is fitted.
    pre_dispatch : int or str, default="2*n_jobs"
        Fits that are handed out at a time.
    error_score : "raise" or float, default=nan
        The score of a fit that fails.
    return_train_score : bool, default=False
        Whether to score the training rows as well.
    n_bootstrap : int, default=200
        Draws of the splits for the intervals of the crossings.
    random_state : int, RandomState instance or None, default=None
        Draws the seeds of repeats, and the bootstrap.

    Attributes
    ----------
    cv_results_ : dict
        As in scikit-learn, one row for each shape; repeats count as splits. Also "depth",
        "width", "budget", "n_params", and "iter" and "n_resources" with halving.
    curves_ : DataFrame
        One row for each shape trained in full: depth, width, budget, n_params, score, its
        std and standard error se over splits, n_splits, fit_time.
    frontier_ : DataFrame
        The best of `curves_` for each budget.
    crossings_ : DataFrame
        For neighbouring depths: depth_lo, depth_hi, status ("crosses", "deeper always",
        "shallower always", "crosses back", "undetermined"), log_n_cross with its 95 % interval
        ci_low, ci_high, width_cross. "undetermined" unless the intervals of the differences
        exclude zero; at least three splits are needed, and ten tell more.
    law_ : dict or None
        a, b of ``log(width) = a + b * depth`` fitted to the crossings, with standard errors
        a_error, b_error; None for fewer than three crossings.
    best_depth_, best_width_ : int
        The shape selected.
    best_estimator_ : estimator
        The selected shape, fitted on all rows; with `refit` only.
    best_params_ : dict
        Its depth and width, and with halving its epochs, by parameter name.
    best_score_ : float
        Its mean score.
    best_index_ : int
        Its row of `cv_results_`.
    n_splits_ : int
        Splits of a cross-validation.
    scorer_ : callable or dict
        What scored.
    refit_time_ : float
        Seconds of the last fit.
    multimetric_ : bool
        Whether there were several metrics.

    See Also
    --------
    recommend_depth_width : Where to start, without a fit.
    sklearn.model_selection.GridSearchCV : Any parameters, without a budget.

    Notes
    -----
    Counted is what layers add. With P parameters in the whole module at depth L and width d,

    .. math:: N(L, d) = P(L, d) - P_0(d), \qquad P_0(d) = 2 P(1, d) - P(2, d),

    which leaves out whatever does not depend on the depth. One fit of one epoch tells the sizes
    of the table; estimators of this library then build the module of any shape untrained, others
    are fitted for an epoch at each.

    Splits of a cross-validation are not independent, so that the intervals are somewhat narrow. The
    same learning rate need not suit all shapes; where a result matters, tune it for each, and
    take several seeds. Equal parameters are not equal time: deep nets take longer (`fit_time`).

    References
    ----------
    .. [1] Levine, Wies, Sharir, Bata, Shashua, "Limits to Depth Efficiencies of
       Self-Attention", NeurIPS 2020, arXiv:2006.12467.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_selfattn import DepthWidthSearchCV, NPTClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> net = NPTClassifier(
    ...     pretrained=False, architecture="cells", n_estimators=1, n_heads=2, max_epochs=2
    ... )
    >>> search = DepthWidthSearchCV(net, n_params=3300, depths=(1, 2), cv=3).fit(X, y)
    >>> search.curves_[["depth", "width", "n_params"]]
       depth  width  n_params
    0      1     14      3248
    1      2     10      3360
    """

    _parameter_constraints = {
        **BaseSearchCV._parameter_constraints,
        "n_params": ["array-like", Interval(Real, 0, None, closed="neither")],
        "depths": ["array-like"],
        "depth_param": [str],
        "width_param": [str],
        "width_multiple": [str, Interval(Integral, 1, None, closed="left")],
        "tolerance": [Interval(Real, 0, None, closed="neither")],
        "count_params": [callable, None],
        "n_repeats": [Interval(Integral, 1, None, closed="left")],
        "select": [StrOptions({"1se", "best", "cheapest"})],
        "halving_factor": [Interval(Integral, 2, None, closed="left"), None],
        "n_bootstrap": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any,
        n_params: ArrayLike | float = (10_000, 30_000, 100_000),
        *,
        depths: Sequence[int] = (1, 2, 3, 4, 6),
        depth_param: str = "n_layers",
        width_param: str = "d_model",
        width_multiple: str | int = "n_heads",
        tolerance: float = 0.1,
        count_params: Callable[..., Any] | None = None,
        n_repeats: int = 1,
        select: Literal["1se", "best", "cheapest"] = "1se",
        halving_factor: int | None = None,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: bool | str | Callable[..., Any] = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: int | str = "2*n_jobs",
        error_score: Literal["raise"] | float = np.nan,
        return_train_score: bool = False,
        n_bootstrap: int = 200,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        super().__init__(
            estimator,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.n_params = n_params
        self.depths = depths
        self.depth_param = depth_param
        self.width_param = width_param
        self.width_multiple = width_multiple
        self.tolerance = tolerance
        self.count_params = count_params
        self.n_repeats = n_repeats
        self.select = select
        self.halving_factor = halving_factor
        self.n_bootstrap = n_bootstrap
        self.random_state = random_state

    def fit(self, X: Table, y: ArrayLike | None = None, **params: Any) -> Self:
        """Search, and fit the selected shape on all rows.

        Parameters
        ----------
        X : array-like or frame of shape (n_samples, n_features)
            The training rows.
        y : array-like of shape (n_samples,), default=None
            The target.
        **params : dict
            Passed on as by :class:`~sklearn.model_selection.GridSearchCV`.

        Returns
        -------
        self : object
            The fitted search.

        Raises
        ------
        ValueError
            An invalid parameter; names that the estimator does not have; an estimator whose
            module does not change with the depth; no shape near any budget. A search that was
            fitted before stays as it was.
        """
        before = self.__dict__.copy()
        try:
            for name in [name for name in before if name.endswith("_")]:
                del self.__dict__[name]  # nothing of an earlier search stays beside this one
            self._rng = check_random_state(self.random_state)
            super().fit(X, y, **params)
            self._summarize()
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        for name in ("_rng", "_shapes", "_seeds", "_metric"):
            del self.__dict__[name]
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # what scikit-learn's searches leave out: the estimators here take missing cells
        tags.input_tags.allow_nan = get_tags(self.estimator).input_tags.allow_nan
        return tags

    # --- candidates -------------------------------------------------------------------

    def _check_input_parameters(self, X, y, split_params):
        """Find the candidates; called by scikit-learn once the parameters are checked."""
        budgets, depths = self._check_sizes()
        known = self.estimator.get_params()
        self._check_names(known)
        step = self.width_multiple
        if isinstance(step, str):
            beside = sibling(self.depth_param, step)
            step = known.get(beside, known.get(step, 1))
            if not isinstance(step, Integral) or step < 1:
                raise ValueError(
                    f"width_multiple={self.width_multiple!r} has to name a parameter that is a "
                    f"positive integer, got {step!r}."
                )
        self._metric = self.refit if isinstance(self.refit, str) else "score"
        if self.halving_factor is not None:
            self._check_halving(known)
        self._seeds: list[dict[str, int]] = [{}]
        if self.n_repeats > 1:
            seed = sibling(self.depth_param, "random_state")
            drawn = self._rng.randint(2**31 - 1, size=self.n_repeats).tolist()
            self._seeds = [{seed: value} if seed in known else {} for value in drawn]

        count = LayerCounter(
            self.estimator, self.depth_param, self.width_param, X, y, self.count_params
        )
        found: dict[Any, Any] = {}
        dropped = []
        for budget in budgets:
            for depth in depths:
                shape = shape_for_budget(count, depth, budget, int(step))
                if abs(shape.n_params / budget - 1) <= self.tolerance:
                    found.setdefault((shape.depth, shape.width), shape)
                else:
                    dropped.append(shape)
        words = "; ".join(
            f"{s.depth} layers for {s.budget:g}: nearest is width {s.width} with {s.n_params}"
            for s in dropped
        )
        if not found:
            raise ValueError(
                f"No shape is within tolerance={self.tolerance} of its budget: {words}. Give other "
                f"n_params, or a smaller width_multiple than {step}."
            )
        if dropped:
            warnings.warn(f"Left out, too far from the budget: {words}.", stacklevel=5)
        self._shapes = list(found.values())

    def _check_sizes(self):
        budgets = np.unique(np.asarray(self.n_params, dtype=np.float64))
        if not budgets.size or not np.isfinite(budgets).all() or budgets[0] <= 0:
            raise ValueError(
                f"n_params has to hold positive numbers, at least one, got {self.n_params!r}."
            )
        depths = list(self.depths)
        if not depths or not all(
            isinstance(depth, (int, np.integer)) and not isinstance(depth, bool) and depth >= 1
            for depth in depths
        ):
            raise ValueError(
                f"depths has to hold positive integers, at least one, got {self.depths!r}."
            )
        return budgets.tolist(), sorted({int(depth) for depth in depths})

    def _check_names(self, known):
        for parameter in ("depth_param", "width_param"):
            name = getattr(self, parameter)
            if name not in known:
                last = name.rpartition("__")[2]
                near = [other for other in known if other.rpartition("__")[2] == last]
                raise ValueError(
                    f"{parameter}={name!r} is no parameter of {type(self.estimator).__name__}. "
                    f"It has: {', '.join(sorted(near or known))}."
                )

    def _check_halving(self, known):
        epochs = sibling(self.depth_param, "max_epochs")
        if epochs not in known:
            raise ValueError(
                f"halving_factor needs the parameter {epochs!r}, which "
                f"{type(self.estimator).__name__} does not have."
            )
        if isinstance(self.scoring, (list, tuple, dict)) and not isinstance(self.refit, str):
            raise ValueError("halving_factor needs one metric to go by: name it with refit.")
        if not _yields_constant_splits(self._checked_cv_orig):
            raise ValueError(
                "halving_factor compares scores over several rounds and needs the same splits in "
                "each: give cv a random_state that is an integer."
            )

    # --- running ----------------------------------------------------------------------

    def _run_search(self, evaluate_candidates, *, callback_ctx=None):
        shapes, rounds = self._shapes, [None]
        if self.halving_factor is not None:
            full = self.estimator.get_params()[sibling(self.depth_param, "max_epochs")]
            n_rounds = 1 + math.floor(math.log(len(shapes), self.halving_factor))
            rounds = [max(1, full // self.halving_factor**k) for k in range(n_rounds - 1, -1, -1)]
        search_ctx = callback_ctx.subcontext(
            task_name="search", max_subtasks=len(rounds)
        ).call_on_fit_task_begin(estimator=self)
        for iteration, epochs in enumerate(rounds):
            fits = len(shapes) * len(self._seeds) * self.n_splits_
            round_ctx = search_ctx.subcontext(
                task_name="round", max_subtasks=fits, sequential_subtasks=False
            ).call_on_fit_task_begin(estimator=self)
            results = self._evaluate(evaluate_candidates, shapes, iteration, epochs, round_ctx)
            if iteration + 1 < len(rounds):
                here = np.flatnonzero(results["iter"] == iteration)
                score = results[f"mean_test_{self._metric}"][here]
                order = np.argsort(-np.nan_to_num(score, nan=-np.inf), kind="stable")
                keep = math.ceil(len(shapes) / (self.halving_factor or 1))
                shapes = [shapes[i] for i in sorted(order[:keep])]
            round_ctx.call_on_fit_task_end(estimator=self)
        search_ctx.call_on_fit_task_end(estimator=self)

    def _evaluate(self, evaluate_candidates, shapes, iteration, epochs, context):
        resource = {}
        if epochs is not None:
            resource = {sibling(self.depth_param, "max_epochs"): epochs}
        entries = [shape for shape in shapes for _ in self._seeds]
        more = {name: [getattr(s, name) for s in entries] for name in vars(entries[0])}
        if epochs is not None:
            more |= {"iter": [iteration] * len(entries), "n_resources": [epochs] * len(entries)}
        candidates = [
            {self.depth_param: s.depth, self.width_param: s.width, **resource, **seed}
            for s in shapes
            for seed in self._seeds
        ]
        return evaluate_candidates(candidates, more_results=more, callback_ctx=context)

    def _format_results(self, candidate_params, n_splits, out, more_results=None):
        """Make one row of all repeats of a shape: they follow each other, as further splits."""
        n_repeats = len(self._seeds)
        seeds = set().union(*self._seeds)
        kept = [
            {name: value for name, value in params.items() if name not in seeds}
            for params in candidate_params[::n_repeats]
        ]
        more = {name: values[::n_repeats] for name, values in (more_results or {}).items()}
        return super()._format_results(kept, n_splits * n_repeats, out, more)

    # --- choosing and summing up ------------------------------------------------------

    def _select_best_index(self, refit, refit_metric, results):
        if callable(refit):
            return BaseSearchCV._select_best_index(refit, refit_metric, results)
        return choose(results, refit_metric, self.select)

    def _summarize(self):
        results = self.cv_results_
        metric = self._metric
        if f"mean_test_{metric}" not in results:  # several, and none named: the first
            names = [name for name in results if name.startswith("mean_test_")]
            metric = names[0].removeprefix("mean_test_")
        self.curves_, scores = curves_of(results, metric)
        is_known = np.isfinite(scores).all(axis=1)
        measured = self.curves_[is_known].reset_index(drop=True)
        best = measured.groupby("budget")["score"].idxmax()
        self.frontier_ = measured.loc[best].reset_index(drop=True)
        self.crossings_ = find_crossings(measured, scores[is_known], self.n_bootstrap, self._rng)
        self.law_ = fit_law(self.crossings_)
        if hasattr(self, "best_index_"):
            self.best_depth_ = int(results["depth"][self.best_index_])
            self.best_width_ = int(results["width"][self.best_index_])
