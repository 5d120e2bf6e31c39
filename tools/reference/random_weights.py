"""Random weights for tiny networks, such that no parameter is neutral and activations stay near one.

Fresh networks have norms of weight 1 and bias 0 and often biases of 0: a loader that drops them would go unseen.
"""
import torch


def randomise(network, seed):
    """Overwrites every parameter of `network` in the order of its names; the values are exact in float32."""
    generator = torch.Generator().manual_seed(seed)
    norms = {name for name, module in network.named_modules() if "Norm" in type(module).__name__}
    with torch.no_grad():
        for name, parameter in sorted(network.named_parameters()):
            values = torch.randn(parameter.shape, generator=generator)
            owner, kind = name.rsplit(".", 1)
            if owner in norms:
                values = 1 + 0.3 * values if kind == "weight" else 0.2 * values
            elif kind == "bias":
                values = 0.2 * values
            elif "embedding" in owner and "Embedding" in type(network.get_submodule(owner)).__name__:
                values = 0.5 * values
            else:
                values = values / parameter[0].numel() ** 0.5
            parameter.copy_(values)
