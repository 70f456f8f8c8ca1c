"""The pretrained net against numpy, what a row may see, and what it is told of each cell."""

from dataclasses import asdict

import numpy as np
import pytest
import torch
from scipy.special import ndtri
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sklearn_selfattn.npt.in_context import (
    BEND,
    MAX_CLASSES,
    N_FACTS,
    NEIGHBORS,
    PRESETS,
    VECTOR,
    Config,
    InContextNPT,
    Names,
    describe_cells,
    draw_names,
    summarise,
)
from tests.npt.nets import SMALL, make_net
from tests.npt.reference import attend, gelu

TASKS = ("classification", "regression")
N_ROWS, N_CONTEXT, N_COLUMNS = 9, 6, 4
every_task = pytest.mark.parametrize("task", TASKS)


def make_facts(n_rows=N_ROWS, n_columns=N_COLUMNS, n_tables=2, seed=0):
    rng = np.random.RandomState(seed)
    return torch.as_tensor(rng.normal(size=(n_tables, n_rows, n_columns, N_FACTS)))


def make_targets(task, n_context=N_CONTEXT, n_tables=2, seed=0):
    rng = np.random.RandomState(seed)
    if task == "classification":
        return torch.as_tensor(rng.randint(MAX_CLASSES, size=(n_tables, n_context)).astype(float))
    return torch.as_tensor(rng.normal(size=(n_tables, n_context)))


def root_mean_square_norm(x):
    return x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True))


class Reference:
    """The net in numpy, from its equations: one table, one row or column, one head at a time."""

    def __init__(self, net):
        self.weights = {name: value.numpy() for name, value in net.state_dict().items()}
        self.config = net.config

    def linear(self, x, name):
        return x @ self.weights[f"{name}.weight"].T + self.weights.get(f"{name}.bias", 0.0)

    def attention(self, asking, seen, name, gain):
        """Attend from tokens (q, e) to tokens (k, e)."""
        h, asking, seen = self.config.n_heads, *map(root_mean_square_norm, (asking, seen))
        Q = np.split(self.linear(asking, f"{name}.query"), h, axis=1)
        K, V = np.split(self.linear(seen, f"{name}.key_value"), 2, axis=1)
        heads = zip(Q, np.split(K, h, axis=1), np.split(V, h, axis=1), gain, strict=True)
        out = [
            [attend(q, keys, values, strength / np.sqrt(len(q)))[0] for q in queries]
            for queries, keys, values, strength in heads
        ]
        return self.linear(np.concatenate(out, axis=1), f"{name}.out")

    def block(self, x, n_keys, i):
        """Update tokens (n, d + 1, e); the last block only those of the target."""
        name, last = f"blocks.{i}", i == self.config.n_layers - 1
        asking = x[:, -1:] if last else x
        ones = np.ones(self.config.n_heads)
        pairs = zip(asking, x, strict=True)
        x = asking + np.array([self.attention(*pair, f"{name}.cells", ones) for pair in pairs])
        gain = self.weights[f"{name}.gain"] * np.log(n_keys)
        columns = [x[:, j] for j in range(x.shape[1])]
        update = [self.attention(part, part[:n_keys], f"{name}.rows", gain) for part in columns]
        x = x + np.stack(update, axis=1)
        hidden = gelu(self.linear(root_mean_square_norm(x), f"{name}.expand"))
        return x + self.linear(hidden, f"{name}.contract")

    def embed_target(self, y, task):
        if task == "classification":
            return self.weights["embed_label.weight"][y.astype(int)]
        y = y / np.sqrt(1 + (y / BEND) ** 2)
        return self.linear(np.stack([y, np.sin(3 * y), np.tanh(2 * y)], axis=1), "embed_number")

    def forward(self, facts, y, task):
        n, d, _ = facts.shape
        asked = np.tile(self.weights["asked"][TASKS.index(task)], (n - len(y), 1))
        target = np.concatenate([self.embed_target(y, task), asked])
        x = np.concatenate([self.linear(facts, "embed_cell"), target[:, None]], axis=1)
        thinking = np.repeat(self.weights["thinking"][:, None], d + 1, axis=1)
        x = np.concatenate([thinking, x])
        for i in range(self.config.n_layers):
            x = self.block(0.95 * x if i else x, len(thinking) + len(y), i)
        head = "read_label" if task == "classification" else "read_number"
        token = root_mean_square_norm(x[-(n - len(y)) :, -1])
        return self.linear(gelu(self.linear(token, f"{head}.0")), f"{head}.2")


def assert_close(one, other):
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("last", [False, True])
def test_a_block_is_its_equations(last):
    net = make_net()
    i = SMALL.n_layers - 1 if last else 0
    x = torch.as_tensor(np.random.RandomState(1).normal(size=(2, 7, 4, SMALL.d_model)))
    found, memory = net.blocks[i](x, 5)
    expected = np.array([Reference(net).block(table.numpy(), 5, i) for table in x])
    assert_close(found, expected)
    assert found.shape == (2, 7, 1 if last else 4, SMALL.d_model)
    assert memory.keys.shape == (2, 1 if last else 4, SMALL.n_heads, 5, SMALL.d_model // 3)


@every_task
def test_forward_is_the_equations(task):
    net, facts, y = make_net(), make_facts(), make_targets(task)
    found = net(facts, y, task)
    tables = zip(facts.numpy(), y.numpy(), strict=True)
    assert_close(found, np.array([Reference(net).forward(*table, task) for table in tables]))
    assert found.std(dim=1).min() > 1e-4  # and says something of each row


@every_task
def test_the_cache_is_the_forward_pass(task):
    net, facts, y = make_net(), make_facts(), make_targets(task)
    together = net(facts, y, task)
    memories = net.encode(facts[:, :N_CONTEXT], y, task)
    assert_close(net.read(net.query(facts[:, N_CONTEXT:], memories, task), task), together)
    for i in range(N_CONTEXT, N_ROWS):  # one at a time
        token = net.query(facts[:, i : i + 1], memories, task)
        assert_close(net.read(token, task)[:, 0], together[:, i - N_CONTEXT])


@every_task
def test_a_query_is_seen_by_no_other_row(task):
    net, facts, y = make_net(), make_facts(), make_targets(task)
    before = net(facts, y, task)
    facts[:, -1] = 7.0
    after = net(facts, y, task)
    assert_close(after[:, :-1], before[:, :-1])
    assert (after[:, -1] - before[:, -1]).abs().max() > 1e-2
    facts[:, 0] = 7.0  # of the context, by all
    assert (net(facts, y, task) - after).abs().amax(dim=2).min() > 1e-4


@every_task
def test_order_of_the_context_does_not_matter_its_targets_do(task):
    net, facts, y = make_net(), make_facts(), make_targets(task)
    before = net(facts, y, task)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    moved = torch.cat([facts[:, order], facts[:, N_CONTEXT:]], dim=1)
    assert_close(net(moved, y[:, order], task), before)
    assert (net(facts, y.flip(1), task) - before).abs().amax(dim=2).min() > 1e-4


def test_the_other_attention_is_traced_as_it_is():
    net, facts, y = make_net(), make_facts(), make_targets("regression")
    memories = net.encode(facts[:, :N_CONTEXT], y, "regression")
    traces = [{} for _ in net.blocks]
    queries = facts[:, N_CONTEXT:]
    token = net.query(queries, memories, "regression", traces)
    assert_close(token, net.query(queries, memories, "regression"))
    q, k, d = N_ROWS - N_CONTEXT, SMALL.n_thinking + N_CONTEXT, N_COLUMNS + 1
    for trace in traces:
        assert trace["rows"].shape == (2, SMALL.n_heads, q, k)
        assert trace["cells"].shape == (2, q, SMALL.n_heads, d, d)
        assert_close(trace["rows"].sum(dim=-1), 1.0)
        assert_close(trace["cells"].sum(dim=-1), 1.0)


@every_task
def test_one_set_of_weights_serves_tables_of_all_sizes(task):
    net = make_net()
    for n_rows, n_context, n_columns in [(2, 1, 1), (30, 29, 2), (12, 3, 23)]:
        y = make_targets(task, n_context, n_tables=1)
        logits = net(make_facts(n_rows, n_columns, n_tables=1), y, task)
        n_outputs = MAX_CLASSES if task == "classification" else SMALL.n_bars
        assert logits.shape == (1, n_rows - n_context, n_outputs)
        assert logits.isfinite().all()


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("shape", [(128, 64, 10), (300, 250, 30)])
def test_operations_are_counted_as_torch_counts_them(preset, shape):
    """Within 7 %: the keys of queries, which nobody sees, are counted and not computed."""
    n, c, d = shape
    config = PRESETS[preset]
    with torch.device("meta"), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as flop:
        net = InContextNPT(config)
        net(torch.empty(1, n, d, N_FACTS), torch.empty(1, c), "regression")
    assert 0.99 < config.flop(n, c, d) / flop.get_total_flops() < 1.07
    assert Config(**asdict(config)) == config


# --- what the net is told of a cell -----------------------------------------------------------

CONTEXT = np.array(
    [
        [0.5, 2.0, 3.0, 0.0, np.nan],
        [1.5, 2.0, 3.0, 2.0, np.nan],
        [np.nan, 7.0, 3.0, 1.0, np.nan],
        [-9.0, np.nan, 3.0, 2.0, np.nan],
        [4.0, -1.0, 3.0, np.nan, np.nan],
    ]
)
QUERIES = np.array([[1.5, 3.0, 3.0, 2.0, np.nan], [1e9, np.nan, 4.0, np.nan, 5.0]])
CATEGORICAL = np.array([False, False, False, True, False])


def described(context=CONTEXT, queries=QUERIES, gaussian=False, seed=0):
    """Return the facts (n, d, n_facts) and the names."""
    names = draw_names(1, CONTEXT.shape[1], 3, torch.Generator().manual_seed(seed))
    names = Names(*(part.double() for part in names))
    X = torch.as_tensor(np.concatenate([context, queries]))[None]
    summary = summarise(X[:, : len(context)])
    categorical = torch.as_tensor(CATEGORICAL)[None]
    facts = describe_cells(X, summary, categorical, names, torch.tensor([gaussian]))
    assert facts.shape == (1, *X.shape[1:], N_FACTS)
    return facts[0].numpy(), names


@pytest.mark.parametrize("gaussian", [False, True])
def test_facts_are_the_formulas(gaussian):
    facts, names = described(gaussian=gaussian)
    X = np.concatenate([CONTEXT, QUERIES])
    number, shown_rank = np.zeros(X.shape), np.zeros(X.shape)
    for i, j in np.argwhere(~np.isnan(X)):
        known = CONTEXT[:, j][~np.isnan(CONTEXT[:, j])]
        mean, spread = (known.mean(), known.std()) if len(known) else (0.0, 0.0)
        z = (X[i, j] - mean) / (spread or 1.0)
        # the middle of the places that the number could take among those of the context
        places = [(known < X[i, j]).sum() + 1, (known <= X[i, j]).sum()]
        rank = np.mean(places) / (len(known) + 1)
        bend = ndtri(rank) if gaussian and not CATEGORICAL[j] else z / np.hypot(1, z / BEND)
        number[i, j], shown_rank[i, j] = bend, 3.4 * (rank - 0.5)
    missing = np.isnan(X)
    expected = [number, shown_rank, np.sin(3 * number), np.tanh(2 * number), missing]
    expected.append(np.broadcast_to(CATEGORICAL, X.shape))
    for shift in NEIGHBORS:
        further = (np.arange(X.shape[1]) + shift) % X.shape[1]
        expected += [number[:, further], missing[:, further]]
    # ranks are counts, divided in float32
    np.testing.assert_allclose(
        facts[..., : -2 * VECTOR], np.stack(expected, axis=-1), rtol=0, atol=1e-6
    )
    category = np.zeros((*X.shape, VECTOR))
    for i, j in np.argwhere(~missing & CATEGORICAL):
        category[i, j] = names.categories[0, j, int(X[i, j])]
    np.testing.assert_array_equal(facts[..., -2 * VECTOR : -VECTOR], category)
    np.testing.assert_array_equal(
        facts[..., -VECTOR:], np.broadcast_to(names.columns[0], (*X.shape, VECTOR))
    )


def test_facts_of_a_row_depend_on_the_context_not_on_queries():
    facts, _ = described()
    alone, _ = described(queries=QUERIES[:1])
    np.testing.assert_array_equal(alone, facts[:-1])
    other, _ = described(context=CONTEXT * [2.0, 1, 1, 1, 1])
    assert np.abs(other[-2, 0] - facts[-2, 0]).max() > 0.1
    assert np.abs(facts[..., : -2 * VECTOR]).max() <= BEND  # whatever a query holds


def test_names_are_drawn_per_table_and_column():
    names = draw_names(3, 4, 5, torch.Generator().manual_seed(0))
    assert names.columns.shape == (3, 4, VECTOR)
    assert names.categories.shape == (3, 4, 5, VECTOR)
    assert len(names.categories.flatten(0, 2).unique(dim=0)) == 3 * 4 * 5
