"""What scikit-learn spreads over a cluster, a cluster spreads for these estimators."""

import contextlib

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV, cross_val_score

from sklearn_selfattn import OTTabularClassifier


@contextlib.contextmanager
def dask_cluster():
    """Yield what joblib needs to know of a cluster, and a function that counts its workers."""
    import distributed

    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
        ) as workers,
        distributed.Client(workers) as client,
    ):
        yield {"backend": "dask", "client": client}, lambda: len(client.scheduler_info()["workers"])


@contextlib.contextmanager
def ray_cluster():
    """Yield the same of a ray cluster that writes nothing to the home directory."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_AUTH_MODE", "disabled")
        environment.setenv("RAY_USAGE_STATS_ENABLED", "0")
        import ray
        from ray.util.joblib import register_ray

        ray.init(
            num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False,
            object_store_memory=100_000_000,
        )  # fmt: skip
        register_ray()
        try:
            yield {"backend": "ray"}, lambda: int(ray.cluster_resources()["CPU"])
        finally:
            ray.shutdown()


@pytest.mark.parametrize("cluster", [dask_cluster, ray_cluster])
def test_a_search_on_a_cluster_finds_what_it_finds_at_home(cluster):
    X, y = load_wine(return_X_y=True)
    model = OTTabularClassifier(hidden_layer_sizes=(16,), max_epochs=3, random_state=0)
    search = GridSearchCV(model, {"learning_rate": [1e-4, 1e-2]}, cv=3)
    at_home = search.fit(X, y).cv_results_
    with cluster() as (backend, n_workers), joblib.parallel_config(**backend):
        spread = GridSearchCV(model, search.param_grid, cv=3, n_jobs=2).fit(X, y)
        scores = cross_val_score(spread.best_estimator_, X, y, cv=3, n_jobs=2)
        assert n_workers() == 2
    # workers round a product of matrices as they like: not every bit has to agree
    np.testing.assert_allclose(
        spread.cv_results_["mean_test_score"], at_home["mean_test_score"], rtol=0, atol=1e-12
    )
    assert spread.best_params_ == search.best_params_
    np.testing.assert_allclose(scores.mean(), spread.best_score_, rtol=0, atol=1e-12)
    assert spread.predict(X).shape == y.shape
