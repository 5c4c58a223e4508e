"""The hidden layers of encoder and decoder."""

from torch import Tensor, nn


class Hidden(nn.Module):
    """Two hidden SiLU layers in their own dtype; the last layer starts at zero, so the linear model comes first."""

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        self.last = nn.Linear(width, outputs)
        self.layers = nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.begin()

    def begin(self) -> None:
        """Draw the weights anew."""
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                layer.reset_parameters()
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.last(self.layers(x.to(self.last.weight.dtype)))
        return answer.to(x.dtype)
