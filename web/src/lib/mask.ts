// A mask as it is painted: one byte a pixel of the upright source, 255 repaints, 0 keeps. What was done is a list of
// operations, so that it can be taken back, kept and done again. Knows nothing of canvases and pointers.

/** A round dab, in pixels of the source. */
export interface Dab {
  x: number;
  y: number;
  radius: number;
}

/** One thing that was done. */
export type Op =
  /** Dabs in a row, as x, y, radius, x, … in quarters of a pixel. */
  | { kind: "stroke"; erase: boolean; dabs: number[] }
  /** Whole pixels. */
  | { kind: "box"; erase: boolean; x: number; y: number; width: number; height: number }
  | { kind: "invert" }
  | { kind: "clear" }
  /** A mask picture that the service has, in place of what was there. */
  | { kind: "picture"; sha256: string };

/** Pixels from (x0, y0) up to, not with, (x1, y1). */
export interface Area {
  x0: number;
  y0: number;
  x1: number;
  y1: number;
}

const LOOKS = 96 * (1 << 20);

/** Under 16 of 255 is none and over 239 is all, as the service reads masks: it would warn of every soft edge. */
export const settled = (coverage: number): number => (coverage < 16 ? 0 : coverage > 239 ? 255 : Math.round(coverage));

interface Look {
  pixels: Uint8Array;
  sum: number;
}

export class Mask {
  pixels: Uint8Array;
  #sum = 0;
  #done: Op[] = [];
  #undone: Op[] = [];
  /** The mask before each operation; null where that was let go to save memory. */
  #before: (Look | null)[] = [];
  #stroke: { erase: boolean; dabs: number[]; before: Look } | null = null;
  readonly #pictures = new Map<string, Uint8Array>();

  constructor(
    readonly width: number,
    readonly height: number,
    /** Memory for looks of the mask that undoing goes back to, in bytes; further back is done anew. */
    readonly memory: number = LOOKS,
  ) {
    this.pixels = new Uint8Array(width * height);
  }

  /** Share of the picture that is covered, grey counted in part, 0 to 1. */
  get coverage(): number {
    return this.#sum / (255 * this.pixels.length);
  }

  get done(): readonly Op[] {
    return this.#done;
  }

  get canUndo(): boolean {
    return this.#done.length > 0;
  }

  get canRedo(): boolean {
    return this.#undone.length > 0;
  }

  get whole(): Area {
    return { x0: 0, y0: 0, x1: this.width, y1: this.height };
  }

  /** Begins a stroke with its first dab. Gives what changed. */
  begin(erase: boolean, dab: Dab): Area {
    this.end();
    this.#stroke = { erase, dabs: [], before: this.#look() };
    return this.extend(dab);
  }

  /** Goes on to another dab. Gives what changed. */
  extend(dab: Dab): Area {
    const stroke = this.#stroke;
    if (!stroke) return { x0: 0, y0: 0, x1: 0, y1: 0 };
    const { dabs, erase } = stroke;
    dabs.push(...[dab.x, dab.y, Math.max(0.5, dab.radius)].map((it) => Math.round(it * 4)));
    return this.#sweep(dabs, Math.max(0, dabs.length - 6), erase);
  }

  /** The stroke is done. */
  end(): void {
    const stroke = this.#stroke;
    if (!stroke) return;
    this.#stroke = null;
    this.#push({ kind: "stroke", erase: stroke.erase, dabs: stroke.dabs }, stroke.before);
  }

  /** The stroke is not wanted. */
  abort(): void {
    if (this.#stroke) this.#show(this.#stroke.before);
    this.#stroke = null;
  }

  /** Does something at once; a stroke that goes on ends before. A picture has to be known, see [`Mask.know`]. */
  apply(op: Op): void {
    this.end();
    const before = this.#look();
    this.#draw(op);
    this.#push(op, before);
  }

  /** The box between two points, whole pixels; null where it lies outside. */
  boxOf(a: { x: number; y: number }, b: { x: number; y: number }, erase: boolean): Op | null {
    const within = (value: number, most: number): number => Math.min(most, Math.max(0, Math.round(value)));
    const x = within(Math.min(a.x, b.x), this.width);
    const y = within(Math.min(a.y, b.y), this.height);
    const width = within(Math.max(a.x, b.x), this.width) - x;
    const height = within(Math.max(a.y, b.y), this.height) - y;
    return width > 0 && height > 0 ? { kind: "box", erase, x, y, width, height } : null;
  }

  undo(): void {
    this.end();
    const op = this.#done.pop();
    if (!op) return;
    this.#undone.push(op);
    const before = this.#before.pop() ?? null;
    if (before) this.#show(before);
    else this.#replay();
  }

  redo(): void {
    this.end();
    const op = this.#undone.pop();
    if (!op) return;
    const before = this.#look();
    this.#draw(op);
    this.#done.push(op);
    this.#keep(before);
  }

  /** The coverage of a mask picture, by its hash. */
  know(sha256: string, pixels: Uint8Array): void {
    if (pixels.length !== this.pixels.length) throw new Error(`a mask of ${pixels.length} pixels, expected ${this.pixels.length}`);
    this.#pictures.set(sha256, pixels.map(settled));
  }

  /** Does all of `ops` on an empty mask. */
  restore(ops: readonly Op[]): void {
    this.#stroke = null;
    this.#done = [...ops];
    this.#undone = [];
    this.#before = ops.map(() => null);
    this.#replay();
  }

  #push(op: Op, before: Look): void {
    this.#done.push(op);
    this.#undone = [];
    this.#keep(before);
  }

  #keep(before: Look): void {
    this.#before.push(before);
    const most = Math.max(2, Math.floor(this.memory / this.pixels.length));
    const old = this.#before.length - 1 - most;
    if (old >= 0) this.#before[old] = null;
  }

  #look(): Look {
    return { pixels: this.pixels.slice(), sum: this.#sum };
  }

  #show({ pixels, sum }: Look): void {
    this.pixels = pixels;
    this.#sum = sum;
  }

  /** Everything once more, from the last operation on that leaves nothing of what was before. */
  #replay(): void {
    this.#draw({ kind: "clear" });
    const fresh = this.#done.map((op) => op.kind === "clear" || op.kind === "picture").lastIndexOf(true);
    for (const op of this.#done.slice(Math.max(0, fresh))) this.#draw(op);
  }

  #draw(op: Op): void {
    switch (op.kind) {
      case "stroke":
        for (let from = 0; from < op.dabs.length; from += 3) this.#sweep(op.dabs, Math.max(0, from - 3), op.erase);
        return;
      case "box":
        return this.#box(op);
      case "invert":
        for (let at = 0; at < this.pixels.length; at += 1) this.pixels[at] = 255 - this.pixels[at]!;
        this.#sum = 255 * this.pixels.length - this.#sum;
        return;
      case "clear":
        this.pixels.fill(0);
        this.#sum = 0;
        return;
      case "picture": {
        const pixels = this.#pictures.get(op.sha256);
        if (!pixels) throw new Error(`mask picture ${op.sha256} is not known`);
        this.pixels.set(pixels);
        this.#sum = pixels.reduce((sum, value) => sum + value, 0);
      }
    }
  }

  #box({ erase, x, y, width, height }: Op & { kind: "box" }): void {
    const value = erase ? 0 : 255;
    for (let row = y; row < y + height; row += 1) {
      for (let at = row * this.width + x; at < row * this.width + x + width; at += 1) {
        this.#sum += value - this.pixels[at]!;
        this.pixels[at] = value;
      }
    }
  }

  /** What a disc covers that goes from the dab at `from` of `dabs` to the next one, where there is one. */
  #sweep(dabs: readonly number[], from: number, erase: boolean): Area {
    const next = from + 3 < dabs.length ? from + 3 : from;
    const [ax, ay, ar, bx, by, br] = [dabs[from]!, dabs[from + 1]!, dabs[from + 2]!, dabs[next]!, dabs[next + 1]!, dabs[next + 2]!].map(
      (it) => it / 4,
    ) as [number, number, number, number, number, number];
    const area = {
      x0: Math.max(0, Math.floor(Math.min(ax - ar, bx - br) - 1)),
      y0: Math.max(0, Math.floor(Math.min(ay - ar, by - br) - 1)),
      x1: Math.min(this.width, Math.ceil(Math.max(ax + ar, bx + br) + 1)),
      y1: Math.min(this.height, Math.ceil(Math.max(ay + ar, by + br) + 1)),
    };
    const [dx, dy, full] = [bx - ax, by - ay, erase ? 0 : 255];
    const length = dx * dx + dy * dy;
    for (let y = area.y0; y < area.y1; y += 1) {
      for (let x = area.x0; x < area.x1; x += 1) {
        const at = y * this.width + x;
        const old = this.pixels[at]!;
        if (old === full) continue;
        // The middle of the pixel, against the nearest place of the way.
        const [px, py] = [x + 0.5 - ax, y + 0.5 - ay];
        const share = length === 0 ? 0 : Math.min(1, Math.max(0, (px * dx + py * dy) / length));
        const inside = ar + share * (br - ar) - Math.hypot(px - share * dx, py - share * dy) + 0.5;
        if (inside <= 0) continue;
        const covered = settled(255 * Math.min(1, inside));
        const value = erase ? Math.min(old, 255 - covered) : Math.max(old, covered);
        this.#sum += value - old;
        this.pixels[at] = value;
      }
    }
    return area;
  }
}

/** Operations out of storage; null where they are none. */
export function readOps(stored: unknown): Op[] | null {
  return Array.isArray(stored) && stored.every(isOp) ? stored : null;
}

function isOp(value: unknown): value is Op {
  if (typeof value !== "object" || value === null) return false;
  const it = value as Record<string, unknown>;
  const whole = (names: string[]): boolean => names.every((name) => Number.isInteger(it[name]) && (it[name] as number) >= 0);
  switch (it.kind) {
    case "stroke":
      return typeof it.erase === "boolean" && Array.isArray(it.dabs) && it.dabs.length % 3 === 0 && it.dabs.length > 0 && it.dabs.every(Number.isInteger);
    case "box":
      return typeof it.erase === "boolean" && whole(["x", "y", "width", "height"]);
    case "picture":
      return typeof it.sha256 === "string";
    default:
      return it.kind === "invert" || it.kind === "clear";
  }
}
