"""The tiny UNets of unet.py on a second sample, with the state that their deep layers made of the first.

    python tools/reference/deep_cache.py

What DeepCache (arXiv 2312.00858) computes at its shallowest branch: in front of the last residual block of the way up, the state of the way up
is that of the first run. Of the variants with stored weights. Run in float64, stored as float32; tensors are NCHW. Keys: `sample`, `timestep`,
`output`; everything else is as in `unet_NAME.safetensors`. `moved` in the metadata is how far the output is from the whole network's.
"""
import torch
from diffusers import UNet2DConditionModel

from output import origin, save_tensors
from random_weights import randomise
from unet import SHARED, VARIANTS, inputs_of


@torch.no_grad()
def run(unet, inputs):
    cast = {key: (value if key == "timestep" else value.double()) for key, value in inputs.items()}
    return unet(**cast, return_dict=False)[0]


def main():
    for name, variant in VARIANTS.items():
        unet = UNet2DConditionModel(**SHARED, **variant["config"]).eval()
        randomise(unet, variant["seed"])
        unet.double()
        first = inputs_of(variant)
        # Another sample and time; text and labels are those of the first run.
        second = first | {
            "sample": first["sample"] + 0.3 * inputs_of(variant | {"seed": variant["seed"] + 50})["sample"],
            "timestep": first["timestep"] - 20,
        }
        last = unet.up_blocks[-1].resnets[-1]
        kept = []
        hook = last.register_forward_pre_hook(lambda _, args: kept.append(args[0]))
        run(unet, first)
        hook.remove()
        whole = run(unet, second)
        # The state of the way down comes after that of the way up, and has as many channels as the first convolution gives.
        deep = kept[0].shape[1] - unet.config.block_out_channels[0]

        def replace(_, args):
            return (torch.cat([kept[0][:, :deep], args[0][:, deep:]], 1), *args[1:])

        hook = last.register_forward_pre_hook(replace)
        output = run(unet, second)
        hook.remove()
        moved = (output - whole).abs().max().item() / whole.abs().max().item()
        facts = origin(__file__, seed=variant["seed"], arithmetic="float64, stored as float32", moved=f"{moved:.3f}")
        save_tensors(f"deep_cache_{name}.safetensors", {key: second[key] for key in ("sample", "timestep")} | {"output": output}, facts)
        print(f"  {name}: {moved:.3f} from the whole network")


if __name__ == "__main__":
    main()
