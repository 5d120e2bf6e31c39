import type { HTMLAttributes } from "svelte/elements";

declare module "svelte/elements" {
  interface SvelteHTMLElements {
    "img-comparison-slider": HTMLAttributes<HTMLElement> & { value?: number; handle?: boolean; onslide?: (event: Event) => void };
  }
}
