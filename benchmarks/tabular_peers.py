"""The models of the tabular benchmark, each as its makers would have it run.

Every entry is a function of the task, the seed, the number of threads and the names of
categorical columns. Parameters that are not named are the defaults of the installed
version. A model that reads categories and missing cells natively gets them natively;
the others get one-hot codes, filled gaps and scaled numbers.
"""

import hashlib
import importlib
import importlib.util
import json
import logging

import numpy as np
from sklearn.compose import (
    TransformedTargetRegressor,
    make_column_selector,
    make_column_transformer,
)
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

_categories = make_column_selector(dtype_include="category")
_numbers = make_column_selector(dtype_exclude="category")


def _one_hot(scale=True):
    """Numbers filled with the median and scaled, categories one-hot, gaps a level."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    return make_column_transformer(
        (numbers if scale else "passthrough", _numbers),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), _categories),
    )


def _filled():
    """Numbers filled with the median, categories kept as they are."""
    return make_column_transformer(
        (SimpleImputer(strategy="median"), _numbers),
        ("passthrough", _categories),
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")


def npt_pretrained(task, seed, n_threads):
    """Attention between datapoints with the package's weights: nothing is trained."""
    package = importlib.import_module("sklearn_selfattn")
    kind = package.NPTClassifier if task == "classification" else package.NPTRegressor
    return kind(pretrained=True, random_state=seed)


def npt(task, seed, n_threads):
    """Attention between datapoints, a net trained on the table alone."""
    return npt_pretrained(task, seed, n_threads).set_params(pretrained=False)


def ot(task, seed, n_threads):
    """Transport onto Gaussians of the classes; for classes only."""
    return importlib.import_module("sklearn_selfattn").OTTabularClassifier(random_state=seed)


def primal(task, seed, n_threads):
    """Primal attention between the cells of a row."""
    package = importlib.import_module("sklearn_selfattn")
    kinds = package.PrimalAttentionClassifier, package.PrimalAttentionRegressor
    return kinds[task == "regression"](random_state=seed)


def hgb(task, seed, n_threads):
    """Histogram gradient boosting of scikit-learn, at its defaults."""
    classification = task == "classification"
    kind = HistGradientBoostingClassifier if classification else HistGradientBoostingRegressor
    return kind(categorical_features="from_dtype", random_state=seed)


def forest(task, seed, n_threads, n_trees=100):
    """Random forest of scikit-learn on one-hot categories, missing numbers native."""
    kind = RandomForestClassifier if task == "classification" else RandomForestRegressor
    model = kind(n_trees, n_jobs=n_threads, random_state=seed)
    return make_pipeline(_one_hot(scale=False), model)


def linear(task, seed, n_threads):
    """Logistic or ridge regression on one-hot and scaled columns."""
    model = LogisticRegression(max_iter=2000) if task == "classification" else Ridge()
    return make_pipeline(_one_hot(), model)


def mlp(task, seed, n_threads):
    """Perceptron of scikit-learn on one-hot and scaled columns, trained to convergence.

    At its defaults it stops too soon on most of these tables, with ``early_stopping=True``
    far too soon.
    """
    longer = {"max_iter": 1000, "n_iter_no_change": 50, "random_state": seed}
    if task == "classification":
        return make_pipeline(_one_hot(), MLPClassifier(**longer))
    # Without a scaled target its default learning rate is too small by orders.
    model = TransformedTargetRegressor(MLPRegressor(**longer), transformer=StandardScaler())
    return make_pipeline(_one_hot(), model)


def knn(task, seed, n_threads):
    """Five nearest neighbours on one-hot and scaled columns."""
    kind = KNeighborsClassifier if task == "classification" else KNeighborsRegressor
    return make_pipeline(_one_hot(), kind(n_jobs=n_threads))


class _CatBoost:
    """Hand categories to CatBoost as text, a gap as a level of its own."""

    def __init__(self, task, seed, n_threads):
        self.task = task
        self.seed = seed
        self.n_threads = n_threads

    def _text(self, X):
        X = X.copy()
        for column in _categories(X):
            values = X[column].astype(object)
            X[column] = values.where(values.notna(), "missing")
        return X

    def fit(self, X, y):
        """Fit on a frame."""
        catboost = importlib.import_module("catboost")
        classification = self.task == "classification"
        kind = catboost.CatBoostClassifier if classification else catboost.CatBoostRegressor
        self.model_ = kind(
            cat_features=_categories(X),
            random_seed=self.seed,
            thread_count=self.n_threads,
            verbose=False,
            allow_writing_files=False,
        )
        self.model_.fit(self._text(X), y)
        return self

    def predict(self, X):
        """Predict values."""
        return self.model_.predict(self._text(X))

    def predict_proba(self, X):
        """Predict class probabilities."""
        return self.model_.predict_proba(self._text(X))


def catboost(task, seed, n_threads):
    """CatBoost at its defaults (1,000 trees), categories native."""
    return _CatBoost(task, seed, n_threads)


def lightgbm(task, seed, n_threads):
    """LightGBM at its defaults, categories native."""
    package = importlib.import_module("lightgbm")
    kind = package.LGBMClassifier if task == "classification" else package.LGBMRegressor
    return kind(n_jobs=n_threads, random_state=seed, verbosity=-1)


def xgboost(task, seed, n_threads):
    """XGBoost at its defaults, categories native."""
    package = importlib.import_module("xgboost")
    kind = package.XGBClassifier if task == "classification" else package.XGBRegressor
    return kind(enable_categorical=True, n_jobs=n_threads, random_state=seed)


def _pytabkit(name, task, seed, n_threads, **parameters):
    package = importlib.import_module("pytabkit")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)  # no line per fit
    classification = task == "classification"
    kind = getattr(package, f"{name}_{'Classifier' if classification else 'Regressor'}")
    if not classification:
        parameters = {}
    model = kind(device="cpu", n_threads=n_threads, random_state=seed, **parameters)
    return make_pipeline(_filled(), model)


def realmlp(task, seed, n_threads):
    """RealMLP with tuned defaults; for classes with the settings its makers give for log loss."""
    return _pytabkit(
        "RealMLP_TD", task, seed, n_threads, val_metric_name="cross_entropy", use_ls=False
    )


def tabm(task, seed, n_threads):
    """TabM at its defaults, which for classes stop early by accuracy.

    Not by log loss: pytabkit 1.7.3 hands probabilities to a metric that takes logits.
    """
    return _pytabkit("TabM_D", task, seed, n_threads)


#: Every model, in the order in which they run and are listed.
MODELS = {
    "npt_pretrained": npt_pretrained,
    "npt": npt,
    "ot": ot,
    "primal": primal,
    "hgb": hgb,
    "forest": forest,
    "linear": linear,
    "mlp": mlp,
    "knn": knn,
    "lightgbm": lightgbm,
    "xgboost": xgboost,
    "catboost": catboost,
    "realmlp": realmlp,
    "tabm": tabm,
}
LABELS = {
    "npt_pretrained": "NPT, pretrained",
    "npt": "NPT, trained",
    "ot": "OT",
    "primal": "Primal",
    "hgb": "HistGradientBoosting",
    "forest": "RandomForest",
    "linear": "logistic / ridge",
    "mlp": "MLP",
    "knn": "5 neighbours",
    "lightgbm": "LightGBM",
    "xgboost": "XGBoost",
    "catboost": "CatBoost",
    "realmlp": "RealMLP",
    "tabm": "TabM",
}
#: The package's own methods.
OURS = ("npt_pretrained", "npt", "ot", "primal")
CORE = (*OURS, "hgb", "forest", "linear", "mlp", "knn")
_ONE_HOT = "one-hot categories, gaps filled with the median, scaled numbers"
#: How each model is run: for readers, and as the fingerprint by which a run resumes.
SETTINGS = {
    "npt_pretrained": "pretrained=True, else defaults, no gradient step; the frame as it is",
    "npt": "pretrained=False, else defaults; the frame as it is",
    "ot": "OTTabularClassifier, defaults; the frame as it is; classes only",
    "primal": "PrimalAttentionClassifier or -Regressor, defaults; the frame as it is",
    "hgb": "defaults; categories native (categorical_features='from_dtype')",
    "forest": "defaults (100 trees); one-hot categories, missing numbers native",
    "linear": f"LogisticRegression(max_iter=2000) or Ridge(); {_ONE_HOT}",
    "mlp": f"defaults with max_iter=1000, n_iter_no_change=50; {_ONE_HOT}; target standardised",
    "knn": f"defaults (5 neighbours); {_ONE_HOT}",
    "lightgbm": "defaults; categories native",
    "xgboost": "defaults; categories native (enable_categorical=True)",
    "catboost": "defaults (1,000 trees); categories native, a missing one is a level",
    "realmlp": "RealMLP_TD, defaults; for classes val_metric_name='cross_entropy', use_ls=False; "
    "categories native, gaps in numbers filled with the median",
    "tabm": "TabM_D, defaults; categories native, gaps in numbers filled with the median",
}
PACKAGES = {
    **dict.fromkeys(OURS, "sklearn_selfattn"),
    "catboost": "catboost",
    "lightgbm": "lightgbm",
    "xgboost": "xgboost",
    "realmlp": "pytabkit",
    "tabm": "pytabkit",
}


def takes(model, task):
    """Tell whether a model is made for a kind of target."""
    return model != "ot" or task == "classification"


def installed(model):
    """Tell whether the package of a model can be imported."""
    if importlib.util.find_spec(PACKAGES.get(model, "sklearn")) is None:
        return False
    try:
        MODELS[model]("classification", 0, 1)
    except (ImportError, AttributeError):
        return False  # there, but without this model
    return True


def settings(model, task):
    """Return what determines a model, as text.

    For the package's own these are its parameters, so that a changed default is a new model,
    and the pretrained weights, if it uses them; for a peer the words of `SETTINGS`, to be kept true
    to the code above.
    """
    if model not in OURS:
        return SETTINGS[model]
    parameters = MODELS[model](task, None, 1).get_params()
    if model.startswith("npt"):
        del parameters["pretrained"], parameters["fine_tune"]
    if model == "npt_pretrained":
        package = importlib.import_module("sklearn_selfattn.npt.weights")
        parameters["weights"] = package.load_weights()[1]["sha256"]
    return json.dumps(parameters, sort_keys=True, default=repr)


def settings_hash(model, task):
    """Return a short fingerprint of `settings`."""
    return hashlib.sha256(settings(model, task).encode()).hexdigest()[:12]


def warm_up(model, task, n_threads):
    """Fit once on a few rows, so that imports and caches are not counted in the first fit.

    `model` is a name of `MODELS` or a function like those in it.
    """
    from tabular_data import load_table

    make = model if callable(model) else MODELS[model]
    table = load_table("iris" if task == "classification" else "diabetes")
    rows = np.random.default_rng(0).permutation(len(table.y))[:90]
    X, y = table.X.iloc[rows], table.y[rows]
    estimator = make(task, 0, n_threads).fit(X, y)
    (estimator.predict_proba if task == "classification" else estimator.predict)(X)
