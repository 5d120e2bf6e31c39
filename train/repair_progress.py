"""Measures repairs: worse copies of a photograph against the photograph, before and after.

    python repair_progress.py --model run/model --size 512 photo.png ...

Every copy has one fault. Printed per fault and strength, averaged over the pictures: the peak
signal-to-noise ratio in dB and the sharpness (gradient of lightness, as a share of the clean
photograph's), of the copy and of the result.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch

from filters import Field, Image, gradient_size, grey, to_bytes, to_float
from starter import Settings, Starter, load_image

PROMPT = "sharp, detailed photo"
STRENGTHS = (0.25, 0.3, 0.4)


def blurred(pixels: Field) -> Field:
    """Blur by 1.5 pixels."""
    return cv2.GaussianBlur(pixels, (0, 0), 1.5)


def noisy(pixels: Field) -> Field:
    """Add noise of deviation 0.05."""
    noise = np.random.default_rng(1).standard_normal(pixels.shape)
    return pixels + 0.05 * noise.astype(np.float32)


def compressed(pixels: Field) -> Field:
    """Compress to JPEG of quality 20 and back."""
    _, encoded = cv2.imencode(".jpg", to_bytes(pixels), [cv2.IMWRITE_JPEG_QUALITY, 20])
    return to_float(cv2.imdecode(encoded, cv2.IMREAD_COLOR))


FAULTS = {"blurred": blurred, "noisy": noisy, "compressed": compressed}


def signal_to_noise(image: Image, clean: Image) -> float:
    """Return the peak signal-to-noise ratio in dB."""
    return float(cv2.PSNR(image, clean))


def sharpness(image: Image, clean: Image) -> float:
    """Return the mean gradient of lightness as a share of the clean picture's."""
    return float(gradient_size(grey(image)).mean() / gradient_size(grey(clean)).mean())


def main() -> None:
    """Measure a model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--save", type=Path, help="a folder for clean, worse and repaired pictures")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    starter = Starter(args.model)
    clean = [load_image(path, args.size) for path in args.pictures]
    for fault, spoil in FAULTS.items():
        worse = [to_bytes(spoil(to_float(image))) for image in clean]
        rows = {"copy": worse}
        for strength in STRENGTHS:
            settings = Settings(strength=strength)
            rows[f"{strength}"] = [starter.restyle(image, PROMPT, settings) for image in worse]
        for name, images in rows.items():
            pairs = list(zip(images, clean, strict=True))
            ratio = np.mean([signal_to_noise(*pair) for pair in pairs])
            sharp = np.mean([sharpness(*pair) for pair in pairs])
            print(f"{fault} {name}: {ratio:.2f} dB, sharpness {sharp:.2f}", flush=True)
        if args.save:
            args.save.mkdir(parents=True, exist_ok=True)
            for number, image in enumerate(clean):
                shown = [image, *(images[number] for images in rows.values())]
                cv2.imwrite(str(args.save / f"{fault}-{number}.png"), np.concatenate(shown, 1))


if __name__ == "__main__":
    main()
