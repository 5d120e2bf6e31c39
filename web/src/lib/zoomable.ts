// Wheel, pinch, drag, double click and keys on an element, turned into calls of a Zoom.

import type { Action } from "svelte/action";
import type { Zoom } from "./zoom.svelte";

interface Point {
  x: number;
  y: number;
}

const between = (a: Point, b: Point): number => Math.hypot(a.x - b.x, a.y - b.y);

export interface Zoomed {
  zoom: Zoom;
  /** Whether something else wants this press (a slider's handle). */
  leave?: (event: PointerEvent) => boolean;
  /** Whether this pointer draws while it is alone; two fingers move the picture then, and a double press does nothing. */
  draws?: (event: PointerEvent) => boolean;
}

export const zoomable: Action<HTMLElement, Zoomed> = (node, given) => {
  let { zoom, leave, draws } = given;
  const fingers = new Map<number, Point>();
  const drawing = new Set<number>();

  const share = (x: number, y: number): [number, number] => {
    const box = node.getBoundingClientRect();
    return [(x - box.left) / box.width, (y - box.top) / box.height];
  };
  const wheel = (event: WheelEvent): void => {
    // A plain wheel scrolls the page on small screens unless zooming has begun.
    if (!event.ctrlKey && !event.metaKey && !zoom.on && document.documentElement.scrollHeight > innerHeight) return;
    event.preventDefault();
    zoom.by(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.002)), ...share(event.clientX, event.clientY));
  };
  const down = (event: PointerEvent): void => {
    const middle = event.button === 1 && draws !== undefined;
    if ((event.button !== 0 && !middle) || leave?.(event)) return;
    if (draws?.(event)) drawing.add(event.pointerId);
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (zoom.on || fingers.size > 1) node.setPointerCapture(event.pointerId);
  };
  const move = (event: PointerEvent): void => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const now = { x: event.clientX, y: event.clientY };
    const box = node.getBoundingClientRect();
    const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const middle = share((now.x + other.x) / 2, (now.y + other.y) / 2);
      zoom.by(between(now, other) / Math.max(1, between(before, other)), ...middle);
      zoom.pan((now.x - before.x) / 2 / box.width, (now.y - before.y) / 2 / box.height);
    } else if (zoom.on && !drawing.has(event.pointerId)) {
      zoom.pan((now.x - before.x) / box.width, (now.y - before.y) / box.height);
    }
    fingers.set(event.pointerId, now);
  };
  const up = (event: PointerEvent): void => {
    fingers.delete(event.pointerId);
    // A finger that is left over from two does not go on to move the picture, and draws nothing either.
    if (fingers.size === 0) drawing.clear();
  };
  const twice = (event: MouseEvent): void => {
    if (draws) return;
    if (zoom.on) zoom.reset();
    else zoom.by(2.5, ...share(event.clientX, event.clientY));
  };
  const touch = (event: TouchEvent): void => {
    if (event.touches.length > 1 || zoom.on) event.preventDefault();
  };
  const key = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const by: Record<string, () => void> = {
      "+": () => zoom.by(1.25), "=": () => zoom.by(1.25), "-": () => zoom.by(0.8), "0": () => zoom.reset(),
    };
    by[event.key]?.();
  };

  node.addEventListener("wheel", wheel, { passive: false });
  node.addEventListener("pointerdown", down);
  node.addEventListener("pointermove", move);
  node.addEventListener("pointerup", up);
  node.addEventListener("pointercancel", up);
  node.addEventListener("dblclick", twice);
  node.addEventListener("touchmove", touch, { passive: false });
  node.addEventListener("keydown", key);
  return {
    update(next) {
      ({ zoom, leave, draws } = next);
    },
    destroy() {
      node.removeEventListener("wheel", wheel);
      node.removeEventListener("pointerdown", down);
      node.removeEventListener("pointermove", move);
      node.removeEventListener("pointerup", up);
      node.removeEventListener("pointercancel", up);
      node.removeEventListener("dblclick", twice);
      node.removeEventListener("touchmove", touch);
      node.removeEventListener("keydown", key);
    },
  };
};
