"""The torch module against numpy, and what its attention must not see."""

import numpy as np
import pytest
import torch
from torch.func import functional_call

from sklearn_selfattn.npt.module import NPT
from tests.npt.reference import Reference, softmax

FORMS = ["rows", "cells", "paper"]
N_CATEGORIES = [0, 3, 0, 4, 0]  # the target, last, is a number
N_CONTEXT = 7
every_form = pytest.mark.parametrize("form", FORMS)


def make_net(form, n_members=2, n_categories=N_CATEGORIES, *, seed=0, **changed):
    sizes = {
        "d_model": 8, "row_dim": 12, "feed_forward_dim": 10, "n_heads": 2, "n_layers": 2,
        "n_bins": 4, "dropout": 0.0, "use_cell_attention": True, **changed,
    }  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = NPT(form, n_members, n_categories, **sizes).double().eval()
        for parameter in net.parameters():  # none is to be zero, or it would not be seen
            parameter.data += 0.05 * torch.randn_like(parameter)
    return net


def make_cells(n_rows=12, n_categories=N_CATEGORIES, seed=0, missing=0.15):
    """Return cells with missing features; targets are whole."""
    rng = np.random.RandomState(seed)
    cells = np.column_stack(
        [
            rng.randint(size, size=n_rows) if size else rng.normal(size=n_rows)
            for size in n_categories
        ]
    ).astype(float)
    cells[:, :-1][rng.rand(n_rows, len(n_categories) - 1) < missing] = np.nan
    return cells


def bin_edges(cells, n_bins, n_categories):
    """Return the edges of the numeric columns; [] where there is nothing to cut."""
    edges = []
    for column, size in zip(cells.T, n_categories, strict=True):
        known = column[~np.isnan(column)]
        cut = np.unique(np.quantile(known, np.linspace(0, 1, n_bins + 1)))
        edges.append([] if size or len(cut) < 2 else cut)
    return edges


def hide(cells, n_context, seed=1, share=0.2):
    hidden = np.random.RandomState(seed).rand(*cells.shape) < share
    hidden[:, -1] = False
    hidden[n_context:, -1] = True
    return hidden


def tensor(array, n_members=1):
    return torch.as_tensor(array).expand(n_members, *array.shape)


@every_form
@pytest.mark.parametrize("n_categories", [N_CATEGORIES, [0, 0, 3]], ids=["number", "classes"])
@pytest.mark.parametrize("use_cell_attention", [True, False], ids=["cells attend", "rows only"])
def test_forward_is_the_equations(form, n_categories, use_cell_attention):
    net = make_net(form, n_categories=n_categories, use_cell_attention=use_cell_attention)
    cells = make_cells(n_categories=n_categories)
    net.tokenizer.fit_bins(cells)
    hidden = hide(cells, N_CONTEXT)
    with torch.no_grad():
        H = net(tensor(cells, 2), tensor(hidden, 2), N_CONTEXT)
        outputs = net.target(H)
        asked, chosen = cells[N_CONTEXT:].copy(), hidden[N_CONTEXT:].copy()
        chosen[:, -1] = False
        asked[0, 0], chosen[0, 0] = 1e3, True  # its loss is cut off
        loss = net.feature_losses(H, tensor(asked, 2), tensor(chosen, 2)).item()
    cell_heads = 2 if form == "paper" else 1  # of at least eight channels, in ours
    edges = bin_edges(cells, 4, n_categories)
    total = count = 0
    for member in range(2):
        reference = Reference(net, member, edges, n_categories, n_heads=2)
        expected = reference.forward(cells, hidden, N_CONTEXT, cell_heads)
        np.testing.assert_allclose(H[member], expected, rtol=0, atol=1e-10)
        np.testing.assert_allclose(outputs[member], reference.target(expected), rtol=0, atol=1e-10)
        some, number = reference.feature_loss(expected, asked, chosen)
        total, count = total + some, count + chosen.sum()
        assert number > 0
    # missing cells have no loss, but members share one mean over all cells that do
    known = int((chosen & ~np.isnan(asked)).sum()) * 2
    assert loss == pytest.approx(total / known, abs=1e-10)


@every_form
def test_predicting_with_a_kept_context_is_the_forward_pass(form):
    """Exact: what `encode` keeps is all that a query needs of the context."""
    net, cells = make_net(form), make_cells(40, seed=3)
    hidden = np.zeros(cells.shape, dtype=bool)
    hidden[25:, -1] = True
    with torch.no_grad():
        whole = net.target(net(tensor(cells, 2), tensor(hidden, 2), 25))
        memories = net.encode(tensor(cells[:25]))
        cached = net.predict(tensor(cells[25:]), memories)
        alone = [net.predict(tensor(cells[i : i + 1]), memories) for i in range(25, 40)]
    np.testing.assert_allclose(cached, whole, rtol=0, atol=1e-10)
    np.testing.assert_allclose(torch.cat(alone, dim=1), whole, rtol=0, atol=1e-10)
    assert whole.std() > 1e-3


@every_form
def test_nobody_attends_to_a_query(form):
    """Change one query: context and other queries stay; change a context row: all move."""
    net, cells = make_net(form), make_cells(missing=0.0)
    hidden = hide(cells, N_CONTEXT, share=0.0)

    def outputs(cells):
        with torch.no_grad():
            return net(tensor(cells, 2), tensor(hidden, 2), N_CONTEXT).numpy()

    before = outputs(cells)
    queried, known, relabelled = (cells.copy() for _ in range(3))
    queried[N_CONTEXT + 1, 0] += 5
    after = outputs(queried)
    assert np.abs(after[:, 1] - before[:, 1]).max() > 1e-3
    np.testing.assert_allclose(np.delete(after, 1, 1), np.delete(before, 1, 1), rtol=0, atol=1e-12)
    known[0, 0] += 5
    assert (np.abs(outputs(known) - before).max(axis=(0, 2, 3)) > 1e-6).all()
    relabelled[0, -1] += 5  # a label that is shown
    assert (np.abs(outputs(relabelled) - before).max(axis=(0, 2, 3)) > 1e-6).all()
    unseen = cells.copy()
    unseen[N_CONTEXT:, -1] += 5  # labels that are hidden
    np.testing.assert_array_equal(outputs(unseen), before)


@every_form
def test_order_of_the_context_does_not_matter(form):
    net, cells = make_net(form), make_cells(30, seed=5)
    order = np.random.RandomState(0).permutation(20)
    with torch.no_grad():
        one = net.predict(tensor(cells[20:]), net.encode(tensor(cells[:20])))
        other = net.predict(tensor(cells[20:]), net.encode(tensor(cells[:20][order])))
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-10)


@every_form
def test_without_context_a_query_looks_at_itself(form):
    net, cells = make_net(form), make_cells()
    traces = [{}, {}]
    with torch.no_grad():
        H = net.query(tensor(cells), net.encode(tensor(cells[:0])), traces)
    assert torch.isfinite(H).all()
    assert all((trace["rows"] == 1).all() for trace in traces)


@every_form
def test_members_are_separate_networks(form):
    pair = make_net(form)
    cells = tensor(make_cells())
    hidden = tensor(hide(cells[0].numpy(), N_CONTEXT), 2)
    different = torch.cat([cells, cells.flip(1)])  # each member has rows of its own
    different[:, :, -1] = different[:, :, -1].nan_to_num()
    with torch.no_grad():
        together = pair(different, hidden, N_CONTEXT)
        outputs = pair.target(together)
        for member in range(2):
            net = make_net(form, n_members=1, seed=9)
            weights = {
                name: value[member : member + 1] if name in dict(pair.named_parameters()) else value
                for name, value in pair.state_dict().items()
            }
            net.load_state_dict(weights)
            mine = slice(member, member + 1)
            alone = net(different[mine], hidden[mine], N_CONTEXT)
            np.testing.assert_allclose(together[mine].numpy(), alone.numpy(), rtol=0, atol=1e-12)
            np.testing.assert_allclose(
                outputs[mine].numpy(), net.target(alone).numpy(), rtol=0, atol=1e-12
            )
    assert (outputs[0] - outputs[1]).abs().max() > 1e-2


@every_form
def test_traces_are_the_weights_of_the_equations(form):
    net, cells = make_net(form, n_layers=1), make_cells()
    traces = [{}]
    with torch.no_grad():
        H = net.query(tensor(cells[N_CONTEXT:]), net.encode(tensor(cells[:N_CONTEXT])), traces)
        plain = net.query(tensor(cells[N_CONTEXT:]), net.encode(tensor(cells[:N_CONTEXT])))
    np.testing.assert_allclose(H, plain, rtol=0, atol=1e-12)  # to look changes nothing
    hidden = hide(cells, N_CONTEXT, share=0.0)
    for member in range(2):
        reference = Reference(net, member, [[]] * 5, N_CATEGORIES, n_heads=2)
        tokens = reference.tokens(cells, hidden)
        _, shares = reference.row_attention(tokens, N_CONTEXT, "blocks.0.rows")
        if form == "cells":  # (d, n, h, k) -> (d, h, q, k)
            shares = np.array([column[N_CONTEXT:] for column in shares]).transpose(0, 2, 1, 3)
        else:
            shares = np.array(shares[N_CONTEXT:]).transpose(1, 0, 2)
        np.testing.assert_allclose(traces[0]["rows"][member], shares, rtol=0, atol=1e-10)
    np.testing.assert_allclose(traces[0]["rows"].sum(-1), 1, rtol=0, atol=1e-12)
    np.testing.assert_allclose(traces[0]["cells"].sum(-1), 1, rtol=0, atol=1e-12)
    n_heads = 2 if form == "paper" else 1
    assert traces[0]["cells"].shape == (2, len(cells) - N_CONTEXT, n_heads, 5, 5)


def test_category_outputs_know_only_the_codes_of_their_column():
    net = make_net("rows", n_categories=[3, 0, 2, 5])
    H = torch.randn(2, 6, 4, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    numbers, logits = net.features(H)
    assert numbers.shape == (2, 6, 1)
    assert logits.shape == (2, 6, 2, 3)
    assert torch.isfinite(logits[:, :, 0]).all()
    assert (logits[:, :, 1, 2] == -torch.inf).all()
    share = softmax(logits[0, 0, 1].detach().numpy())
    assert share[2] == 0
    assert share.sum() == pytest.approx(1)


@every_form
def test_gradients(form):
    net = make_net(
        form, n_categories=[0, 2, 0], d_model=4, row_dim=4, feed_forward_dim=3, n_layers=1, n_bins=2
    )
    cells = make_cells(6, [0, 2, 0], seed=2)
    net.tokenizer.fit_bins(cells)
    hidden = hide(cells, 3, share=0.5)
    cells[3:, :-1], hidden[3:, :-1] = [[0.3, 0], [1.2, 1], [-0.8, 1]], [[1, 0], [0, 1], [0, 0]]
    cells, hidden = tensor(cells, 2), tensor(hidden, 2)
    chosen = hidden[:, 3:].clone()
    chosen[..., -1] = False
    names = [name for name, _ in net.named_parameters()]

    class Loss(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self):
            H = self.net(cells, hidden, 3)
            loss = (self.net.target(H).squeeze(-1) - cells[:, 3:, -1]).square().mean()
            return loss + self.net.feature_losses(H, cells[:, 3:], chosen)

    def loss(*values):
        changed = {f"net.{name}": value for name, value in zip(names, values, strict=True)}
        return functional_call(Loss(), changed, ())

    values = [p.detach().clone().requires_grad_() for p in net.parameters()]
    assert torch.autograd.gradcheck(loss, values, fast_mode=True)
    loss(*values).backward()
    unused = {name for name, v in zip(names, values, strict=True) if not v.grad.abs().sum()}
    assert not unused


def test_weights_for_cells_do_not_depend_on_the_number_of_columns_or_rows():
    """Only the tokens and the outputs belong to columns; every other weight fits any table."""
    small = make_net("cells", n_categories=[0, 0, 0])
    large = make_net("cells", n_categories=[0] * 9, seed=1)
    belong = ("tokenizer.", "number_output", "code_output")
    shared = {n: p for n, p in small.state_dict().items() if not n.startswith(belong)}
    assert len(shared) > 20
    missing = large.load_state_dict(shared, strict=False)
    assert all(name.startswith(belong) for name in missing.missing_keys)
    assert not missing.unexpected_keys
    cells = tensor(make_cells(25, [0] * 9))
    with torch.no_grad():
        for n_context in (1, 5, 20):
            outputs = large.predict(cells[:, 20:], large.encode(cells[:, :n_context]))
            assert torch.isfinite(outputs).all()
    flat = {n for n, p in make_net("rows", n_categories=[0] * 9).state_dict().items()
            if n in small.state_dict() and p.shape != small.state_dict()[n].shape}  # fmt: skip
    assert any(not name.startswith(belong) for name in flat)  # of rows, they do depend on it


@pytest.mark.parametrize("form", ["rows", "paper"])
@pytest.mark.parametrize(("d_model", "n_heads"), [(28, 4), (20, 5), (24, 4), (28, 7)])
def test_any_width_that_heads_divide(form, d_model, n_heads):
    net = make_net(form, d_model=d_model, n_heads=n_heads, row_dim=n_heads * 2, n_layers=1)
    cells = tensor(make_cells())
    assert net.predict(cells, net.encode(cells)).shape == (2, 12, 1)


def test_dropout_acts_in_training_only():
    net = make_net("rows", dropout=0.5)
    cells = tensor(make_cells(), 2)
    hidden = tensor(hide(make_cells(), N_CONTEXT), 2)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        still = net(cells, hidden, N_CONTEXT)
        assert torch.equal(still, net(cells, hidden, N_CONTEXT))
        net.train()
        assert not torch.equal(net(cells, hidden, N_CONTEXT), net(cells, hidden, N_CONTEXT))
