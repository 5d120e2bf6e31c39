import { describe, expect, it } from "vitest";
import { faceWarning, moved, runs, ZONES, zoneOf } from "../src/lib/zones";

describe("zones", () => {
  it("name what the strength table says", () => {
    const named: [number, string][] = [
      [0, "untouched"], [0.1, "texture"], [0.2, "texture"], [0.25, "repair"], [0.3, "likeness"], [0.45, "likeness"],
      [0.5, "style"], [0.6, "style"], [0.65, "echo"], [0.75, "echo"], [0.8, "loose"], [0.9, "loose"], [0.99, "loose"], [1, "fresh"],
    ];
    for (const [strength, id] of named) expect([strength, zoneOf(strength).id]).toEqual([strength, id]);
  });

  it("cover 0 to 1 without holes", () => {
    for (let at = 1; at < ZONES.length; at += 1) expect(ZONES[at]!.from).toBe(ZONES[at - 1]!.to);
    expect(ZONES[0]!.from).toBe(0);
    expect(ZONES.at(-1)!.to).toBe(1);
  });

  it("hold their own typical strength", () => {
    for (const zone of ZONES) expect(zoneOf(zone.typical)).toBe(zone);
  });
});

describe("the word about faces", () => {
  it("comes from 0.6 on, where there are faces", () => {
    expect(faceWarning(0.59, 1)).toBeNull();
    expect(faceWarning(0.6, 0)).toBeNull();
    expect(faceWarning(0.6, 1)).toContain("a face");
    expect(faceWarning(0.8, 3)).toContain("3 faces");
  });

  it("is not said of text alone", () => {
    expect(faceWarning(1, 1)).toBeNull();
  });
});

describe("more faithful and more transformed", () => {
  it("move without binary dust", () => {
    expect(moved(0.5, -0.15)).toBe(0.35);
    expect(moved(0.5, 0.15)).toBe(0.65);
    expect(moved(0.35, -0.15)).toBe(0.2);
  });

  it("stay in range and never return the source itself", () => {
    expect(moved(0.1, -0.15)).toBe(0.05);
    expect(moved(0.95, 0.15)).toBe(1);
  });
});

describe("steps that run", () => {
  it("are the service's, halves up", () => {
    expect(runs(10, 0.5)).toBe(5);
    expect(runs(10, 0.25)).toBe(3);
    expect(runs(50, 0.58)).toBe(29);
    expect(runs(10, 0.35)).toBe(4);
    expect(runs(4, 0.05)).toBe(1);
    expect(runs(10, 0)).toBe(0);
  });

  it("follow the rule", () => {
    expect(runs(10, 0.25, "exact")).toBe(10);
    expect(runs(10, 0.25, "diffusers")).toBe(2);
    for (const [steps, strength, count] of [[10, 0, 0], [10, 0.25, 3], [10, 0.5, 6], [10, 1, 10], [1, 0.5, 1], [20, 0.35, 8]] as const) {
      expect(runs(steps, strength, "a1111"), `${steps} ${strength}`).toBe(count);
    }
  });
});
