// The painted mask of the source on the page. Each source has its own; they outlive a reload and a change of source.

import * as api from "../api";
import { read, write } from "../lib/keep";
import { Mask, readOps, type Area, type Dab, type Op } from "../lib/mask";
import { greyPng } from "../lib/png";
import type { Source } from "../types";

export type Tool = "brush" | "eraser" | "box" | "hand";

/** Sources whose masks are kept. */
const SOURCES = 12;

class MaskState {
  tool = $state<Tool>("brush");
  /** Width of the brush, in pixels of the source. */
  size = $state(48);
  coverage = $state(0);
  canUndo = $state(false);
  canRedo = $state(false);
  /** The mask of this source is on its way, or cannot be had just now. */
  loading = $state(false);
  broken = $state(false);
  /** The browser has no room to keep it over a reload. */
  unkept = $state(false);
  /** Called with what changed, for who draws it. */
  changed: (area: Area) => void = () => {};
  mask = $state.raw<Mask | null>(null);
  #source = "";
  #opening: Promise<void> = Promise.resolve();
  /** What the service has as the picture `sha256`, by the operations that made it. */
  #put: { sha256: string; done: readonly Op[] } | null = null;

  /** Takes the mask of `source` up, as it was left. Throws where a part of it cannot be had just now. */
  async open(source: Source | null): Promise<void> {
    if (source === null) return;
    if (source.sha256 !== this.#source) {
      const ops = readOps((read(`mask.${source.sha256}`) as { done?: unknown } | null)?.done) ?? [];
      this.size = Math.max(4, Math.round(Math.max(source.width, source.height) / 16));
      this.#opening = this.#fill(source, ops);
    }
    // Who comes second waits too: what is kept must not come over what is done meanwhile.
    await this.#opening;
  }

  /** Takes a mask picture of the service as the mask of `source`. Throws where it cannot be had. */
  async take(source: Source, sha256: string): Promise<void> {
    if (source.sha256 === this.#source && this.#put?.sha256 === sha256 && sameOps(this.#put.done, this.mask?.done ?? [])) return;
    await this.open(source);
    const mask = this.mask;
    if (!mask || this.#source !== source.sha256) return;
    const pixels = await pixelsOf(sha256, mask);
    if (this.mask !== mask) return; // another source came meanwhile
    mask.know(sha256, pixels);
    this.apply({ kind: "picture", sha256 });
    this.#put = { sha256, done: [...mask.done] };
  }

  /** Puts the mask as a picture. Gives its hash, null where nothing is painted. */
  async put(): Promise<string | null> {
    const mask = this.mask;
    if (!mask || mask.coverage === 0) return null;
    const done = [...mask.done];
    const { sha256 } = await api.sources.put(await greyPng(mask.width, mask.height, mask.pixels), "mask.png");
    this.#put = { sha256, done };
    return sha256;
  }

  begin(erase: boolean, dab: Dab): void {
    if (this.mask) this.#tell(this.mask.begin(erase, dab));
  }

  extend(dab: Dab): void {
    if (this.mask) this.#tell(this.mask.extend(dab));
  }

  end(): void {
    this.mask?.end();
    this.#settle();
  }

  abort(): void {
    this.mask?.abort();
    this.#whole();
  }

  apply(op: Op): void {
    this.mask?.apply(op);
    this.#whole();
    this.#settle();
  }

  undo(): void {
    this.mask?.undo();
    this.#whole();
    this.#settle();
  }

  redo(): void {
    this.mask?.redo();
    this.#whole();
    this.#settle();
  }

  async #fill(source: Source, ops: Op[]): Promise<void> {
    const mask = new Mask(source.width, source.height);
    this.#source = source.sha256;
    this.#put = null;
    this.mask = mask;
    this.#whole();
    const needed = [...new Set(ops.flatMap((op) => (op.kind === "picture" ? [op.sha256] : [])))];
    this.loading = needed.length > 0;
    this.broken = false;
    for (const sha256 of needed) {
      try {
        mask.know(sha256, await pixelsOf(sha256, mask));
      } catch (error) {
        if (this.mask !== mask) return;
        if (!(error instanceof api.ApiError && error.status === 404)) {
          // What is kept stays as it is, for another try.
          [this.#source, this.mask, this.loading, this.broken] = ["", null, false, true];
          throw error;
        }
        // A picture that is gone leaves what was painted beside it.
        ops = ops.filter((op) => op.kind !== "picture" || op.sha256 !== sha256);
      }
    }
    if (this.mask !== mask) return;
    mask.restore(ops);
    this.loading = false;
    this.#whole();
  }

  #whole(): void {
    if (this.mask) this.#tell(this.mask.whole);
  }

  #tell(area: Area): void {
    const mask = this.mask;
    if (!mask) return;
    this.coverage = mask.coverage;
    this.canUndo = mask.canUndo;
    this.canRedo = mask.canRedo;
    this.changed(area);
  }

  /** Keeps what was done, and lets go of the masks that were not touched for longest. */
  #settle(): void {
    const mask = this.mask;
    if (!mask) return;
    this.canUndo = mask.canUndo;
    this.canRedo = mask.canRedo;
    const listed = read("masks");
    const others = (Array.isArray(listed) ? listed : []).filter((it): it is string => typeof it === "string" && it !== this.#source);
    const kept = mask.done.length > 0 ? { done: mask.done } : null;
    while (others.length >= SOURCES) write(`mask.${others.shift()}`, null);
    this.unkept = !write(`mask.${this.#source}`, kept);
    while (this.unkept && others.length > 0) {
      write(`mask.${others.shift()}`, null);
      this.unkept = !write(`mask.${this.#source}`, kept);
    }
    write("masks", kept ? [...others, this.#source] : others);
  }
}

const sameOps = (a: readonly Op[], b: readonly Op[]): boolean => a.length === b.length && a.every((op, at) => op === b[at]);

/** The coverage of a mask picture, brought to the size of `mask`: brightness times alpha. */
async function pixelsOf(sha256: string, mask: Mask): Promise<Uint8Array> {
  const picture = await createImageBitmap(await api.sources.file(sha256), { colorSpaceConversion: "none" });
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [mask.width, mask.height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("the browser gives no canvas");
  context.drawImage(picture, 0, 0, mask.width, mask.height);
  picture.close();
  const { data } = context.getImageData(0, 0, mask.width, mask.height);
  const brightness = (at: number): number => 0.299 * data[at]! + 0.587 * data[at + 1]! + 0.114 * data[at + 2]!;
  return Uint8Array.from({ length: mask.pixels.length }, (_, at) => Math.round((brightness(4 * at) * data[4 * at + 3]!) / 255));
}

export const masks = new MaskState();
