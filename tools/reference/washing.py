"""The colours put under a line drawing before it is transformed. The numeric reference of the starter's wash.

Imported by the reference and by training; knows nothing of networks. Pictures are [1, 3, H, W] in -1..1, of any float dtype.

1. Tones are 0.299 R + 0.587 G + 0.114 B of colours in 0..1, the paper the least of 256 levels that nine tenths of the tones do not exceed. A
   picture counts as a drawing as far as it is without colour (mean of largest less least of the three, 0.08 to 0.04), on light paper (0.75
   to 0.85), much of it blank (tones above paper - 0.06 of 0.35 to 0.5 of all pixels), not all of it (0.999 to 0.995), and what is not blank
   thin (the share of whole blocks without any blank pixel, over the share of pixels that are not blank, 0.5 to 0.25; a block's side is a 64th of
   the root of all pixels, rounded, 4 at least).
2. Its darkness, 1 - tone / paper within 0..1, is averaged over the cells of a grid of about 32 x 32 with its shape, both sides multiples of 4, each
   cell cut into 4 x 4. A network gives logits for each cell over a palette.
3. The palette's colours are averaged by the softmax of (logits + spread * preference) / temperature, a preference being a normal number per
   colour, by the seed.
4. Colours flow between lines: on the cut cells, from bilinearly enlarged colours (half-pixel centres, edges repeated), each with the trust
   (1 - darkness of its cell) ** 4, colour and trust are averaged with their four neighbours', who count as far as both are free of
   lines: (1 - 3 * darkness within 0..1) of the one times that of the other. FLOWS times.
5. Enlarged bilinearly, the colours are multiplied by the picture's own over the paper's tone, within 0..1, and the picture goes as far towards that as it is a drawing, times a
   share by strength.
"""
import math

import numpy as np
import torch
import torch.nn.functional as F

LUMA = (0.299, 0.587, 0.114)
CELLS, MULTIPLE, CELL = 1024, 4, 4
FLOWS = 48
BLOCKS = 64
LEAST_SIDE, MOST_SIDE = 4, 128


def tones(picture):
    """[H, W] in 0..1."""
    luma = torch.tensor(LUMA).to(picture)
    return (((picture + 1) / 2) * luma.view(1, 3, 1, 1)).sum(1)[0]


def paper_of(tone):
    """The tone of the paper."""
    levels = (tone.clamp(0, 1) * 255 + 0.5).floor().long()
    counts = torch.bincount(levels.flatten(), minlength=256).cumsum(0)
    return float((counts * 10 >= 9 * levels.numel()).nonzero()[0, 0]) / 255


def rising(value, start, end):
    """0 at `start`, 1 at `end`, straight between."""
    return min(max((value - start) / (end - start), 0.0), 1.0)


def drawing_share(picture):
    """How far a picture is a drawing on blank paper, 0 to 1."""
    tone = tones(picture)
    paper = paper_of(tone)
    block = max(4, int(math.sqrt(tone.numel()) / BLOCKS + 0.5))
    inked = (tone <= paper - 0.06).to(torch.float64)
    blank = 1 - float(inked.mean())
    solid = float((F.avg_pool2d(inked[None, None], block) >= 1).to(torch.float64).mean()) / max(1 - blank, 1e-9)
    colours = (picture[0] + 1) / 2
    colour = float((colours.max(0).values - colours.min(0).values).to(torch.float64).mean())
    paper_like = rising(paper, 0.75, 0.85) * rising(blank, 0.35, 0.5) * rising(blank, 0.999, 0.995)
    return rising(colour, 0.08, 0.04) * paper_like * rising(solid, 0.5, 0.25)


def grid_of(height, width):
    """Cells down and across."""
    scale = math.sqrt(CELLS / (height * width))
    return [min(max(int(side * scale / MULTIPLE + 0.5) * MULTIPLE, LEAST_SIDE), MOST_SIDE) for side in (height, width)]


def means(plane, size):
    """[H, W] averaged over `size` cells, whose edges may lie within pixels."""
    for side in size:
        places = torch.arange(side + 1, dtype=torch.float64) * plane.shape[0] / side
        starts, ends = places[:-1, None], places[1:, None]
        pixels = torch.arange(plane.shape[0], dtype=torch.float64)[None]
        shares = (torch.minimum(ends, pixels + 1) - torch.maximum(starts, pixels)).clamp(min=0)
        plane = ((shares * side / plane.shape[0]).to(plane) @ plane).T
    return plane


def darkness(picture, grid):
    """The darkness of the cut cells, [4 h, 4 w]."""
    tone = tones(picture)
    return means((1 - tone / max(paper_of(tone), 1 / 255)).clamp(0, 1), [side * CELL for side in grid])


def network_input(dark):
    """What the network sees, [1, 17, h, w]: the cut cells of each cell, and how far down it is."""
    cells = F.pixel_unshuffle(dark[None, None], CELL)
    height, width = cells.shape[-2:]
    down = (torch.arange(height) + 0.5) / height
    return torch.cat([cells, down[None, None, :, None].expand(1, 1, height, width).to(cells)], 1)


def colours_of(logits, rule, preference):
    """The colours [1, 3, h, w] in 0..1 for logits [1, K, h, w] and a preference [K]."""
    leaning = logits + rule["spread"] * preference.to(logits).view(1, -1, 1, 1)
    shares = torch.softmax(leaning / rule["temperature"], 1)
    return torch.einsum("nkhw,kc->nchw", shares, torch.tensor(rule["palette"]).to(logits))


def flowed(colours, dark):
    """Colours of the cut cells, [1, 3, 4 h, 4 w]."""
    size = dark.shape
    colours = F.interpolate(colours, size=size, mode="bilinear", align_corners=False)
    cells = means(dark, [side // CELL for side in size])
    trust = F.interpolate(((1 - cells) ** 4)[None, None], size=size, mode="nearest")
    free = (1 - 3 * dark).clamp(0, 1)[None, None]
    state = torch.cat([colours * trust, trust], 1)

    def shifted(field, down, across):
        height, width = field.shape[-2:]
        padded = F.pad(field, (1, 1, 1, 1))
        return padded[..., 1 + down : 1 + down + height, 1 + across : 1 + across + width]

    ways = ((-1, 0), (1, 0), (0, -1), (0, 1))
    weights = [free * shifted(free, *way) for way in ways]
    total = 1 + sum(weights)
    for _ in range(FLOWS):
        state = (state + sum(weight * shifted(state, *way) for weight, way in zip(weights, ways))) / total
    return state[:, :3] / state[:, 3:].clamp(min=1e-6)


def washed(picture, colours, dark, share):
    """The picture, a share of the way to its lines over colours [1, 3, h, w] in 0..1."""
    lines = ((picture + 1) / 2 / max(paper_of(tones(picture)), 1 / 255)).clamp(0, 1)
    under = F.interpolate(flowed(colours, dark), size=picture.shape[-2:], mode="bilinear", align_corners=False)
    return picture + share * (2 * under * lines - 1 - picture)


def share_of(picture, rule, strength):
    """How far a picture is washed."""
    return drawing_share(picture) * float(np.interp(strength, *zip(*rule["share_by_strength"])))


def laid(picture, prompt, rule, strength, seed, network):
    """The picture with colours under its lines, as far as it is a drawing; `network` gives logits for its input and a text."""
    share = share_of(picture, rule, strength)
    if share <= 0:
        return picture
    dark = darkness(picture, grid_of(*picture.shape[-2:]))
    seen = network_input(dark)
    without = network(seen, "")
    logits = without + rule["guidance_scale"] * (network(seen, prompt) - without)
    preference = torch.randn(logits.shape[1], generator=torch.Generator().manual_seed(seed))
    return washed(picture, colours_of(logits, rule, preference), dark, share)
