// Lists of past jobs: the strip under the picture and the drawer with search and favourites.

import { jobs } from "./jobs.svelte";
import type { Job } from "../types";

const AT_ONCE = 24;

export class JobList {
  search = $state("");
  favourites = $state(false);
  loading = $state(false);
  /** Whether the list has been asked for at all. */
  loaded = $state(false);
  #ids = $state<string[]>([]);
  #next = $state<string | null>(null);
  #asked = 0;

  get jobs(): Job[] {
    return this.#ids.map((id) => jobs.all[id]).filter((job): job is Job => job !== undefined);
  }

  get more(): boolean {
    return this.#next !== null;
  }

  /** Loads the first page. Of two that overlap the later one counts. */
  async load(): Promise<void> {
    await this.#page(null);
  }

  async loadMore(): Promise<void> {
    if (this.#next !== null && !this.loading) await this.#page(this.#next);
  }

  async #page(before: string | null): Promise<void> {
    this.#asked += 1;
    const asked = this.#asked;
    this.loading = true;
    try {
      const found = await jobs.search({
        search: this.search.trim(),
        favourites: this.favourites,
        limit: AT_ONCE,
        ...(before === null ? {} : { before }),
      });
      if (asked !== this.#asked) return;
      const known = before === null ? [] : this.#ids;
      this.#ids = [...known, ...found.ids.filter((id) => !known.includes(id))];
      this.#next = found.next;
      this.loaded = true;
    } finally {
      if (asked === this.#asked) this.loading = false;
    }
  }

  /** A new job goes to the front, unless the list is filtered. */
  add(job: Job): void {
    if (this.search.trim() !== "" || this.favourites || this.#ids.includes(job.id)) return;
    this.#ids = [job.id, ...this.#ids];
  }
}

export const strip = new JobList();
export const drawer = new JobList();
