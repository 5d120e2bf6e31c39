"""The tiny UNets of unet.py with half of the tokens merged in self-attention at the finest level that has any.

    python tools/reference/token_merging.py

What tomesd (arXiv 2303.17604) computes without its random choice, at its default of merging for self-attention alone. Of the variants with stored
weights. Run in float64, stored as float32; tensors are NCHW. Key: `output`; everything else is as in `unet_NAME.safetensors`. `moved` in the
metadata is how far the output is from the one without merging.
"""
from importlib.metadata import version

import tomesd
import torch
from diffusers import UNet2DConditionModel

from output import origin, save_tensors
from random_weights import randomise
from unet import SHARED, VARIANTS, inputs_of

RATIO = 0.5


@torch.no_grad()
def run(unet, inputs):
    cast = {key: (value if key == "timestep" else value.double()) for key, value in inputs.items()}
    return unet(cast.pop("sample"), **cast, return_dict=False)[0]  # tomesd looks at the first positional argument


def main():
    for name, variant in VARIANTS.items():
        unet = UNet2DConditionModel(**SHARED, **variant["config"]).eval()
        randomise(unet, variant["seed"])
        unet.double()
        inputs = inputs_of(variant)
        whole = run(unet, inputs)
        finest = [kind.startswith("CrossAttn") for kind in variant["config"]["down_block_types"]].index(True)
        tomesd.apply_patch(unet, ratio=RATIO, max_downsample=2**finest, use_rand=False)
        output = run(unet, inputs)
        moved = (output - whole).abs().max().item() / whole.abs().max().item()
        facts = origin(__file__, seed=variant["seed"], arithmetic="float64, stored as float32", ratio=str(RATIO), moved=f"{moved:.3f}", tomesd=version("tomesd"))
        save_tensors(f"token_merging_{name}.safetensors", {"output": output}, facts)
        print(f"  {name}: {moved:.3f} from the whole network")


if __name__ == "__main__":
    main()
