"""Finishing of decoded pixels: what patches of pixels say badly, done afterwards. The numeric reference of the starter's.

Imported by the reference and by training; knows nothing of models. Pictures are [1, 3, H, W] in -1..1, of any float dtype.
Blurs are Gaussian, cut at three deviations, edges repeated. The weave goes first; then come smoothing, pigment, strokes, cells and grades.

The weave, which is what repeats from patch to patch of k x k pixels, is taken away. Detail is what a blur of 2 pixels takes away. A patch is
calm, between 0 and 1, as 1 / (1 + the mean square of its detail / 0.16). The mean of all patches' details, within -0.2..0.2, weighed by calm
squared and blurred by 3 patches, less its own mean of each colour, times calm, is subtracted.

Strokes, along the lines of a guide or the picture's own:

1. Tones are 0.299 R + 0.587 G + 0.114 B of colours in 0..1. Sobel's gradients (unscaled: 1 2 1 by -1 0 1) of them, edges repeated,
   give structure tensors (xx, xy, yy). Their means over cells of 4 x 4 pixels are blurred by 1, 2.5 and 6 cells, weighed 1, 0.25 and 0.1,
   and added to the tensor of a place that says nothing.
2. Enlarged bilinearly (half-pixel centres, edges repeated), each pixel's tensor has a direction across its gradient.
3. From every pixel `reach` * weight steps of a pixel go to either side, each in the direction of the nearest pixel, turned to go on; the
   colours between pixels on the way (bilinear) are averaged with the first. A last step that is not whole counts in part.
4. 1.5 times what a Gaussian of 2 pixels takes away is added, clamped to -1..1; both this and the share of the way from the picture that
   is gone are as much less as the weight is below 1.

Smoothing is 1 to 3 with a reach and a share of its own. Cells of k x k pixels get their mean colour, or a share of the way to it.

Pigment makes washes as watercolours have them:

1. Twice, means of 4 pixels to either side along the lines and then of 4 across them, each pixel weighed by a Gaussian of 2.2 pixels and by
   (1 - (d / 0.3)^2)^2 where its colour is d < 0.3 from the first's.
2. Every pixel's colour is taken from up to 2 pixels aside, x and y each by noise.
3. Tones, in 0..1, times 8, with up to 0.35 of noise added, go to whole steps: between two of them as (1 + tanh(6 (v - 0.5)) / tanh(3)) / 2 goes from
   0 to 1. What colours have beside their tone grows by 1.15.
4. Pigment lies 1 + 8 e + 1.5 r + 0.5 c + 0.12 g thick: e, at most 0.12, is the central difference's size of tones blurred by 0.8 pixels, r, within
   0..0.1, how much darker those are than blurred by 3, c noise of clouds, g of the paper's grain. A colour moves 0.2 (tone - 0.35) / 0.65 of the way to
   white, not below 0; then thickness d takes (d - 1) (colour - colour^2) off (Bousseau et al. 2006).

Noise is -1..1, by fields of lattices whose points are hashed, on t^2 (3 - 2 t) between points.

A grade is a power of a matrix times colours in 0..1 plus an offset, within 0..1; or a share of the way to it.
"""
import math

import numpy as np
import torch
import torch.nn.functional as F

CELL = 4
SCALES = ((1.0, 1.0), (2.5, 0.25), (6.0, 0.1))
RESTING = (0.9e-4, 2.2e-4, 5.1e-4)
LUMA = (0.299, 0.587, 0.114)
SHARPENING, SHARPENING_BLUR = 1.5, 2.0
DETAIL_BLUR, PATCHES_BLUR, DETAIL_LIMIT, CALM = 2.0, 3.0, 0.2, 0.16
ROUNDS, AROUND, NEARNESS, LIKENESS = 2, 4, 2.2, 0.3
WOBBLE, TONES, TONE_NOISE, STEEPNESS, SATURATION = 2.0, 8, 0.35, 3.0, 1.15
EDGE, EDGE_LIMIT, EDGE_BLUR, RIM, RIM_LIMIT, RIM_BLUR, CLOUDS, GRAIN = 8.0, 0.12, 0.8, 1.5, 0.1, 3.0, 0.5, 0.12
LIFT, LIFT_FROM = 0.2, 0.35
# Fields of noise: pairs of a lattice's spacing in pixels and a share.
NOISES = {
    "aside_x": ((11, 1.0),),
    "aside_y": ((11, 1.0),),
    "tones": ((40, 0.5), (15, 0.5)),
    "clouds": ((64, 0.6), (23, 0.4)),
    "grain": ((2, 1.0), (3, 1.0)),
}
PARTS = ("strokes", "cells", "smoothing", "pigment")


def blurred(fields, deviation):
    """[1, C, H, W] through a Gaussian of `deviation` pixels."""
    radius = math.ceil(3 * deviation)
    places = torch.arange(-radius, radius + 1, dtype=torch.float64)
    kernel = torch.exp(-((places / deviation) ** 2) / 2)
    kernel = (kernel / kernel.sum()).to(fields)
    channels = fields.shape[1]
    down = kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    fields = F.conv2d(F.pad(fields, (0, 0, radius, radius), mode="replicate"), down, groups=channels)
    return F.conv2d(F.pad(fields, (radius, radius, 0, 0), mode="replicate"), down.transpose(2, 3), groups=channels)


def directions(picture):
    """The unit vectors [2, H, W] (x, y) along the lines of a picture."""
    height, width = picture.shape[-2:]
    tones = F.pad(toned((picture + 1) / 2), (1, 1, 1, 1), mode="replicate")
    down = tones[..., :-2, :] + 2 * tones[..., 1:-1, :] + tones[..., 2:, :]
    across = tones[..., :-2] + 2 * tones[..., 1:-1] + tones[..., 2:]
    dx, dy = down[..., 2:] - down[..., :-2], across[..., 2:, :] - across[..., :-2, :]
    products = torch.cat([dx * dx, dx * dy, dy * dy], 1)
    products = F.pad(products, (0, -width % CELL, 0, -height % CELL), mode="replicate")
    cells = F.avg_pool2d(products, CELL)
    tensors = torch.tensor(RESTING).to(picture).view(1, 3, 1, 1) + sum(weight * blurred(cells, scale) for scale, weight in SCALES)
    tensors = F.interpolate(tensors, scale_factor=CELL, mode="bilinear", align_corners=False)[..., :height, :width]
    xx, xy, yy = tensors[0]
    difference, twice = xx - yy, 2 * xy
    cosine = difference / torch.sqrt(difference**2 + twice**2)
    gradient_x = torch.sqrt(((1 + cosine) / 2).clamp(min=0))
    gradient_y = torch.sqrt(((1 - cosine) / 2).clamp(min=0)) * torch.where(twice < 0, -1.0, 1.0)
    return torch.stack([-gradient_y, gradient_x])


def between(picture, y, x):
    """The colours [3, H, W] of a picture at places between its pixels."""
    height, width = picture.shape[-2:]
    top, left = y.floor().long(), x.floor().long()
    bottom, right = (top + 1).clamp(max=height - 1), (left + 1).clamp(max=width - 1)
    colours = picture[0]
    upper = colours[:, top, left] + (x - left) * (colours[:, top, right] - colours[:, top, left])
    lower = colours[:, bottom, left] + (x - left) * (colours[:, bottom, right] - colours[:, bottom, left])
    return upper + (y - top) * (lower - upper)


def integrals(picture, lines, reach):
    """Means of the colours within `reach` pixels along the lines, to either side of each pixel."""
    total = picture[0].clone()
    for y, x, distance in along(lines, math.ceil(reach)):
        total += min(1.0, reach - (distance - 1)) * between(picture, y, x)
    return total[None] / (1 + 2 * reach)


def unwoven(picture, patch):
    """A picture without what repeats from patch to patch of `patch` pixels a side; its sides are multiples of it."""
    detail = F.pixel_unshuffle(picture - blurred(picture, DETAIL_BLUR), patch)
    calm = 1 / (1 + detail.pow(2).mean(1, keepdim=True) / CALM)
    weights = calm**2
    summed = blurred(detail.clamp(-DETAIL_LIMIT, DETAIL_LIMIT) * weights, PATCHES_BLUR)
    repeated = (summed / blurred(weights, PATCHES_BLUR)).unflatten(1, (3, patch * patch))
    repeated = (repeated - repeated.mean(2, keepdim=True)).flatten(1, 2) * calm
    return picture - F.pixel_shuffle(repeated, patch)


def noise(size, spacing, field, like):
    """A field [H, W] of noise in -1..1 on a lattice of points `spacing` pixels apart."""
    height, width = size
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")

    def point(y, x):
        bits = (y * 374761393 + x * 668265263 + field * 1442695041) & 0xFFFFFFFF
        bits = ((bits ^ (bits >> 13)) * 1274126177) & 0xFFFFFFFF
        return ((bits ^ (bits >> 16)) & 0xFFFF).to(like) / 65535 * 2 - 1

    def eased(place):
        share = (place % spacing).to(like) / spacing
        return share * share * (3 - 2 * share)

    top, left, down, across = y // spacing, x // spacing, eased(y), eased(x)
    upper = point(top, left) + across * (point(top, left + 1) - point(top, left))
    lower = point(top + 1, left) + across * (point(top + 1, left + 1) - point(top + 1, left))
    return upper + down * (lower - upper)


def noises(name, size, like):
    """The sum [H, W] of a name's fields of noise."""
    first = sum(len(NOISES[before]) for before in list(NOISES)[: list(NOISES).index(name)])
    return sum(share * noise(size, spacing, first + n, like) for n, (spacing, share) in enumerate(NOISES[name]))


def alike(picture, places):
    """Means of each pixel and what `places` yields for it, y, x and a distance in pixels, weighed by nearness and likeness."""
    total, weights = picture[0].clone(), torch.ones_like(picture[0, 0])
    for y, x, distance in places:
        colours = between(picture, y, x)
        apart = ((colours - picture[0]) ** 2).sum(0)
        near = math.exp(-((distance / NEARNESS) ** 2) / 2)
        weight = near * (1 - apart / LIKENESS**2).clamp(min=0) ** 2
        total, weights = total + weight * colours, weights + weight
    return (total / weights)[None]


def along(lines, steps):
    """Places along the lines, y, x and how many pixels on, so many steps to either side of each pixel."""
    height, width = lines.shape[1:]
    for way in (1, -1):
        y, x = torch.meshgrid(torch.arange(height).to(lines), torch.arange(width).to(lines), indexing="ij")
        last = way * lines
        for step in range(steps):
            here = lines[:, y.round().long(), x.round().long()]
            last = here * torch.where((here * last).sum(0) < 0, -1.0, 1.0)
            x, y = (x + last[0]).clamp(0, width - 1), (y + last[1]).clamp(0, height - 1)
            yield y, x, step + 1


def across(lines):
    """Places straight across the lines, to either side of each pixel."""
    height, width = lines.shape[1:]
    y, x = torch.meshgrid(torch.arange(height).to(lines), torch.arange(width).to(lines), indexing="ij")
    for way in (1, -1):
        for step in range(1, AROUND + 1):
            aside = way * step
            yield (y + aside * lines[0]).clamp(0, height - 1), (x - aside * lines[1]).clamp(0, width - 1), step


def toned(colours):
    """Tones [1, 1, H, W] of colours."""
    return (colours * torch.tensor(LUMA).to(colours).view(1, 3, 1, 1)).sum(1, keepdim=True)


def pigmented(picture, guide, share):
    """A picture a share of the way to washes of pigment, all of it from 1 on; `guide` says where its lines are."""
    if share <= 0:
        return picture
    size = height, width = picture.shape[-2:]
    lines = directions(picture if guide is None else guide)
    flat = picture
    for _ in range(ROUNDS):
        flat = alike(alike(flat, along(lines, AROUND)), across(lines))
    y, x = torch.meshgrid(torch.arange(height).to(picture), torch.arange(width).to(picture), indexing="ij")
    y = (y + WOBBLE * noises("aside_y", size, picture)).clamp(0, height - 1)
    x = (x + WOBBLE * noises("aside_x", size, picture)).clamp(0, width - 1)
    colours = (between(flat, y, x)[None] + 1) / 2
    tones = toned(colours)
    steps = TONES * tones + TONE_NOISE * noises("tones", size, picture)
    part = steps - steps.floor()
    even = (steps.floor() + (1 + torch.tanh(2 * STEEPNESS * (part - 0.5)) / math.tanh(STEEPNESS)) / 2) / TONES
    colours = (even + SATURATION * (colours - tones)).clamp(0, 1)
    tones = toned(colours)
    near = blurred(tones, EDGE_BLUR)
    padded = F.pad(near, (1, 1, 1, 1), mode="replicate")
    right, down = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2], padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    edges = (torch.sqrt(right**2 + down**2) / 2).clamp(max=EDGE_LIMIT)
    rims = (blurred(tones, RIM_BLUR) - near).clamp(0, RIM_LIMIT)
    pigment = EDGE * edges + RIM * rims + CLOUDS * noises("clouds", size, picture) + GRAIN * noises("grain", size, picture)
    colours = colours + LIFT * (1 - colours) * ((tones - LIFT_FROM) / (1 - LIFT_FROM)).clamp(min=0)
    colours = (colours - (colours - colours**2) * pigment).clamp(0, 1)
    return picture + min(1.0, share) * (2 * colours - 1 - picture)


def graded(picture, grade, share):
    """A picture a share of the way to a grade of finish.json, all of it from 1 on."""
    matrix, offset = (torch.tensor(grade[part]).to(picture) for part in ("matrix", "offset"))
    colours = torch.einsum("ij,njhw->nihw", matrix, (picture + 1) / 2) + offset.view(1, 3, 1, 1)
    return picture + min(1.0, share) * (2 * colours.clamp(0, 1) ** grade["gamma"] - 1 - picture)


def drawn(picture, guide, weight, reach):
    """A picture with strokes of `weight`, 0 or more, along the lines of `guide`, or its own; `reach` in pixels at weight 1."""
    if weight <= 0:
        return picture
    long = integrals(picture, directions(picture if guide is None else guide), reach * weight)
    share = min(1.0, weight)
    sharp = (long + SHARPENING * share * (long - blurred(long, SHARPENING_BLUR))).clamp(-1, 1)
    return picture + share * (sharp - picture)


def smoothed(picture, guide, reach, share):
    """A picture a share of the way to means along the lines of `guide`, or its own, all of it from 1 on."""
    means = integrals(picture, directions(picture if guide is None else guide), reach)
    return picture + min(1.0, share) * (means - picture)


def celled(picture, cell, weight):
    """A picture a share `weight` of the way to cells of one colour, all of it from 1 on."""
    height, width = picture.shape[-2:]
    padded = F.pad(picture, (0, -width % cell, 0, -height % cell), mode="replicate")
    cells = F.avg_pool2d(padded, cell).repeat_interleave(cell, 2).repeat_interleave(cell, 3)[..., :height, :width]
    return picture + min(1.0, weight) * (cells - picture)


def weights(rule, pooled, strength):
    """The weights [N, K] that pooled texts [N, C] want, of PARTS and then of the grades; `rule` is a model's finish.json."""
    hidden, out = ([torch.tensor(rule[layer][part]).to(pooled) for part in ("weights", "biases")] for layer in ("hidden", "out"))
    grading = rule["grading"]
    points = [rule[part]["weight_by_strength"] for part in PARTS] + [grading["weight_by_strength"]] * len(grading["grades"])
    factors = torch.tensor([float(np.interp(strength, *zip(*pairs))) for pairs in points]).to(pooled)
    return F.linear(F.silu(F.linear(pooled, *hidden)), *out).clamp(0, 1) * factors


def finished(picture, guide, rule, pooled, strength):
    """A decoded picture as a prompt with the pooled text [1, C] wants it; what is done along lines follows those of `guide`, or its own."""
    strokes, cells, smoothing, pigment, *grades = weights(rule, pooled, strength)[0].tolist()
    picture = unwoven(picture, rule["weave"]["patch"])
    if smoothing:
        picture = smoothed(picture, guide, rule["smoothing"]["reach"], smoothing)
    picture = pigmented(picture, guide, pigment)
    picture = drawn(picture, guide, strokes, rule["strokes"]["reach"])
    picture = celled(picture, rule["cells"]["side"], cells)
    for grade, share in zip(rule["grading"]["grades"], grades, strict=True):
        picture = graded(picture, grade, share) if share else picture
    return picture
