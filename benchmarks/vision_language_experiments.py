"""The experiments of the vision-language room: each returns raw numbers for a seed."""

import time

import numpy as np
import torch
import vision_language_peers
from sklearn.metrics import accuracy_score
from torch import nn
from vision_language_data import TEMPLATES, digits_of, easy_vqa, scenes

from sklearn_selfattn.core.randomness import seeded
from sklearn_selfattn.datasets.digit_scenes import NAMES, RELATIONS
from sklearn_selfattn.vision_language import (
    VisualParsingClassifier,
    inter_modality_flow,
    without_cross_attention,
)
from sklearn_selfattn.vision_language.module import BACKBONES, Pairs

DEFAULT = VisualParsingClassifier().backbone  # the experiment "scenes" is about it
N_FLOW = 300  # pairs whose flow is averaged
N_LABELS, N_UNLABELLED = 500, 4_000


def _score(y, answers, kinds=None):
    """Return accuracy over all, and over each kind of question."""
    numbers = {"accuracy": accuracy_score(y, answers)}
    for kind in np.unique(kinds) if kinds is not None else ():
        rows = kinds == kind
        numbers[str(kind)] = accuracy_score(y[rows], answers[rows])
    return {key: float(value) for key, value in numbers.items()}


def _is_yes_no(y):
    return np.where(np.isin(y, ["yes", "no"]), "yes/no", "other")


def _flow(model, pairs):
    found = inter_modality_flow(model, pairs[:N_FLOW])
    return {
        "flow": found.flow.mean(0).tolist(),
        "relative": found.relative.mean(0).tolist(),
    }


def ours(load):
    """Fit at defaults; look at the flow, and at what is left without it."""

    def measure(seed):
        pairs, y, test, y_test, kinds = load(seed)
        start = time.process_time()
        model = VisualParsingClassifier(random_state=seed).fit(pairs, y)
        numbers = {"cpu_s": time.process_time() - start, "epochs": model.n_iter_}
        answers = model.predict(test)
        apart = without_cross_attention(model)
        return {
            **numbers,
            **_score(y_test, answers, kinds),
            **_flow(model, test),
            "without cross": _score(y_test, apart.predict(test), kinds),
            "right cell": _right_cell(model, test, y_test, answers, kinds),
        }

    return measure


def _right_cell(model, pairs, y, answers, kinds):
    """Share of right answers to "what is left of the seven" for which [CLS] looks most at it.

    In the last layer, mean over heads.
    """
    rows = np.flatnonzero((kinds == "relation") & (y == answers) & (y != "nothing"))[:N_FLOW]
    if not len(rows):
        return None
    grid = model.module_.image_tokens.grid
    looks = model.attention_weights(pairs[rows])[-1].mean(1)[:, 0, 1 : 1 + grid[0] * grid[1]]
    cells = np.stack(np.divmod(looks.argmax(1), grid[1]), axis=1)
    places = [_place(pairs[row], y[row]) for row in rows]
    return float((cells == places).all(1).mean())


def _place(pair, answer):
    """Return row and column of the answer: the cell beside the digit that is named."""
    cells, words = digits_of(pair[0]), pair[1].split()
    digit = next(i for i, name in enumerate(NAMES) if name in words)
    down, right = next(step for name, step in RELATIONS.items() if f" {name} " in pair[1])
    row, column = np.divmod(cells.index(digit), 3) + np.array([down, right])
    assert NAMES[cells[3 * row + column]] == answer
    return row, column


def peers(load):
    """Score the peers on the same pairs."""

    def measure(seed):
        pairs, y, test, y_test, kinds = load(seed)
        found = vision_language_peers.answers(pairs, y, test, seed)
        return {name: _score(y_test, answers, kinds) for name, answers in found.items()}

    return measure


def vqa(seed):
    """Return easy-VQA with what kind each test question is of."""
    pairs, y, test, y_test = easy_vqa(seed)
    return pairs, y, test, y_test, _is_yes_no(y_test)


def digit_scenes(seed):
    """Return the digit scenes."""
    return scenes(seed, questions=TEMPLATES)


def backbone(name):
    """Fit another backbone than the default on the scenes."""

    def measure(seed):
        pairs, y, test, y_test, kinds = digit_scenes(seed)
        start = time.process_time()
        model = VisualParsingClassifier(backbone=name, random_state=seed).fit(pairs, y)
        numbers = {"cpu_s": time.process_time() - start}
        return {**numbers, **_score(y_test, model.predict(test), kinds), **_flow(model, test)}

    return measure


def matching(seed):
    """Tell true sentences from false ones, about combinations that training has not seen.

    Half of the training pairs are such sentences, half ask what is beside a digit: sentences
    alone, of which each tells one bit, are not learnt from so few.
    """
    pairs, y, test, y_test, kinds = scenes(
        seed, 20_000, 4_000, questions=["relation", "match"], combinations="seen"
    )
    test, y_test = test[kinds == "match"], y_test[kinds == "match"]
    model = VisualParsingClassifier(random_state=seed).fit(pairs, y)
    found = {"ours": model.predict(test)}
    if seed == 0:
        found |= vision_language_peers.answers(pairs, y, test, seed)
    return {name: float(np.mean(answers == y_test)) for name, answers in found.items()}


PRETRAINING = {
    "none": None,
    "MLM + ITM": {"mfr_weight": 0.0},
    "MLM + ITM + MFR": {},
    "random masks": {"mfr_masking": "random"},
}


def pretraining(seed):
    """Pretrain on pairs without labels, then learn from 500 labels."""
    pairs, y, test, y_test, _ = scenes(seed, N_UNLABELLED, 2_000, questions=TEMPLATES)
    found = {}
    for name, params in PRETRAINING.items():
        model = VisualParsingClassifier(backbone="hybrid", early_stopping=False, random_state=seed)
        if params is not None:
            model = model.set_params(**params).pretrain(pairs)
        model.fit(pairs[:N_LABELS], y[:N_LABELS])
        found[name] = float(model.score(test, y_test))
    return found


def speed(seed):
    """Compare steps of training with those of torch's own encoder of the same size."""
    pairs, y, *_ = scenes(seed, 1_000, 10)
    model = VisualParsingClassifier(max_epochs=1, backbone="linear").fit(pairs, y)
    net = model._make_module().train()
    images, image, words = model._encode(pairs[:128], reset=False)
    batch = Pairs(*map(torch.as_tensor, (images, image, words)))
    d, t = model.d_model, 2 + net.n_visual + words.shape[1]
    layer = nn.TransformerEncoderLayer(
        d, model.n_heads, 4 * d, model.dropout, "gelu", batch_first=True, norm_first=True
    )
    plain = nn.TransformerEncoder(layer, model.n_layers, enable_nested_tensor=False).train()
    x = torch.randn(len(image), t, d)
    mask = torch.zeros(len(image), t, dtype=torch.bool)
    mask[:, 2 + net.n_visual :] = batch.words == 0

    def step(forward, module):
        module.zero_grad(set_to_none=True)
        start = time.process_time()
        forward().square().mean().backward()
        return time.process_time() - start

    times = {"ours": [], "encoder": []}
    with seeded(seed):
        for _ in range(30):
            times["ours"].append(step(lambda: net.summary(batch), net))
            times["encoder"].append(step(lambda: plain(x, src_key_padding_mask=mask)[:, 0], plain))
    return {name: float(np.median(values)) for name, values in times.items()}


EXPERIMENTS = {
    "easy-VQA": (ours(vqa), False),
    "scenes": (ours(digit_scenes), False),
    "peers easy-VQA": (peers(vqa), True),
    "peers scenes": (peers(digit_scenes), True),
    "matching": (matching, False),
    "speed": (speed, True),
    **{f"backbone {name}": (backbone(name), False) for name in BACKBONES if name != DEFAULT},
    "pretraining": (pretraining, False),
}
