// Mouse, pen and fingers on an element, turned into strokes. Two fingers are somebody else's: they move the picture.

import type { Action } from "svelte/action";

/** Where a pointer is, in pixels of the picture, and how hard it presses: 0 to 1, 1 for what cannot tell. */
export interface Touch {
  x: number;
  y: number;
  pressure: number;
}

export interface Painter {
  /** Where the whole picture is on the screen, and its size in pixels. */
  place: () => { box: DOMRect; width: number; height: number };
  /** Whether this press draws; others are left alone. */
  draws: (event: PointerEvent) => boolean;
  down: (touch: Touch, event: PointerEvent) => void;
  move: (touches: Touch[]) => void;
  up: () => void;
  /** What was drawn since `down` was not meant. */
  cancel: () => void;
  /** Where a pointer is that does not press; null where there is none. */
  hover: (touch: Touch | null) => void;
}

export const paintable: Action<HTMLElement, Painter> = (node, given) => {
  let painter = given;
  let active: number | null = null;
  const fingers = new Set<number>();

  const touch = (event: PointerEvent): Touch => {
    const { box, width, height } = painter.place();
    return {
      x: ((event.clientX - box.left) / box.width) * width,
      y: ((event.clientY - box.top) / box.height) * height,
      pressure: event.pointerType === "pen" && event.pressure > 0 ? event.pressure : 1,
    };
  };
  const down = (event: PointerEvent): void => {
    if (event.pointerType === "touch") fingers.add(event.pointerId);
    if (fingers.size > 1) {
      if (active !== null) painter.cancel();
      active = null;
      return;
    }
    if (active !== null || !painter.draws(event)) return;
    active = event.pointerId;
    node.setPointerCapture(active);
    painter.down(touch(event), event);
  };
  const move = (event: PointerEvent): void => {
    if (event.pointerId === active) {
      const parts = event.getCoalescedEvents?.() ?? [];
      painter.move((parts.length > 0 ? parts : [event]).map(touch));
    }
    if (event.pointerType !== "touch") painter.hover(touch(event));
  };
  const up = (event: PointerEvent): void => {
    fingers.delete(event.pointerId);
    if (event.pointerId !== active) return;
    active = null;
    painter.up();
  };
  const cancel = (event: PointerEvent): void => {
    fingers.delete(event.pointerId);
    if (event.pointerId !== active) return;
    active = null;
    painter.cancel();
  };
  const leave = (event: PointerEvent): void => {
    if (event.pointerId !== active) painter.hover(null);
  };
  // A long press or the middle button mean nothing else here.
  const still = (event: Event): void => event.preventDefault();
  const middle = (event: MouseEvent): void => {
    if (event.button === 1) event.preventDefault();
  };

  node.addEventListener("pointerdown", down);
  node.addEventListener("pointermove", move);
  node.addEventListener("pointerup", up);
  node.addEventListener("pointercancel", cancel);
  node.addEventListener("pointerleave", leave);
  node.addEventListener("contextmenu", still);
  node.addEventListener("mousedown", middle);
  return {
    update(next) {
      painter = next;
    },
    destroy() {
      node.removeEventListener("pointerdown", down);
      node.removeEventListener("pointermove", move);
      node.removeEventListener("pointerup", up);
      node.removeEventListener("pointercancel", cancel);
      node.removeEventListener("pointerleave", leave);
      node.removeEventListener("contextmenu", still);
      node.removeEventListener("mousedown", middle);
    },
  };
};
