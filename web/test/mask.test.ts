import { describe, expect, it } from "vitest";
import { Mask, readOps, settled, type Op } from "../src/lib/mask";
import { greyPng } from "../src/lib/png";

const sum = (mask: Mask): number => mask.pixels.reduce((total, value) => total + value, 0);
const line = (mask: Mask, erase: boolean, ...points: [number, number][]): void => {
  points.forEach(([x, y], at) => (at === 0 ? mask.begin(erase, { x, y, radius: 5 }) : mask.extend({ x, y, radius: 5 })));
  mask.end();
};
const box = (mask: Mask, x: number, y: number, width: number, height: number, erase = false): void =>
  mask.apply({ kind: "box", erase, x, y, width, height });

/** What every mask is, whatever was done to it. */
function sound(mask: Mask): void {
  expect(mask.coverage * 255 * mask.width * mask.height).toBeCloseTo(sum(mask), 6);
  expect(mask.pixels.every((value) => settled(value) === value)).toBe(true);
}

describe("a stroke", () => {
  it("covers a disc round its dab, its area about that of a circle", () => {
    const mask = new Mask(64, 64);
    mask.begin(false, { x: 32, y: 32, radius: 20 });
    mask.end();
    expect(sum(mask) / 255).toBeGreaterThan(Math.PI * 400 * 0.99);
    expect(sum(mask) / 255).toBeLessThan(Math.PI * 400 * 1.01);
    expect(mask.pixels[32 * 64 + 51]).toBe(255);
    expect(mask.pixels[32 * 64 + 53]).toBe(0);
    sound(mask);
  });

  it("leaves no gap between dabs that are far apart", () => {
    const mask = new Mask(200, 40);
    line(mask, false, [10, 20], [190, 20]);
    for (let x = 10; x < 190; x += 1) expect(mask.pixels[20 * 200 + x], String(x)).toBe(255);
  });

  it("says where it changed something, and changes nothing elsewhere", () => {
    const mask = new Mask(100, 80);
    const area = mask.begin(false, { x: 30.3, y: 40.7, radius: 6.1 });
    mask.pixels.forEach((value, at) => {
      const [x, y] = [at % 100, Math.floor(at / 100)];
      if (value > 0) expect(x >= area.x0 && x < area.x1 && y >= area.y0 && y < area.y1).toBe(true);
    });
  });

  it("of a width of one pixel covers that pixel", () => {
    const mask = new Mask(9, 9);
    mask.begin(false, { x: 4.5, y: 4.5, radius: 0.5 });
    mask.end();
    expect(sum(mask)).toBe(255);
  });

  it("may leave the picture", () => {
    const mask = new Mask(20, 10);
    line(mask, false, [-30, -30], [50, 40]);
    sound(mask);
    expect(mask.coverage).toBeGreaterThan(0);
  });

  it("that is wider at one end is a wedge", () => {
    const mask = new Mask(100, 60);
    mask.begin(false, { x: 20, y: 30, radius: 2 });
    mask.extend({ x: 80, y: 30, radius: 20 });
    mask.end();
    const high = (x: number): number => Array.from({ length: 60 }, (_, y) => mask.pixels[y * 100 + x]!).filter((it) => it > 0).length;
    expect(high(30)).toBeLessThan(high(50));
    expect(high(50)).toBeLessThan(high(70));
  });

  it("of the eraser takes away what it goes over", () => {
    const mask = new Mask(60, 20);
    box(mask, 0, 0, 60, 20);
    line(mask, true, [0, 10], [60, 10]);
    expect(mask.pixels[10 * 60 + 30]).toBe(0);
    expect(mask.pixels[0]).toBe(255);
    sound(mask);
  });

  it("that was not meant leaves nothing", () => {
    const mask = new Mask(60, 20);
    box(mask, 0, 0, 5, 5);
    mask.begin(false, { x: 30, y: 10, radius: 8 });
    mask.abort();
    expect(sum(mask)).toBe(25 * 255);
    expect(mask.done).toHaveLength(1);
    sound(mask);
  });
});

describe("undo and redo", () => {
  const all: ((mask: Mask) => void)[] = [
    (mask) => line(mask, false, [5, 5], [40, 20]),
    (mask) => box(mask, 20, 10, 30, 12),
    (mask) => line(mask, true, [25, 0], [30, 39]),
    (mask) => mask.apply({ kind: "invert" }),
    (mask) => mask.apply({ kind: "clear" }),
    (mask) => line(mask, false, [50, 30]),
  ];

  it("go back and forth through every look, bit for bit", () => {
    const mask = new Mask(60, 40);
    const looks = [mask.pixels.slice()];
    for (const act of all) {
      act(mask);
      looks.push(mask.pixels.slice());
    }
    for (let at = all.length - 1; at >= 0; at -= 1) {
      mask.undo();
      expect(mask.pixels).toEqual(looks[at]);
      sound(mask);
    }
    expect(mask.canUndo).toBe(false);
    mask.undo();
    for (let at = 1; at <= all.length; at += 1) {
      mask.redo();
      expect(mask.pixels).toEqual(looks[at]);
    }
    expect(mask.canRedo).toBe(false);
  });

  it("find a look that was let go to save memory", () => {
    const mask = new Mask(80, 40, 0);
    for (let at = 0; at < 6; at += 1) box(mask, 10 * at, 0, 5, 4);
    for (let at = 6; at > 0; at -= 1) {
      expect(sum(mask)).toBe(255 * 20 * at);
      mask.undo();
    }
    expect(sum(mask)).toBe(0);
  });

  it("forget what was undone once something else is done", () => {
    const mask = new Mask(10, 10);
    box(mask, 0, 0, 5, 5);
    mask.undo();
    box(mask, 5, 5, 5, 5);
    expect(mask.canRedo).toBe(false);
  });

  it("keep a stroke whole that something else comes into", () => {
    for (const act of [(mask: Mask) => mask.apply({ kind: "invert" }), (mask: Mask) => mask.undo(), (mask: Mask) => mask.begin(true, { x: 9, y: 9, radius: 4 })]) {
      const mask = new Mask(60, 40);
      box(mask, 20, 10, 30, 12);
      mask.begin(false, { x: 5, y: 5, radius: 3 });
      mask.extend({ x: 30, y: 20, radius: 3 });
      act(mask);
      mask.extend({ x: 50, y: 30, radius: 3 });
      mask.end();
      const again = new Mask(60, 40);
      again.restore(mask.done);
      expect(again.pixels).toEqual(mask.pixels);
      sound(mask);
    }
  });

  it("survive storage: the operations make the same mask", () => {
    const mask = new Mask(60, 40);
    for (const act of all) act(mask);
    mask.undo();
    mask.undo();
    const again = new Mask(60, 40);
    again.restore(readOps(JSON.parse(JSON.stringify(mask.done)))!);
    expect(again.pixels).toEqual(mask.pixels);
    expect(again.coverage).toBe(mask.coverage);
    again.undo();
    mask.undo();
    expect(again.pixels).toEqual(mask.pixels);
  });
});

describe("a mask", () => {
  it("is inverted to what it was not, twice to what it was", () => {
    const mask = new Mask(40, 30);
    line(mask, false, [10, 10], [30, 20]);
    const before = mask.pixels.slice();
    const share = mask.coverage;
    mask.apply({ kind: "invert" });
    expect(mask.coverage).toBeCloseTo(1 - share, 12);
    mask.pixels.forEach((value, at) => expect(value).toBe(255 - before[at]!));
    sound(mask);
    mask.apply({ kind: "invert" });
    expect(mask.pixels).toEqual(before);
  });

  it("covers the share of the picture that its boxes have", () => {
    const mask = new Mask(100, 50);
    box(mask, 10, 10, 20, 10);
    expect(mask.coverage).toBeCloseTo(0.04, 12);
    box(mask, 20, 10, 20, 10);
    expect(mask.coverage).toBeCloseTo(0.06, 12);
    box(mask, 0, 0, 100, 50, true);
    expect(mask.coverage).toBe(0);
  });

  it("has boxes within the picture, or none", () => {
    const mask = new Mask(100, 50);
    expect(mask.boxOf({ x: 90.4, y: 60 }, { x: 120, y: 39.6 }, false)).toEqual({ kind: "box", erase: false, x: 90, y: 40, width: 10, height: 10 });
    expect(mask.boxOf({ x: 110, y: 0 }, { x: 120, y: 20 }, false)).toBeNull();
    expect(mask.boxOf({ x: 5, y: 5 }, { x: 5.2, y: 30 }, false)).toBeNull();
  });

  it("takes a picture over, rounded as the service rounds", () => {
    const mask = new Mask(2, 2);
    box(mask, 0, 0, 2, 2);
    mask.know("a", Uint8Array.from([0, 15, 128, 240]));
    mask.apply({ kind: "picture", sha256: "a" });
    expect([...mask.pixels]).toEqual([0, 0, 128, 255]);
    mask.undo();
    expect(mask.coverage).toBe(1);
    expect(() => mask.know("b", new Uint8Array(3))).toThrow("expected 4");
  });
});

describe("operations out of storage", () => {
  it("are taken where they fit", () => {
    const ops: Op[] = [{ kind: "stroke", erase: false, dabs: [1, 2, 3] }, { kind: "picture", sha256: "a" }, { kind: "invert" }];
    expect(readOps(ops)).toEqual(ops);
    for (const wrong of [null, {}, [1], [{ kind: "stroke", erase: false, dabs: [1, 2] }], [{ kind: "box", erase: true, x: -1, y: 0, width: 1, height: 1 }], [{ kind: "spray" }]]) {
      expect(readOps(wrong), JSON.stringify(wrong)).toBeNull();
    }
  });
});

describe("the picture of a mask", () => {
  it("is a grey PNG of 8 bits and of the mask's size, every pixel as painted", async () => {
    const mask = new Mask(37, 23);
    line(mask, false, [5, 5], [30, 15]);
    const file = new Uint8Array(await (await greyPng(mask.width, mask.height, mask.pixels)).arrayBuffer());
    const view = new DataView(file.buffer);
    const text = (from: number, to: number): string => new TextDecoder().decode(file.subarray(from, to));
    expect([...file.subarray(0, 8)]).toEqual([137, 80, 78, 71, 13, 10, 26, 10]);
    expect([view.getUint32(16), view.getUint32(20), file[24], file[25]]).toEqual([37, 23, 8, 0]);
    const length = view.getUint32(33);
    expect(text(37, 41)).toBe("IDAT");
    const stream = new Blob([file.slice(41, 41 + length)]).stream().pipeThrough(new DecompressionStream("deflate"));
    const rows = new Uint8Array(await new Response(stream).arrayBuffer());
    expect(rows).toHaveLength(38 * 23);
    const seen = new Uint8Array(37 * 23);
    for (let y = 0; y < 23; y += 1) {
      expect(rows[y * 38]).toBe(2);
      for (let x = 0; x < 37; x += 1) seen[y * 37 + x] = rows[y * 38 + 1 + x]! + (y > 0 ? seen[(y - 1) * 37 + x]! : 0);
    }
    expect(seen).toEqual(mask.pixels);
    // The checksum of IEND is the same in every PNG file.
    expect([...file.subarray(-8)]).toEqual([...new TextEncoder().encode("IEND"), 0xae, 0x42, 0x60, 0x82]);
  });
});
