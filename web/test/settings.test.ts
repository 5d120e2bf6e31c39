import { describe, expect, it } from "vitest";
import { beyondOrders, differences, fresh, isFiner, modelLabel, NEGATIVE, notOpen, orderOfRecipe, posting, relaxed, readDraft, recalled, rungsOf, atStrength, copyText, ladder, parse, settingsOf, untagged, variations } from "../src/lib/settings";
import { toJob, toModels } from "../src/wire";

const SHA = "79b9d861d077d4333ae27f632155f33a22f2f22c465b5365a99b95678f062a3c";
const source = { sha256: SHA, name: "portrait.jpg", width: 512, height: 512, bytes: 1, warnings: [] };
const BIG = "18446744073709551615";

const recipe = {
  program: "imagegen 0.1.0", arithmetic: "f32", prompt: "oil painting", negative_prompt: "", strength: 0.4,
  strength_rule: "share", steps: 20, sampler: "ddim", guidance_scale: 1.5, seed: BIG, size: [640, 480],
  work_size: [640, 480], wanted: "640x480", fit: "crop", model: { name: "starter", sha256: "0c" },
  source: { name: "portrait.jpg", sha256: SHA },
};

const model = toModels([{
  name: "starter", is_default: true, native_side: 512, samplers: ["ddim", "euler"], eta: { ddim: 0 }, schedules: ["model", "karras"],
  colours: [], clip_skip: 3, refiners: ["second"], defaults: { steps: 20, guidance_scale: 1.5, strength: 0.5, sampler: "ddim", schedule: "model", image_guidance: null },
}])[0]!;
const told = {
  ...model, colours: ["kept", "decoded"], washes: true,
  defaults: { ...model.defaults, sampler: "euler", schedule: "karras", image_guidance: 1.5 },
};

const job = toJob({
  id: "1", kind: "vary", state: "done",
  order: { prompt: "comic", negative_prompt: NEGATIVE, source: SHA, strength: 0.5, count: 4, model: "starter", seed: 7, steps: null, size: null, fit: null },
  results: [{ index: 0, seed: 7, strength: 0.5, width: 1, height: 1 }, { index: 1, seed: BIG, strength: 0.5, width: 1, height: 1, recipe }],
});

describe("an order", () => {
  it("holds only what was set", () => {
    const { route, body } = posting({ ...fresh(), source, prompt: " comic " });
    expect(route).toBe("transforms");
    expect(body).toEqual({ prompt: "comic", negative_prompt: NEGATIVE, source: SHA, strength: 0.5, count: 1 });
  });

  it("sends a locked seed whole, a free one not at all", () => {
    expect(posting({ ...fresh(), source, seed: BIG, locked: true }).body.seed).toBe(BIG);
    expect(posting({ ...fresh(), source, seed: "7", locked: true }).body.seed).toBe(7);
    expect(posting({ ...fresh(), source, seed: "7" }).body).not.toHaveProperty("seed");
  });

  it("keeps the negative prompt that nobody wrote at home where the model would not hear it", () => {
    const quiet = { ...model, defaults: { ...model.defaults, guidance_scale: 1 } };
    expect(posting({ ...fresh(), source }, null, quiet).body.negative_prompt ?? "").toBe("");
    expect(posting({ ...fresh(), source, negative: "rain" }, null, quiet).body.negative_prompt).toBe("rain");
    expect(posting({ ...fresh(), source, guidance: 2 }, null, quiet).body.negative_prompt).toBe(NEGATIVE);
    expect(posting({ ...fresh(), source, guidance: 1 }, null, model).body.negative_prompt ?? "").toBe("");
    expect(posting({ ...fresh(), source }, null, model).body.negative_prompt).toBe(NEGATIVE);
  });

  it("names a fit only where shapes may differ", () => {
    expect(posting({ ...fresh(), source, size: "512", fit: "crop" }).body).not.toHaveProperty("fit");
    expect(posting({ ...fresh(), source, size: "512x256", fit: "crop" }).body.fit).toBe("crop");
  });

  it("from text has a size and no source", () => {
    const { route, body } = posting({ ...fresh(), tab: "generate", source, textPrompt: "a lake" });
    expect(route).toBe("generations");
    expect(body).toMatchObject({ prompt: "a lake", width: 512, height: 512 });
    expect(body).not.toHaveProperty("source");
    expect(body).not.toHaveProperty("strength");
  });
});

describe("from one result on", () => {
  const order = settingsOf(job, job.results[1]);

  it("the same seed at another strength", () => {
    expect(atStrength(order, 0.35)).toEqual({
      route: "transforms",
      body: { prompt: "comic", negative_prompt: NEGATIVE, source: SHA, model: "starter", seed: BIG, strength: 0.35, count: 1 },
    });
  });

  it("a ladder has strengths and no single one", () => {
    expect(ladder(order, [0.35, 0.5, 0.65]).body).toMatchObject({ strengths: [0.35, 0.5, 0.65], seed: BIG });
    expect(ladder(order, [0.35, 0.5, 0.65]).body).not.toHaveProperty("strength");
    expect(ladder(order, [0.35, 0.5, 0.65]).body).not.toHaveProperty("count");
  });

  it("variations draw other seeds", () => {
    expect(variations(order, 4, null).body).toMatchObject({ count: 4, strength: 0.5 });
    expect(variations(order, 4, null).body).not.toHaveProperty("seed");
  });
});

describe("settings", () => {
  it("come back from a recipe, seed and all", () => {
    const order = orderOfRecipe(parse(JSON.stringify(recipe)));
    const draft = recalled({ ...fresh(), tab: "generate" }, order!);
    expect(draft).toMatchObject({
      tab: "transform", prompt: "oil painting", negative: "", strength: 0.4, steps: 20, seed: BIG, locked: true,
      size: "640x480", fit: "crop", model: "starter", rule: "share",
    });
  });

  it("come back from what *copy* put on the clipboard", () => {
    const text = copyText(job, job.results[1]!);
    expect(orderOfRecipe(parse(text))).toMatchObject({ prompt: "oil painting", seed: BIG, strength: 0.4 });
  });

  it("keep how brackets are read: letter by letter where a recipe says nothing", () => {
    const old = orderOfRecipe(recipe)!;
    expect(old.prompt_mode).toBe("plain");
    expect(recalled(fresh(), old).mode).toBe("plain");
    expect(atStrength(old, 0.3).body).toMatchObject({ prompt_mode: "plain" });
    const weighed = relaxed(orderOfRecipe({ ...recipe, prompt_mode: "a1111" })!, []);
    expect(weighed.prompt_mode).toBeNull();
    expect(posting(recalled(fresh(), weighed)).body).not.toHaveProperty("prompt_mode");
  });

  it("that no order can carry are named", () => {
    expect(beyondOrders(recipe)).toEqual([]);
    const more = {
      ...recipe, loras: [{ name: "fur", weight: 1 }], embeddings: [{ name: "lake" }], tiles: 512, vae_tiles: 256, refiner: { name: "r", at: 0.8 }, hires: { by: 2 },
      enlarge: { by: 2, with: "lanczos" }, model: { ...recipe.model, vae: { name: "v" }, prediction: "v_prediction" },
    };
    const words = [
      "its embeddings, unless the service has them", "enlarging", "another autoencoder", "what the network predicts",
    ];
    expect(beyondOrders(more)).toEqual(words);
    expect(beyondOrders({ recipe: more })).toEqual(words);
    for (const other of [parse(copyText(job, job.results[1]!)), null, 1, [], {}]) expect(beyondOrders(other)).toEqual([]);
  });

  it("that are the model's own count as unchanged", () => {
    const order = orderOfRecipe(recipe)!;
    expect(relaxed(order, [model])).toMatchObject({ model: null, sampler: null, steps: null, guidance_scale: null, strength_rule: null, seed: BIG, strength: 0.4 });
    expect(relaxed({ ...order, steps: 9, model: "other" }, [model])).toMatchObject({ model: "other", steps: 9, sampler: "ddim" });
  });

  it("finer than the sampler are recalled, sent and told apart", () => {
    const finer = { schedule: "karras", eta: 0.4, guidance_rescale: 0.7, guidance_until: 0.5, cache_interval: 2, token_merging: 0.5, image_guidance: 2, colours: "decoded", wash: "off", clip_skip: 2 };
    const order = { ...settingsOf(job, job.results[0]), ...finer };
    const draft = { ...recalled(fresh(), order), source };
    expect(draft).toMatchObject({ schedule: "karras", eta: 0.4, rescale: 0.7, guidedUntil: 0.5, cacheInterval: 2, tokenMerging: 0.5, imageGuidance: 2, colours: "decoded", wash: "off", clipSkip: 2 });
    expect(posting(draft).body).toMatchObject(finer);
    expect(ladder(order, [0.1, 0.2]).body).toMatchObject(finer);
    expect(posting({ ...draft, tab: "generate" }).body).not.toHaveProperty("image_guidance");
    expect(readDraft(JSON.parse(JSON.stringify(draft)))).toEqual(draft);
    expect(readDraft({ eta: "much", schedule: 1 })).toEqual(fresh());
    expect(differences(order, { ...order, eta: null })).toEqual([["Fresh noise", "0.4", "–"]]);
  });

  it("name their precision and lead back to it", () => {
    const order = { ...job.order, precision: "bf16" };
    const draft = { ...recalled(fresh(), settingsOf({ ...job, order }, job.results[0]!)), source };
    expect(draft.precision).toBe("bf16");
    expect(posting(draft).body).toMatchObject({ precision: "bf16" });
    expect(posting({ ...draft, precision: null }).body).not.toHaveProperty("precision");
    expect(ladder(order, [0.1, 0.2]).body).toMatchObject({ precision: "bf16" });
    expect(relaxed(orderOfRecipe({ ...recipe, arithmetic: "bf16" })!, [model]).precision).toBe("bf16");
    expect(relaxed(orderOfRecipe({ ...recipe, arithmetic: "f32" })!, [model]).precision).toBeNull();
  });

  it("of a variation lead back to it and to others", () => {
    const varied = { ...job.order, noise: "nv", variation_seed: BIG, variation_strength: 0.3 };
    const order = settingsOf({ ...job, order: varied }, { ...job.results[0]!, variation_seed: "9" });
    expect(order).toMatchObject({ seed: "7", variation_seed: "9", variation_strength: 0.3 });
    const draft = { ...recalled(fresh(), order), source };
    expect(draft).toMatchObject({ noise: "nv", variation: 0.3, variationSeed: "9" });
    expect(posting({ ...draft, variationSeed: BIG }).body).toMatchObject({ noise: "nv", variation_seed: BIG, variation_strength: 0.3 });
    expect(posting({ ...draft, variationSeed: "" }).body).not.toHaveProperty("variation_seed");
    expect(posting({ ...draft, variation: null }).body).not.toHaveProperty("variation_seed");
    expect(atStrength(order, 0.4).body).toMatchObject({ variation_seed: 9, variation_strength: 0.3 });
    expect(variations(order, 4, null).body).not.toHaveProperty("variation_strength");
    const read = orderOfRecipe({ ...recipe, noise: "nv", variation: { seed: BIG, strength: 0.3 } })!;
    expect(relaxed(read, [model])).toMatchObject({ noise: "nv", variation_seed: BIG, variation_strength: 0.3 });
    expect(relaxed({ ...order, noise: "cpu", variation_strength: 0 }, [model])).toMatchObject({ noise: null, variation_strength: null });
  });

  it("finer than the sampler that a recipe leaves out are the plain ones", () => {
    const plain = orderOfRecipe(recipe)!;
    expect(plain).toMatchObject({ schedule: "model", colours: "decoded", eta: null });
    expect(relaxed(plain, [model])).toMatchObject({ schedule: null, colours: null });
    expect(relaxed(plain, [told])).toMatchObject({ schedule: "model", colours: "decoded" });
    expect(relaxed({ ...orderOfRecipe(recipe)!, guidance_until: 1 }, [told]).guidance_until).toBeNull();
    const named = orderOfRecipe({ ...recipe, schedule: "karras", colours: "kept", image_guidance: 1.5 })!;
    expect(relaxed(named, [told])).toMatchObject({ schedule: null, colours: null, image_guidance: null });
    expect(relaxed({ ...plain, strength_rule: "diffusers" }, [told]).colours).toBeNull();
  });

  it("finer than the sampler go where sampler or model leave no choice", () => {
    expect(notOpen(model, fresh())).toEqual({ imageGuidance: null, colours: null, wash: null });
    const chosen = { sampler: "ddim", clipSkip: null, refiner: null };
    expect(notOpen(model, { ...chosen, sampler: "euler", clipSkip: 3 })).toEqual({ eta: null, imageGuidance: null, colours: null, wash: null });
    expect(notOpen({ ...told, clip_skip: 2 }, { ...chosen, clipSkip: 3 })).toEqual({ clipSkip: null });
    expect(notOpen(told, chosen)).toEqual({});
    expect(notOpen(null, { ...chosen, sampler: "euler" })).toEqual({});
    expect(notOpen(told, { ...chosen, refiner: "second" })).toEqual({});
    expect(notOpen(told, { ...chosen, refiner: "third" })).toEqual({ refiner: null, refinerAt: null });
  });

  it("of a picture from text come back to its tab", () => {
    const order = orderOfRecipe({ ...recipe, source: null, wanted: null, fit: null, strength: 1 });
    expect(recalled(fresh(), order!)).toMatchObject({ tab: "generate", textPrompt: "oil painting", width: 640, height: 480 });
  });

  it("are not seen in other JSON", () => {
    for (const other of [null, 1, [], {}, { prompt: "x" }]) expect(orderOfRecipe(other)).toBeNull();
  });

  it("tell two pictures apart", () => {
    const first = settingsOf(job, job.results[0]);
    const second = settingsOf(job, job.results[1]);
    expect(differences(first, second)).toEqual([["Seed", "7", BIG]]);
  });
});

describe("a draft out of storage", () => {
  it("is taken where it fits", () => {
    const draft = { ...fresh(), prompt: "night", strength: 0.35, source, steps: 12 };
    expect(readDraft(JSON.parse(JSON.stringify(draft)))).toEqual(draft);
  });

  it("falls back field by field", () => {
    expect(readDraft({ prompt: 3, strength: "x", steps: "many", source: {}, tab: "paint", evil: 1 })).toEqual(fresh());
    expect(readDraft({ strength: 7 }).strength).toBe(1);
    expect(readDraft("nonsense")).toEqual(fresh());
  });
});

describe("strengths of a ladder", () => {
  it("are read as people write them", () => {
    for (const text of ["0.35, 0.5, 0.65", "0.65 0.5 0.35", ".35;.5;.65", "0,35 0,5 0,65", "0.35,  0.5, 0.65,"]) {
      expect(rungsOf(text), text).toEqual([0.35, 0.5, 0.65]);
    }
  });

  it("are 2 to 8, different, from 0 to 1", () => {
    for (const text of ["", "0.5", "0.5 0.5", "0.5 1.2", "-0.1 0.5", "a b", "0 .1 .2 .3 .4 .5 .6 .7 .8"]) {
      expect(rungsOf(text), text).toBeNull();
    }
  });

  it("fall back where what was kept is none", () => {
    expect(readDraft({ rungs: [0.2, 0.8] }).rungs).toEqual([0.2, 0.8]);
    for (const rungs of [{}, [], ["a", "b"], [2, 3], "0.2 0.8"]) expect(readDraft({ rungs }).rungs).toEqual([0.35, 0.5, 0.65]);
  });
});

describe("a model in the list", () => {
  it("says what it is and how large", () => {
    const [full, bare] = toModels([{ name: "anime/real", kind: "SDXL", bytes: 6_940_000_000 }, { name: "starter" }]);
    expect(modelLabel(full!)).toMatch(/^anime\/real \(SDXL, 6\.\d+ GB\)$/);
    expect(modelLabel(bare!)).toBe("starter");
  });
});

describe("large pictures and two models", () => {
  const larger = { tiles: "on", vaeTiling: "off", refiner: "second", refinerAt: 0.6 };
  const sent = { tiles: "on", vae_tiling: "off", refiner: "second", refiner_at: 0.6 };
  const from = { ...fresh(), tab: "generate" as const, textPrompt: "a lake" };

  it("are ordered where the kind has them, and only what was set", () => {
    const { body } = posting({ ...from, ...larger, hires: 2, hiresSteps: 12 });
    expect(body).toMatchObject({ ...sent, hires: { by: 2, steps: 12 } });
    expect(Object.keys(body.hires as object)).toEqual(["by", "steps"]);
    const plain = posting({ ...from, refinerAt: 0.5, hiresStrength: 0.3 }).body;
    for (const name of ["hires", "tiles", "vae_tiling", "refiner", "refiner_at"]) expect(plain, name).not.toHaveProperty(name);
    const transform = posting({ ...fresh(), source, ...larger, hires: 2 }).body;
    expect(transform).toMatchObject(sent);
    expect(transform).not.toHaveProperty("hires");
    const part = posting({ ...fresh(), source, repaint: true, ...larger }, SHA).body;
    expect(part).toMatchObject({ vae_tiling: "off" });
    for (const name of ["tiles", "refiner", "refiner_at"]) expect(part, name).not.toHaveProperty(name);
  });

  it("come back from an order, and go on to a ladder", () => {
    const pass = { by: 1.5, strength: 0.3, steps: 9, with: "latent" };
    const order = { ...job.order, source: null, width: 96, height: 64, ...sent, hires: pass };
    const read = toJob({ id: "1", kind: "generate", order }).order;
    expect(read).toMatchObject({ ...sent, hires: pass });
    const draft = recalled(fresh(), read);
    expect(draft).toMatchObject({ tab: "generate", ...larger, hires: 1.5, hiresStrength: 0.3, hiresSteps: 9, hiresWith: "latent" });
    expect(posting(draft).body).toMatchObject({ ...sent, hires: pass, width: 96, height: 64 });
    expect(isFiner(draft)).toBe(true);
    expect(isFiner(fresh())).toBe(false);
    expect(readDraft(JSON.parse(JSON.stringify(draft)))).toEqual(draft);
    const again = ladder({ ...job.order, ...sent, hires: pass }, [0.1, 0.2]).body;
    expect(again).toMatchObject(sent);
    expect(again).not.toHaveProperty("hires");
    expect(differences(read, { ...read, hires: null, refiner: null })).toEqual([["Refiner", "second", "–"], ["Second pass", "1.5, 0.3, 9, latent", "–"]]);
  });

  it("that are the service's own way count as unchanged", () => {
    const usual = { tiles: "off", vae_tiling: "auto", refiner_at: 0.8, hires: { by: 2, strength: 0.5, steps: null, with: "lanczos" } };
    const order = relaxed({ ...job.order, ...usual }, [told]);
    expect(order).toMatchObject({ tiles: null, vae_tiling: null, refiner_at: null, hires: { by: 2, strength: null, steps: null, with: null } });
  });

  it("come back from a recipe, whose size is that of the second pass", () => {
    const text = { ...recipe, source: null, wanted: null, fit: null, strength: 1 };
    const hires = { by: 2, strength: 0.5, steps: 20, with: "lanczos", size: [640, 480], work_size: [1280, 960], tiles: 512 };
    const twice = { ...text, size: [1280, 960], hires, refiner: { name: "second", sha256: "0d", at: 0.6 } };
    const order = orderOfRecipe(twice)!;
    expect(order).toMatchObject({ width: 640, height: 480, tiles: null, vae_tiling: null, refiner: "second", refiner_at: 0.6 });
    expect(recalled(fresh(), relaxed(order, [told]))).toMatchObject({ hires: 2, hiresStrength: null, hiresSteps: null, hiresWith: null });
    expect(orderOfRecipe({ ...recipe, tiles: 512 })!.tiles).toBe("on");
  });

  it("read from a recipe what the autoencoder did", () => {
    const of = (more: object) => orderOfRecipe({ ...recipe, ...more })!.vae_tiling;
    const large = { work_size: [2048, 1024] };
    expect(of({})).toBeNull();
    expect(of({ vae_tiles: 512 })).toBe("on");
    expect(of({ ...large, vae_tiles: 512 })).toBeNull();
    expect(of(large)).toBe("off");
    expect(of({ hires: { by: 4, work_size: [2560, 1920], vae_tiles: 512 } })).toBeNull();
    expect(of({ vae_tiles: 512, hires: { by: 4, work_size: [2560, 1920], vae_tiles: 512 } })).toBe("on");
    expect(relaxed(orderOfRecipe({ ...recipe, ...large })!, [model]).vae_tiling).toBeNull();
  });
});

describe("LoRAs", () => {
  const chosen = [{ name: "fur", weight: 0.8 }, { name: "Ink", weight: -0.5 }];

  it("go into orders where there are any, and come back", () => {
    expect(posting({ ...fresh(), source }).body).not.toHaveProperty("loras");
    const { body } = posting({ ...fresh(), source, loras: chosen });
    expect(body.loras).toEqual(chosen);
    const back = toJob({ id: "1", order: { ...body, loras: body.loras } }).order;
    expect(recalled(fresh(), back).loras).toEqual(chosen);
    expect(atStrength(back, 0.3).body.loras).toEqual(chosen);
    expect(recalled({ ...fresh(), loras: chosen }, job.order).loras).toEqual([]);
    expect(readDraft({ loras: [{ name: "fur", weight: 99 }, { name: "ink" }] }).loras).toEqual([
      { name: "fur", weight: 10 }, { name: "ink", weight: 1 },
    ]);
    expect(readDraft({ loras: 3 }).loras).toEqual([]);
  });

  it("of a recipe are those that its prompt does not name", () => {
    const marks = chosen.map((it) => ({ ...it, sha256: SHA, short_hash: "0" }));
    const of = (prompt: string, mode: string | undefined) => orderOfRecipe({ ...recipe, prompt, prompt_mode: mode, loras: marks })!.loras;
    expect(of("comic", "a1111")).toEqual(chosen);
    expect(of("comic <lora:Fur:0.8>", "a1111")).toEqual([chosen[1]]);
    expect(of("comic <lora:styles/fur:0.5><lora:ink:-0.5>", "a1111")).toEqual([{ name: "fur", weight: 0.3 }]);
    expect(of("comic <lora:fur:0.8>", undefined)).toEqual(chosen);
    expect(untagged("<lora:fur>", [{ name: "fur", weight: 1 }])).toBeNull();
  });
});
