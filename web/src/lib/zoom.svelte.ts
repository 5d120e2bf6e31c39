// Zoom and pan shared by pictures that lie on or beside each other.

const MOST = 8;

export class Zoom {
  scale = $state(1);
  /** Shift of the picture in shares of the frame's sides; 0 to 1 - scale. */
  x = $state(0);
  y = $state(0);

  get on(): boolean {
    return this.scale > 1.001;
  }

  get transform(): string {
    return `translate(${this.x * 100}%, ${this.y * 100}%) scale(${this.scale})`;
  }

  /** Changes the scale by `factor` and keeps the point (`u`, `v`), shares of the frame, where it is. */
  by(factor: number, u = 0.5, v = 0.5): void {
    const scale = Math.min(MOST, Math.max(1, this.scale * factor));
    const ratio = scale / this.scale;
    this.scale = scale;
    this.#place(u - (u - this.x) * ratio, v - (v - this.y) * ratio);
  }

  /** Moves by shares of the frame. */
  pan(dx: number, dy: number): void {
    this.#place(this.x + dx, this.y + dy);
  }

  reset(): void {
    this.scale = 1;
    this.#place(0, 0);
  }

  #place(x: number, y: number): void {
    const least = 1 - this.scale;
    this.x = Math.min(0, Math.max(least, x));
    this.y = Math.min(0, Math.max(least, y));
  }
}
