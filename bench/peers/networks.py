"""Networks of diffusers and transformers as modules that take tensors and give one tensor: what torch runs and OpenVINO converts."""
import json

import torch


class UNet(torch.nn.Module):
    """(sample, timestep, states) to the estimate; (sample, timestep, states, pooled, numbers) where the network hears those."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, sample, timestep, states, pooled=None, numbers=None):
        added = None if pooled is None else {"text_embeds": pooled, "time_ids": numbers}
        return self.network(sample, timestep, states, added_cond_kwargs=added, return_dict=False)[0]


class Encoder(torch.nn.Module):
    """Pixels to the most likely latents, or to mean and log-variance of them."""

    def __init__(self, network, moments=False):
        super().__init__()
        self.network, self.moments = network, moments

    def forward(self, pixels):
        network = self.network
        moments = network.encoder(pixels)
        if getattr(network, "quant_conv", None) is not None:
            moments = network.quant_conv(moments)
        return moments if self.moments else moments.chunk(2, dim=1)[0]


class Decoder(torch.nn.Module):
    """Latents, unscaled, to pixels."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, latents):
        return self.network.decode(latents, return_dict=False)[0]


class Text(torch.nn.Module):
    """Token ids to hidden states."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, ids):
        return self.network(ids, return_dict=False)[0]


def torch_network(work, models, layout=torch.contiguous_format, moments=False):
    """The network of a row, in float32."""
    import diffusers
    import transformers

    folder = models / work.folder
    name = json.loads((folder / "config.json").read_text()).get("_class_name", "CLIPTextModel")
    owner = diffusers if hasattr(diffusers, name) else transformers
    network = getattr(owner, name).from_pretrained(folder, torch_dtype=torch.float32).eval().requires_grad_(False)
    if work.network != "text":
        network.to(memory_format=layout)
    if work.network == "encode":
        return Encoder(network, moments)
    return {"unet": UNet, "decode": Decoder, "text": Text}[work.network](network)


def arguments(work, case):
    """The arguments of a row's module from a case's tensors."""
    names = {
        "unet": ("sample", "timestep", "encoder_hidden_states", "text_embeds", "time_ids"), "encode": ("pixels",), "decode": ("latents",),
        "text": ("input_ids",),
    }
    return [case[name] for name in names[work.network] if name in case]
