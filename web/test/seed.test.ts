import { describe, expect, it } from "vitest";
import { parseJson, readSeed, seedOf, seedPlus, seedToJson } from "../src/lib/seed";

const LARGEST = "18446744073709551615";

describe("seeds", () => {
  it("are read as 64 bits and no more", () => {
    expect(readSeed(" 007 ")).toBe("7");
    expect(readSeed(LARGEST)).toBe(LARGEST);
    expect(readSeed("18446744073709551616")).toBeNull();
    for (const none of ["", "-1", "1.5", "1e3", "seven", "0x10"]) expect(readSeed(none)).toBeNull();
  });

  it("are sent as numbers where those are exact, as text above", () => {
    expect(seedToJson("9007199254740992")).toBe(9007199254740992);
    expect(seedToJson("9007199254740993")).toBe("9007199254740993");
    expect(seedToJson("0")).toBe(0);
  });

  it("come out of JSON as they went in", () => {
    expect(seedOf(42)).toBe("42");
    expect(seedOf(2 ** 53)).toBe("9007199254740992");
    expect(seedOf(LARGEST)).toBe(LARGEST);
    for (const none of [null, undefined, -1, 0.5, 2 ** 60, "x"]) expect(seedOf(none)).toBeNull();
  });

  it("are not rounded even where a number beyond 2^53 comes", () => {
    const parsed = parseJson('{"seed": 18446744073709551615, "steps": 10}') as { seed: unknown };
    expect(seedOf(parsed.seed)).toBe(LARGEST);
  });

  it("leave texts that look like seeds alone", () => {
    const value = { prompt: 'say "seed": 12345678901234567890, please', seed: 1 };
    expect(parseJson(JSON.stringify(value))).toEqual(value);
  });

  it("count up past the largest", () => {
    expect(seedPlus("9007199254740992", 1)).toBe("9007199254740993");
    expect(seedPlus(LARGEST, 2)).toBe("1");
  });
});
