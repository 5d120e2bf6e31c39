// What the adviser says of the source and of what is asked of it.

import * as api from "../api";
import type { SourceAdvice } from "../types";

const WAIT = 450;

class Adviser {
  value = $state<SourceAdvice | null>(null);
  thinking = $state(false);
  #about = "";
  #stop: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;

  /** Asks after a short pause, so that typing and sliding ask once. */
  ask(request: api.AdviceRequest | null): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#stop?.abort();
    if (request === null) {
      this.value = null;
      this.#about = "";
      this.thinking = false;
      return;
    }
    const another = request.source !== this.#about;
    if (another) this.value = null;
    this.#about = request.source;
    this.thinking = true;
    this.#timer = setTimeout(() => void this.#now(request), another ? 0 : WAIT);
  }

  async #now(request: api.AdviceRequest, tries = 3): Promise<void> {
    const stop = new AbortController();
    this.#stop = stop;
    try {
      this.value = await api.advice(request, stop.signal);
    } catch (error) {
      // Advice never stands in the way. A busy service is asked again.
      const busy = error instanceof api.ApiError && (error.status === 429 || error.status === 503);
      if (busy && tries > 1 && this.#stop === stop) {
        const wait = Math.min(10, error.retryAfter ?? 2) * 1000;
        this.#timer = setTimeout(() => void this.#now(request, tries - 1), wait);
      }
    } finally {
      if (this.#stop === stop) this.thinking = false;
    }
  }
}

export const adviser = new Adviser();
