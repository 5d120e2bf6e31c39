// What a person can do. Each says what came of it, and never throws.

import { toast } from "svelte-sonner";
import * as api from "./api";
import { mayBeOurs } from "./lib/ours";
import { say, sayOfPicture, tooLarge, type Said } from "./lib/say";
import { freshPainting, needsNoMask } from "./lib/painting";
import * as settings from "./lib/settings";
import { moved } from "./lib/zones";
import { copyToClipboard } from "./lib/clipboard";
import { dialogs } from "./state/dialogs.svelte";
import { draft, recall, remember } from "./state/draft.svelte";
import { masks } from "./state/mask.svelte";
import { drawer, strip } from "./state/history.svelte";
import { jobs } from "./state/jobs.svelte";
import { session } from "./state/session.svelte";
import { busy } from "./state/busy.svelte";
import { stage } from "./state/stage.svelte";
import type { Job, JobResult, Order, Source } from "./types";

function complain({ title, detail }: Said): void {
  toast.error(title, { description: detail, duration: 9000 });
}

export function failed(error: unknown, words: typeof say = say): void {
  // The login page says it already.
  if (error instanceof api.ApiError && error.status === 401) return;
  complain(words(error, session.limits.picture_bytes));
}

/** Runs `work` while `busy[what]` is true; says what went wrong. */
async function doing<T>(what: keyof typeof busy, work: () => Promise<T>): Promise<T | null> {
  if (busy[what]) return null;
  busy[what] = true;
  try {
    return await work();
  } catch (error) {
    failed(error, what === "source" ? sayOfPicture : say);
    return null;
  } finally {
    busy[what] = false;
  }
}

function useSource(source: Source): void {
  if (draft.repaint && masks.coverage > 0 && draft.source !== null && draft.source.sha256 !== source.sha256) {
    toast.info("Your mask is kept with its picture", { description: "It is there again when you take that picture again." });
  }
  draft.source = source;
  draft.tab = "transform";
  stage.clear("transform");
  for (const warning of source.warnings) toast.info("About this picture", { description: warning });
}

/** A picture was dropped, pasted, chosen or taken. One of ours is asked about first. */
export async function bring(file: File): Promise<void> {
  const most = session.limits.picture_bytes;
  if (file.size > most) return complain(tooLarge(file.size, most));
  if (file.size === 0) return complain({ title: "That file is empty", detail: "Choose another picture." });
  if (await mayBeOurs(file).catch(() => false)) {
    const recipe = await api.recipe(file).catch(() => null);
    const order = settings.orderOfRecipe(recipe);
    if (order) {
      dialogs.recall = { file, order, sourceName: settings.sourceNameOfRecipe(recipe), lost: settings.beyondOrders(recipe) };
      return;
    }
  }
  await upload(file);
}

export async function upload(file: File): Promise<void> {
  const source = await doing("source", () => api.sources.put(file, file.name || "picture"));
  if (source) useSource(source);
}

export async function takeExample(id: string): Promise<void> {
  const source = await doing("source", () => api.examples.take(id));
  if (source) useSource(source);
}

export function dropSource(): void {
  draft.source = null;
  stage.clear("transform");
}

/** A source the service may still have, by its hash. */
export async function findSource(sha256: string, name: string): Promise<Source | null> {
  if (draft.source?.sha256 === sha256) return draft.source;
  const picture = new Image();
  picture.src = api.sources.picture(sha256);
  try {
    await picture.decode();
  } catch {
    return null;
  }
  return { sha256, name, width: picture.naturalWidth, height: picture.naturalHeight, bytes: 0, warnings: [] };
}

/** Takes an order's settings over; says what is `lost` of the recipe it is from. */
export async function recallOrder(order: Order, sourceName: string, lost: readonly string[] = []): Promise<void> {
  const source = order.source === null ? null : await findSource(order.source, sourceName);
  recall(settings.relaxed(order, session.models), source);
  stage.clear(order.source === null ? "generate" : "transform");
  if (source !== null && order.inpaint !== null && !(await recallMask(source, order.inpaint.mask))) return;
  if (lost.length > 0) {
    toast.warning("Settings recalled in part", { description: `This page cannot ask for ${lost.join(", ")}; the picture comes out otherwise.`, duration: 9000 });
  }
  if (order.source !== null && source === null) {
    toast.info("Settings recalled", { description: "Their source is not here any more; bring it to make the same picture." });
  } else if (lost.length === 0) {
    toast.success("Settings recalled", { description: "The seed is locked, so the same picture comes out." });
  }
}

/** Brings the painted mask of an order back; `sha256` null where it had none. Says where it cannot. */
async function recallMask(source: Source, sha256: string | null): Promise<boolean> {
  try {
    if (sha256 !== null) {
      await masks.take(source, sha256);
      return true;
    }
    await masks.open(source);
    if (masks.coverage > 0) masks.apply({ kind: "clear" });
    return true;
  } catch {
    toast.warning("Settings recalled without their mask", { description: "The mask picture cannot be had; paint it again." });
    return false;
  }
}

/** A part of the source, or the whole of it, is to be made anew. */
export function repaintPart(part: boolean): void {
  draft.repaint = part;
  if (part) stage.clear("transform");
}

/** A part of a result is to be made anew. */
export async function repaintResult(job: Job, result: JobResult): Promise<void> {
  const source = await doing("source", () => api.jobs.toSource(job.id, result.index));
  if (!source) return;
  useSource(source);
  draft.painting = { ...freshPainting(), intent: draft.painting.intent };
  repaintPart(true);
}

async function order(posting: settings.Posting | (() => Promise<settings.Posting>)): Promise<Job | null> {
  const job = await doing("order", async () => jobs.submit(typeof posting === "function" ? await posting() : posting));
  if (!job) return null;
  strip.add(job);
  drawer.add(job);
  stage.show(job);
  return job;
}

/** Why there is nothing to generate yet, or null. */
export function missing(): string | null {
  if (draft.tab === "transform" && draft.source === null) return "Bring a picture first, or take an example.";
  if (draft.tab === "transform" && draft.repaint) {
    if (masks.loading || masks.broken) return "The mask is not loaded yet.";
    if (masks.coverage === 0 && !needsNoMask(draft.painting)) return "Paint over what is to change first.";
  }
  return null;
}

export async function generate(): Promise<void> {
  const lack = missing();
  if (lack !== null) {
    toast.info(lack);
    return;
  }
  remember(draft.tab === "generate" ? draft.textPrompt : draft.prompt);
  await order(async () => {
    const asked = plain(draft);
    const painted = asked.tab === "transform" && asked.repaint;
    return settings.posting(asked, painted ? await masks.put() : null, session.model);
  });
}

/** Plain copies: proxies cannot be posted. */
function plain<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}

/** The shown picture again, nearer to or further from its source. The slider follows. */
export async function step(job: Job, result: JobResult, by: number): Promise<void> {
  const now = settings.settingsOf(job, result);
  const strength = moved(now.strength ?? draft.strength, by);
  draft.strength = strength;
  await order(settings.atStrength(now, strength));
}

export const makeLadder = (job: Job, result: JobResult): Promise<Job | null> =>
  order(settings.ladder(settings.settingsOf(job, result), plain(draft.rungs)));

export const makeVariations = (job: Job, result: JobResult): Promise<Job | null> =>
  order(settings.variations(settings.settingsOf(job, result), draft.variations, null));

export async function upscale(job: Job, result: JobResult): Promise<void> {
  const source = await doing("source", () => api.jobs.toSource(job.id, result.index));
  if (source) await order(settings.upscale(source.sha256));
}

export async function useAsSource(job: Job, result: JobResult): Promise<void> {
  const source = await doing("source", () => api.jobs.toSource(job.id, result.index));
  if (!source) return;
  useSource(source);
  toast.success("This picture is the source now");
}

export async function copySettings(job: Job, result: JobResult): Promise<void> {
  if (await copyToClipboard(settings.copyText(job, result))) {
    toast.success("Settings copied", { description: "Paste them on this page to recall them." });
  } else {
    toast.error("The browser did not allow copying");
  }
}

export async function cancel(job: Job): Promise<void> {
  await doing("cancel", () => jobs.cancel(job.id));
}

export async function favourite(job: Job): Promise<void> {
  await jobs.favourite(job.id, !job.favourite).catch(failed);
}

export async function remove(job: Job): Promise<void> {
  try {
    await jobs.remove(job.id);
    for (const tab of ["transform", "generate"] as const) if (stage.shown[tab]?.id === job.id) stage.clear(tab);
    toast.success("Deleted");
  } catch (error) {
    failed(error);
  }
}

/** Pasted or dropped: a picture, or settings that were copied here. True where it was either. */
export function receive(transfer: DataTransfer | null): boolean {
  const file = [...(transfer?.files ?? [])].find((it) => it.type.startsWith("image/") || it.type === "");
  if (file) {
    void bring(file);
    return true;
  }
  const text = transfer?.getData("text/plain") ?? "";
  if (!text.trimStart().startsWith("{")) return false;
  try {
    const recipe = settings.parse(text);
    const found = settings.orderOfRecipe(recipe);
    if (!found) return false;
    void recallOrder(found, settings.sourceNameOfRecipe(recipe), settings.beyondOrders(recipe));
    return true;
  } catch {
    return false;
  }
}
