import { describe, expect, it } from "vitest";
import { expandText, freshPainting, INTENTS, needsNoMask, paintingOf, readExpand, readPainting, startOf } from "../src/lib/painting";
import { fresh, orderOfRecipe, posting, recalled, settingsOf } from "../src/lib/settings";
import { toJob } from "../src/wire";
import documentation from "../../docs/inpainting.md?raw";

const SHA = "79b9d861d077d4333ae27f632155f33a22f2f22c465b5365a99b95678f062a3c";
const MASK = "0c".repeat(32);
const source = { sha256: SHA, name: "portrait.jpg", width: 512, height: 512, bytes: 1, warnings: [] };

describe("the intents", () => {
  it("are those that the documentation tells of, with its numbers", () => {
    const rows = [...documentation.matchAll(/^\| `([a-z-]+)`[^|]*\|[^|]*\| ([0-9.]+) \| the (source|surround, smooth|surround, in patches) \| the (whole picture|masked part) \|/gm)];
    const contents: Record<string, string> = { source: "original", "surround, smooth": "fill", "surround, in patches": "patches" };
    const told = rows.map(([, id, strength, content, area]) => ({
      id, strength: Number(strength), content: contents[content!], area: area === "whole picture" ? "whole" : "masked",
    }));
    expect(INTENTS.map(({ id, strength, content, area }) => ({ id, strength, content, area }))).toEqual(told);
  });
});

describe("an order of a part", () => {
  const draft = { ...fresh(), source, repaint: true, prompt: "winter", size: "640", strength: 0.2 };

  it("holds the mask and the intent, and leaves strength and the rest to it", () => {
    const { route, body } = posting(draft, MASK);
    expect(route).toBe("inpaintings");
    expect(body).toEqual({
      prompt: "winter", negative_prompt: draft.negative, source: SHA, count: 1, inpaint: { intent: "change", mask: MASK },
    });
  });

  it("holds what was set apart", () => {
    const painting = {
      ...freshPainting(), intent: "fill" as const, strength: 0.8, content: "noise", area: "whole", feather: 6, grow: -3, only: ["subject"],
      protect: ["faces"], expand: { left: 128, top: 0, right: 0, bottom: 64 },
    };
    expect(posting({ ...draft, painting }, null).body).toMatchObject({
      strength: 0.8,
      inpaint: { intent: "fill", content: "noise", area: "whole", feather: 6, grow: -3, only: ["subject"], protect: ["faces"], expand: "left=128,bottom=64" },
    });
  });

  it("is one of the whole picture where that is chosen", () => {
    expect(posting({ ...draft, repaint: false }, null).route).toBe("transforms");
  });

  it("comes back from its job as it was ordered", () => {
    const painting = { ...freshPainting(), intent: "fill" as const, strength: 0.8, feather: 6, grow: 2, protect: ["faces"], expand: { left: 8, top: 0, right: 0, bottom: 0 } };
    const { body } = posting({ ...draft, painting }, MASK);
    const order = { ...body, model: "starter", seed: 7 };
    const job = toJob({ id: "1", kind: "inpaint", state: "done", order, results: [{ index: 0, seed: 9, strength: 0.8 }] });
    expect(job.order.inpaint?.mask).toBe(MASK);
    const back = recalled(fresh(), settingsOf(job, job.results[0]));
    expect(back).toMatchObject({ repaint: true, prompt: "winter", seed: "9", locked: true, painting, strength: 0.5 });
    expect(posting({ ...back, source, locked: false, model: null }, MASK).body).toEqual(body);
  });

  it("keeps what the page has no field for", () => {
    const inpaint = { intent: "change", boxes: [[1, 2, 3, 4]], colours: ["#00ff00:24"], padding: 40, invert: true };
    const job = toJob({ id: "1", kind: "inpaint", state: "done", order: { prompt: "x", source: SHA, strength: 0.75, inpaint } });
    const back = recalled(fresh(), job.order);
    expect(back.painting.strength).toBeNull();
    expect(posting({ ...back, source }, null).body.inpaint).toEqual(inpaint);
    expect(needsNoMask(back.painting)).toBe(true);
  });

  it("comes back from the recipe in a picture", () => {
    const order = orderOfRecipe({
      prompt: "winter", negative_prompt: "", strength: 0.9, steps: 20, seed: 5, source: { name: "a.jpg", sha256: SHA },
      inpaint: { intent: "fill", content: "patches", area: "masked", padding: 32, wide: 4, band: 2, ring: 8, expand: "top=64", mask: { picture: { name: "mask.png", sha256: MASK }, protect: ["faces"], feather: 4, sha256: "ff" } },
    });
    expect(order?.inpaint?.mask).toBe(MASK);
    expect(recalled(fresh(), order!).painting).toEqual({
      ...freshPainting(), intent: "fill", protect: ["faces"], feather: 4, expand: { left: 0, top: 64, right: 0, bottom: 0 },
      more: { padding: 32, wide: 4, band: 2, ring: 8 },
    });
  });

  it("of what is added alone starts from patches where nothing else is named", () => {
    const told = { prompt: "x", negative_prompt: "", strength: 0.75, steps: 20, seed: 5, source: { name: "a.jpg", sha256: SHA } };
    const back = (content: string) => {
      const mask = { sha256: "ff" };
      const order = orderOfRecipe({ ...told, inpaint: { intent: "change", content, area: "whole", padding: 1, wide: 1, band: 1, ring: 1, expand: "top=64", mask } });
      return recalled(fresh(), order!).painting;
    };
    expect(back("patches").content).toBeNull();
    expect(back("original").content).toBe("original");
    expect(startOf(back("patches"), false)).toBe("patches");
    expect(startOf(back("patches"), true)).toBe("original");
    expect(startOf({ ...back("patches"), intent: "replace-background" }, false)).toBe("fill");
  });

  it("of a whole picture turns the part off again", () => {
    const order = toJob({ id: "1", kind: "transform", state: "done", order: { prompt: "x", source: SHA, strength: 0.4 } }).order;
    expect(recalled(draft, order)).toMatchObject({ repaint: false, strength: 0.4 });
  });
});

describe("a painting", () => {
  it("out of storage is taken where it fits", () => {
    const painting = { ...freshPainting(), intent: "remove" as const, strength: 0.5, feather: 3, only: ["faces"], expand: { left: 1, top: 2, right: 3, bottom: 4 } };
    expect(readPainting(JSON.parse(JSON.stringify(painting)))).toEqual(painting);
    expect(readPainting({ intent: "eat", strength: "x", feather: -4, grow: null, only: "faces", expand: { left: "x", top: 9e9 }, evil: 1 })).toEqual({
      ...freshPainting(), expand: { left: 0, top: 2048, right: 0, bottom: 0 },
    });
    for (const wrong of [null, 3, "x", []]) expect(readPainting(wrong)).toEqual(freshPainting());
  });

  it("says its added sides and reads them", () => {
    expect(expandText(freshPainting().expand)).toBeNull();
    expect(readExpand("left=128, bottom=64,middle=3")).toEqual({ left: 128, top: 0, right: 0, bottom: 64 });
    expect(readExpand(null)).toEqual(freshPainting().expand);
  });

  it("needs a mask unless something else says what changes", () => {
    expect(needsNoMask(freshPainting())).toBe(false);
    expect(needsNoMask({ ...freshPainting(), intent: "replace-background" })).toBe(true);
    expect(needsNoMask({ ...freshPainting(), protect: ["faces"] })).toBe(true);
    expect(needsNoMask({ ...freshPainting(), expand: { left: 8, top: 0, right: 0, bottom: 0 } })).toBe(true);
  });

  it("of an unknown intent is a change", () => {
    const inpaint = toJob({ id: "1", order: { inpaint: { intent: "dream" } } }).order.inpaint;
    expect(paintingOf(inpaint!, null)).toEqual(freshPainting());
  });
});
