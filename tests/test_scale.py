"""What scikit-learn spreads over a cluster, a cluster spreads for these estimators."""

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV

from sklearn_selfattn import OTTabularClassifier


@pytest.fixture(scope="module")
def cluster():
    import distributed

    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
        ) as workers,
        distributed.Client(workers) as client,
    ):
        yield client


def test_a_search_on_a_cluster_finds_what_it_finds_at_home(cluster):
    X, y = load_wine(return_X_y=True)
    model = OTTabularClassifier(hidden_layer_sizes=(16,), max_epochs=3, random_state=0)
    search = GridSearchCV(model, {"learning_rate": [1e-4, 1e-2]}, cv=3)
    at_home = search.fit(X, y).cv_results_
    with joblib.parallel_config("dask", client=cluster):
        spread = GridSearchCV(model, search.param_grid, cv=3, n_jobs=-1).fit(X, y)
    # workers round a product of matrices as they like: not every bit has to agree
    np.testing.assert_allclose(
        spread.cv_results_["mean_test_score"], at_home["mean_test_score"], rtol=0, atol=1e-12
    )
    assert spread.best_params_ == search.best_params_
    assert len(cluster.scheduler_info()["workers"]) == 2
    assert spread.predict(X).shape == y.shape
