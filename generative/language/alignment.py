"""Which token of a source a token of its target comes from, by counting: IBM model 1.

Nobody says which word translates which. Model 1 begins with every pairing alike, shares each target token among the
source's tokens by how likely each is to give it, counts the shares, and begins again with these counts. A source's
end, which every source has, takes what comes from no word.

Source: Brown et al. 1993, "The mathematics of statistical machine translation", section 4.2 and equations 14 to 17.
"""

import torch
from torch import Tensor

_AT_ONCE = 256


def translations(sources: Tensor, targets: Tensor, size: int, pad: int, passes: int = 5) -> Tensor:
    """How likely each source token (rows) is to give each target token, (size, size) float32.

    `sources` (N, S) and `targets` (N, T) are token numbers below `size`, padded with `pad`. The row of a token that
    no source holds is 0, every other sums to 1.
    """
    order = (sources != pad).sum(1).argsort(stable=True)  # alike in length, so that little is padding
    table = torch.full((size, size), 1 / size)
    for _ in range(passes):
        counts = torch.zeros(size * size)
        for rows in torch.split(order, _AT_ONCE):
            pairings, expected = _expected(trimmed(sources[rows], pad), trimmed(targets[rows], pad), table, pad)
            counts.index_add_(0, pairings.flatten(), expected.flatten())
        table = counts.view(size, size)
        table /= table.sum(1, keepdim=True).clamp_min(torch.finfo(table.dtype).tiny)
    return table


def likeliest(table: Tensor, keep: int) -> tuple[Tensor, Tensor]:
    """The `keep` likeliest of every row of `translations`, (size, keep) int32, and their shares, which sum to 1.

    A token without a translation stands for itself.
    """
    shares, partners = table.topk(keep, dim=1)
    unseen = shares[:, 0] == 0
    partners[unseen, 0] = torch.nonzero(unseen).squeeze(1)
    shares[unseen, 0] = 1.0
    return partners.int(), shares / shares.sum(1, keepdim=True)


def _expected(sources: Tensor, targets: Tensor, table: Tensor, pad: int) -> tuple[Tensor, Tensor]:
    """The places (B, S, T) of all pairings in the table, and how often each is expected to hold, given the table."""
    pairings = sources[:, :, None] * len(table) + targets[:, None, :]
    likely = table.view(-1)[pairings] * (sources != pad)[:, :, None]
    shared = likely / likely.sum(1, keepdim=True).clamp_min(torch.finfo(likely.dtype).tiny)
    return pairings, shared * (targets != pad)[:, None, :]


def trimmed(ids: Tensor, pad: int) -> Tensor:
    """The texts (N, T) without the padding that all of them have."""
    return ids[:, : int((ids != pad).sum(1).max())]
