"""The hidden layers of encoder and decoder."""

from torch import Tensor, nn


class Hidden(nn.Module):
    """Two hidden SiLU layers in their own dtype; the last layer starts at zero, so the linear model comes first."""

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        last = nn.Linear(width, outputs)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), last)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.layers(x.to(next(self.parameters()).dtype))
        return answer.to(x.dtype)
