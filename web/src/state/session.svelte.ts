// Who is here, what the service allows, which models it has.

import * as api from "../api";
import { COMMON, stylesOf, type Style } from "../lib/phrases";
import type { Example, Limits, Model, Session, Shelved } from "../types";
import { draft } from "./draft.svelte";

class SessionState {
  value = $state<Session | null>(null);
  /** No answer yet, or none at all: the page waits and tries again. */
  unreachable = $state(false);
  models = $state<Model[]>([]);
  examples = $state<Example[]>([]);
  /** LoRAs that orders may name. */
  loras = $state<Shelved[]>([]);

  get locked(): boolean {
    return this.value !== null && this.value.key_required && !this.value.signed_in;
  }

  get limits(): Limits {
    return this.value?.limits ?? { picture_bytes: 10 * (1 << 20), pixels: Infinity, count: 8 };
  }

  /** The model an order would use now. */
  get model(): Model | null {
    const named = this.models.find((model) => model.name === draft.model);
    return named ?? this.models.find((model) => model.is_default) ?? this.models[0] ?? null;
  }

  get styles(): Style[] {
    const known = this.model?.styles ?? [];
    return stylesOf(known.length > 0 ? known : COMMON);
  }

  /** Asks who is here; throws where there is no answer. */
  async load(): Promise<void> {
    this.value = await api.session.get();
    this.unreachable = false;
    if (this.locked) return;
    const [models, examples, loras] = await Promise.allSettled([api.models(), api.examples.all(), api.loras()]);
    if (models.status === "fulfilled") this.models = models.value;
    if (examples.status === "fulfilled") this.examples = examples.value;
    if (loras.status === "fulfilled") this.loras = loras.value;
  }

  /** Asks again which models there are; keeps the known ones where there is no answer. */
  async lookForModels(): Promise<void> {
    if (this.value === null || this.locked) return;
    const models = await api.models().catch(() => null);
    if (models !== null) this.models = models;
  }

  async signIn(key: string): Promise<void> {
    await api.session.open(key);
    await this.load();
  }

  async signOut(): Promise<void> {
    await api.session.close();
    await this.load();
  }

  /** The service no longer knows us: the login page comes back, the draft stays. */
  ended(): void {
    if (this.value) this.value = { ...this.value, key_required: true, signed_in: false };
  }
}

export const session = new SessionState();
api.onSignedOut.call = () => session.ended();
