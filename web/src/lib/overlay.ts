// A mask on a canvas: tinted stripes over what is repainted, so that they show on a picture of any colour.

import type { Area, Mask } from "./mask";

/** As `imagegen mask --over` tints. */
const TINT = [255, 0, 96] as const;
/** Longest side of the canvas; phones give larger ones no memory. */
const MOST = 2048;

/** How many pixels of the canvas one of the mask has, at most 1. */
const scaleOf = (mask: Mask): number => Math.min(1, MOST / Math.max(mask.width, mask.height));

/** Gives the canvas the mask's shape. */
export function fit(canvas: HTMLCanvasElement, mask: Mask): void {
  const scale = scaleOf(mask);
  canvas.width = Math.max(1, Math.round(mask.width * scale));
  canvas.height = Math.max(1, Math.round(mask.height * scale));
}

/** Draws what changed in `area` of the mask. */
export function draw(canvas: HTMLCanvasElement, mask: Mask, area: Area): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  const [across, down] = [mask.width / canvas.width, mask.height / canvas.height];
  const x0 = Math.max(0, Math.floor(area.x0 / across));
  const y0 = Math.max(0, Math.floor(area.y0 / down));
  const width = Math.min(canvas.width, Math.ceil(area.x1 / across) + 1) - x0;
  const height = Math.min(canvas.height, Math.ceil(area.y1 / down) + 1) - y0;
  if (width <= 0 || height <= 0) return;
  const image = context.createImageData(width, height);
  const stripe = Math.max(3, Math.round(Math.max(canvas.width, canvas.height) / 90));
  for (let y = 0; y < height; y += 1) {
    const row = Math.min(mask.height - 1, Math.floor((y0 + y + 0.5) * down)) * mask.width;
    for (let x = 0; x < width; x += 1) {
      const covered = mask.pixels[row + Math.min(mask.width - 1, Math.floor((x0 + x + 0.5) * across))]!;
      if (covered === 0) continue;
      const light = Math.floor((x0 + x + y0 + y) / stripe) % 2 === 0;
      image.data.set([...TINT, Math.round(covered * (light ? 0.38 : 0.58))], 4 * (y * width + x));
    }
  }
  context.putImageData(image, x0, y0);
}
