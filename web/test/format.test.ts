import { describe, expect, it } from "vitest";
import * as format from "../src/lib/format";

describe("figures in words", () => {
  it("sizes", () => {
    expect(format.bytes(999)).toBe("999 bytes");
    expect(format.bytes(1500)).toBe("1.5 kB");
    expect(format.bytes(2_000_000)).toBe("2 MB");
    expect(format.bytes(11_534_336)).toBe("12 MB");
    expect(format.bytes(999_900)).toBe("1 MB");
  });

  it("limits as people say them", () => {
    expect(format.limit(10 * (1 << 20))).toBe("10 MB");
    expect(format.limit(10_000_000)).toBe("10 MB");
  });

  it("times that claim no more than an estimate can", () => {
    expect(format.about(0.2)).toBe("about 1 s");
    expect(format.about(7.6)).toBe("about 8 s");
    expect(format.about(200)).toBe("about 3 min");
    expect(format.about(Number.NaN)).toBe("");
  });

  it("strengths without binary dust", () => {
    expect(format.strength(0.35000000000000003)).toBe("0.35");
    expect(format.strength(0.5)).toBe("0.5");
  });

  it("how long ago", () => {
    const now = 1_700_000_000_000;
    expect(format.ago(now - 5_000, now)).toBe("just now");
    expect(format.ago(now - 125_000, now)).toBe("2 min ago");
    expect(format.ago(now - 7_300_000, now)).toBe("2 h ago");
  });

  it("likeness falls with fidelity", () => {
    const words = [1, 0.9, 0.7, 0.5, 0.1].map(format.likeness);
    expect(new Set(words).size).toBe(5);
  });
});
