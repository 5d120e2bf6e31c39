import { describe, expect, it } from "vitest";
import { address } from "../src/api";
import { remedy, shortName } from "../src/lib/advice";
import { holdsMark, mayBeOurs } from "../src/lib/ours";
import { remembered } from "../src/lib/recent";
import { toAdvice, toJob, toSession } from "../src/wire";

describe("addresses", () => {
  it("keep a path prefix", () => {
    expect(address("jobs", "https://host/tools/imagegen/")).toBe("https://host/tools/imagegen/api/v1/jobs");
    expect(address("jobs", "http://127.0.0.1:7860/")).toBe("http://127.0.0.1:7860/api/v1/jobs");
  });
});

describe("answers", () => {
  it("of a job whose pictures came out of order are sorted", () => {
    const job = toJob({ id: "1", kind: "ladder", state: "running", order: {}, results: [{ index: 1 }, { index: 0 }] });
    expect(job.results.map((result) => result.index)).toEqual([0, 1]);
  });

  it("with nulls are no surprise", () => {
    const job = toJob({ id: "1", kind: "generate", state: "queued", order: { prompt: "x", source: null, seed: null }, position: 2, progress: null, failure: null, results: null });
    expect(job).toMatchObject({ kind: "generate", position: 2, progress: null, failure: null, results: [] });
  });

  it("without limits have the usual one", () => {
    expect(toSession({}).limits.picture_bytes).toBe(10 * (1 << 20));
  });

  it("about strength can be acted on", () => {
    const advice = toAdvice({ kind: "nothing-changed", severity: "warning", text: "result is nearly the source", suggested: 0.55 });
    expect(advice.message).toBe("result is nearly the source");
    expect(remedy(advice.suggestion)).toEqual({ label: "Take strength 0.55", strength: 0.55 });
    expect(shortName(advice)).toBe("Hardly changed");
    expect(remedy(toAdvice({ kind: "source-noisy", suggested: null }).suggestion)).toBeNull();
  });
});

describe("a picture of ours", () => {
  const mark = new TextEncoder().encode("xx iimagegen yy");

  it("is known by its mark at either end", async () => {
    expect(holdsMark(mark)).toBe(true);
    expect(holdsMark(mark.slice(0, 10))).toBe(false);
    const far = new Uint8Array(600_000);
    expect(await mayBeOurs(new Blob([far, mark]))).toBe(true);
    expect(await mayBeOurs(new Blob([mark, far]))).toBe(true);
    expect(await mayBeOurs(new Blob([far]))).toBe(false);
  });
});

describe("recent prompts", () => {
  it("are each there once, the newest first", () => {
    expect(remembered(["a", "b"], " b ")).toEqual(["b", "a"]);
    expect(remembered(["a"], "  ")).toEqual(["a"]);
    const many = Array.from({ length: 20 }, (_, at) => String(at)).reduce<string[]>((list, prompt) => remembered(list, prompt), []);
    expect(many).toHaveLength(12);
    expect(many[0]).toBe("19");
  });
});
