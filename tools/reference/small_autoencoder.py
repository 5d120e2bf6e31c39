"""A small autoencoder that was really trained, for what random weights cannot show: how colours drift when a picture goes round and round.

    python tools/reference/small_autoencoder.py

Writes small_autoencoder.safetensors and small_autoencoder.config.json, an AutoencoderTiny of 4 channels at a quarter of the size, trained on
crops of the pictures in `examples/` for so short a time that it still shifts colours, as all of them do a little. It knows those pictures alone
and is good for nothing else.
"""
import json

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny
from PIL import Image

from output import FOLDER, REPOSITORY, origin, save_tensors

WIDTH, STEPS, BATCH, CROP, SEED = 12, 1500, 8, 64, 5
PICTURES = sorted((REPOSITORY / "examples").glob("*.jpg"))


def pictures():
    """The example photographs at half of 512 pixels, in 0..1 as this network wants them."""
    for path in PICTURES:
        image = Image.open(path).convert("RGB")
        image.thumbnail((256, 256), Image.Resampling.LANCZOS)
        yield torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 127.5 - 1


def batch(photographs, generator):
    """Random crops `[BATCH, 3, CROP, CROP]`."""
    crops = []
    for _ in range(BATCH):
        photograph = photographs[torch.randint(len(photographs), (), generator=generator)]
        top, left = (torch.randint(side - CROP + 1, (), generator=generator) for side in photograph.shape[1:])
        crops.append(photograph[:, top : top + CROP, left : left + CROP])
    return torch.stack(crops)


def main():
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    network = AutoencoderTiny(
        encoder_block_out_channels=(WIDTH,) * 3, decoder_block_out_channels=(WIDTH,) * 3, num_encoder_blocks=(1, 1, 1), num_decoder_blocks=(1, 1, 1),
    )
    photographs, generator = list(pictures()), torch.Generator().manual_seed(SEED)
    optimiser = torch.optim.Adam(network.parameters(), 2e-3)
    for step in range(STEPS):
        pixels = batch(photographs, generator)
        loss = F.mse_loss(network.decode(network.encode(pixels).latents).sample, pixels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 100 == 99:
            print(f"  step {step + 1}: {loss.item():.4f}")
    weights = {name: value.detach() for name, value in network.state_dict().items()}
    save_tensors("small_autoencoder.safetensors", weights, origin(__file__, seed=str(SEED), pictures=", ".join(path.name for path in PICTURES)))
    config = {key: value for key, value in json.loads(network.to_json_string()).items() if key != "_use_default_values"}
    (FOLDER / "small_autoencoder.config.json").write_text(json.dumps(config, indent=2) + "\n")


if __name__ == "__main__":
    main()
