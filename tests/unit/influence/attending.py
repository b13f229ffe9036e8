"""A small model of sequences with padding, for K-FAC and EK-FAC here and in ``benchmarks/kronfluence.py``."""

import torch
from torch import Tensor, nn

LAYERS = ("first.weight", "second.weight", "head.weight")
SAMPLES, QUERIES, WIDTH = 24, 5, 6


class Attending(nn.Module):
    """Two layers at every position, one of which sees a mean over the others, and a head at the mean position."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 5)
        self.first = nn.Linear(5, 7, bias=False)
        self.second = nn.Linear(7, 4, bias=False)
        self.head = nn.Linear(4, 3, bias=False)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        real = batch["attention_mask"][:, :, None].to(torch.float64)
        x = torch.tanh(self.first(self.table(batch["input_ids"])))
        x = self.second(x + (x * real).sum(1, keepdim=True) / real.sum(1, keepdim=True))
        return self.head((torch.tanh(x) * real).sum(1) / real.sum(1))


def model() -> Attending:
    torch.manual_seed(0)
    made = Attending().double()
    made.table.requires_grad_(False)
    return made


def batch(count: int, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(2, WIDTH + 1, (count,), generator=generator)
    lengths[0] = WIDTH
    mask = torch.arange(WIDTH)[None] < lengths[:, None]
    ids = torch.randint(1, 11, (count, WIDTH), generator=generator) * mask
    labels = torch.randint(0, 3, (count,), generator=generator)
    return {"input_ids": ids, "attention_mask": mask.long(), "labels": labels}


def losses(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return nn.functional.cross_entropy(model(batch), batch["labels"], reduction="none")
