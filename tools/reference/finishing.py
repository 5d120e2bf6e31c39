"""Finishing of decoded pixels: strokes and smoothing along the lines of a picture, flat cells. The numeric reference of the starter's.

Imported by the reference and by training; knows nothing of models. Pictures are [1, 3, H, W] in -1..1, of any float dtype.

1. Tones are 0.299 R + 0.587 G + 0.114 B of colours in 0..1. Sobel's gradients (unscaled: 1 2 1 by -1 0 1) of them, edges repeated,
   give structure tensors (xx, xy, yy). Their means over cells of 4 x 4 pixels are blurred by 1, 2.5 and 6 cells (Gaussian, cut at three
   deviations, edges repeated), weighed 1, 0.25 and 0.1, and added to the tensor of a place that says nothing.
2. Enlarged bilinearly (half-pixel centres, edges repeated), each pixel's tensor has a direction across its gradient.
3. From every pixel `reach` * weight steps of a pixel go to either side, each in the direction of the nearest pixel, turned to go on; the
   colours between pixels on the way (bilinear) are averaged with the first. A last step that is not whole counts in part.
4. 1.5 times what a Gaussian of 2 pixels takes away is added, clamped to -1..1; both this and the share of the way from the picture that
   is gone are as much less as the weight is below 1.

Smoothing is 1 to 3 with a reach and a share of its own. Cells of k x k pixels get their mean colour, or a share of the way to it.
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
    luma = torch.tensor(LUMA).to(picture)
    tones = F.pad((((picture + 1) / 2) * luma.view(1, 3, 1, 1)).sum(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
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
    height, width = picture.shape[-2:]
    total = picture[0].clone()
    for way in (1, -1):
        y, x = torch.meshgrid(torch.arange(height).to(picture), torch.arange(width).to(picture), indexing="ij")
        last = way * lines
        for step in range(math.ceil(reach)):
            here = lines[:, y.round().long(), x.round().long()]
            last = here * torch.where((here * last).sum(0) < 0, -1.0, 1.0)
            x, y = (x + last[0]).clamp(0, width - 1), (y + last[1]).clamp(0, height - 1)
            total += min(1.0, reach - step) * between(picture, y, x)
    return total[None] / (1 + 2 * reach)


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
    """The weights [N, 3] of strokes, cells and smoothing that pooled texts [N, C] want; `rule` is a model's finish.json."""
    hidden, out = ([torch.tensor(rule[layer][part]).to(pooled) for part in ("weights", "biases")] for layer in ("hidden", "out"))
    points = [rule[part]["weight_by_strength"] for part in ("strokes", "cells", "smoothing")]
    factors = torch.tensor([float(np.interp(strength, *zip(*pairs))) for pairs in points]).to(pooled)
    return F.linear(F.silu(F.linear(pooled, *hidden)), *out).clamp(0, 1) * factors


def finished(picture, guide, rule, pooled, strength):
    """A decoded picture as a prompt with the pooled text [1, C] wants it; strokes and smoothing follow the lines of `guide`, or its own."""
    strokes, cells, smoothing = weights(rule, pooled, strength)[0].tolist()
    if smoothing:
        picture = smoothed(picture, guide, rule["smoothing"]["reach"], smoothing)
    picture = drawn(picture, guide, strokes, rule["strokes"]["reach"])
    return celled(picture, rule["cells"]["side"], cells)
