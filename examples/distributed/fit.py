"""One fit over two processes.

    torchrun --nproc-per-node 2 examples/distributed/fit.py

On GPUs, choose this process's own before `fit`:
``torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))``.
"""

import os

from sklearn.datasets import load_digits

from sklearn_selfattn import DistributedTraining, PrimalAttentionClassifier

X, y = load_digits(return_X_y=True)
model = PrimalAttentionClassifier(
    max_epochs=3, callbacks=[DistributedTraining()], random_state=0, verbose=1
).fit(X[:1500], y[:1500])

# Every process holds the same model now; one is enough to use it.
if os.environ.get("RANK", "0") == "0":
    print(f"accuracy: {model.score(X[1500:], y[1500:]):.3f}")
