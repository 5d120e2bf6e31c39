"""Space to depth, the starter's low-pass, its strokes and cells, its wash on small pictures.

    python tools/reference/image_ops.py

Writes image_ops.safetensors: `ramp` [1, 3, 8, 12] (0, 1, 2 ...) and `ramp.unshuffled` [1, 48, 2, 3], torch's pixel_unshuffle by 4;
`pixels` [1, 3, 13, 19] in -1..1 and `low_pass.2`, `low_pass.8` of it, in sizes that no factor divides, computed in float64;
`even` [1, 3, 16, 32] and `even.low_pass.2`, `even.low_pass.8`, in sizes that both divide;
`lines` and `grain` [1, 3, 31, 50] in -1..1, and `strokes.W`, `grain` with strokes of weight W and a reach of 4 along `lines`, and
`own_strokes.W` along its own; `smoothed.0.7`, a share of 0.7, reach 0.5; `cells.0.7`, `grain` 0.7 of the way to cells of 8 pixels;
`woven` [1, 3, 32, 48] in -1..1 and `guide` of the same shape; of `woven`: `unwoven`, of patches of 4; `pigmented`, a share of 0.7 along `guide`,
and `own_pigmented` along its own; `graded`, a share of 0.7 of GRADE;
`drawing` [1, 3, 61, 100] in -1..1, `drawing.input` [1, 17, 24, 40], what the wash's network sees of it, `drawing.logits` [1, 5, 24, 40] and
`drawing.preference` [5], `drawing.palette` [5, 3] in 0..1, and `drawing.washed`, 0.8 of the way that it is a drawing, at temperature 0.5 and spread 0.7.
"""
import torch
import torch.nn.functional as F

from finishing import celled, drawn, graded, pigmented, smoothed, unwoven
from output import origin, save_tensors
from starter import low_pass
from washing import colours_of, darkness, drawing_share, grid_of, network_input, washed

SEED = 301
GRADE = {"matrix": [[0.5, 0.3, 0.0], [0.1, 1.2, 0.0], [0.0, -0.2, 0.8]], "offset": [0.05, -0.1, 0.2], "gamma": 1.5}


def main():
    ramp = torch.arange(3 * 8 * 12, dtype=torch.float32).reshape(1, 3, 8, 12)
    tensors = {"ramp": ramp, "ramp.unshuffled": F.pixel_unshuffle(ramp, 4)}
    generator = torch.Generator().manual_seed(SEED)
    for name, prefix, (height, width) in (("pixels", "", (13, 19)), ("even", "even.", (16, 32))):
        pixels = torch.rand((1, 3, height, width), generator=generator) * 2 - 1
        tensors[name] = pixels
        tensors |= {f"{prefix}low_pass.{factor}": low_pass(pixels.double(), factor) for factor in (2, 8)}
    lines, grain = (torch.rand((1, 3, 31, 50), generator=generator) * 2 - 1 for _ in range(2))
    tensors |= {"lines": low_pass(lines, 8), "grain": grain}
    for weight in (0.3, 1.0, 1.5):
        guides = {"strokes": tensors["lines"], "own_strokes": grain}
        tensors |= {f"{name}.{weight}": drawn(grain.double(), guide.double(), weight, 4.0) for name, guide in guides.items()}
    tensors["smoothed.0.7"] = smoothed(grain.double(), tensors["lines"].double(), 0.5, 0.7)
    tensors["cells.0.7"] = celled(grain.double(), 8, 0.7)
    # Lines of an ink that is not quite black where a smooth field is nearly 0, on paper that is not quite white; some of them thick.
    field = low_pass(torch.rand((1, 3, 61, 100), generator=generator) * 2 - 1, 8).mean(1, keepdim=True)
    ink = torch.tensor([1.7, 1.4, 1.6]).view(1, 3, 1, 1)
    drawing = 0.93 - ink * (1 - 46 * field.abs()).clamp(min=0)
    palette, preference = torch.rand((5, 3), generator=generator), torch.randn(5, generator=generator)
    dark = darkness(drawing.double(), grid_of(61, 100))
    seen = network_input(dark)
    logits = low_pass(torch.randn((1, 5, 24, 40), generator=generator), 4) * 3
    rule = {"palette": palette.tolist(), "temperature": 0.5, "spread": 0.7}
    under = colours_of(logits.double(), rule, preference)
    share = drawing_share(drawing.double())
    print(f"drawing: share {share}")
    named = {"input": seen, "logits": logits, "preference": preference, "palette": palette}
    tensors |= {"drawing": drawing} | {f"drawing.{name}": value for name, value in named.items()}
    tensors["drawing.washed"] = washed(drawing.double(), under, dark, 0.8 * share)
    smooth = low_pass(torch.rand((1, 3, 32, 48), generator=generator) * 2 - 1, 8)
    weave = (torch.rand((1, 3, 4, 4), generator=generator) - 0.5).repeat(1, 1, 8, 12)
    grain = torch.rand((1, 3, 32, 48), generator=generator) - 0.5
    tensors |= {"woven": (smooth + 0.3 * weave + 0.2 * grain).clamp(-1, 1), "guide": smooth}
    woven = tensors["woven"].double()
    tensors |= {"unwoven": unwoven(woven, 4), "pigmented": pigmented(woven, smooth.double(), 0.7), "graded": graded(woven, GRADE, 0.7)}
    tensors["own_pigmented"] = pigmented(woven, None, 0.7)
    save_tensors("image_ops.safetensors", tensors, origin(__file__, seed=SEED, arithmetic="float64, stored as float32"))


if __name__ == "__main__":
    main()
