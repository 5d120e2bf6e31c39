import { describe, expect, it } from "vitest";
import { SseParser } from "../src/lib/sse";

const STREAM = ': hello\n\nevent: step\ndata: {"step":1}\n\nevent: done\r\ndata: {"a":\r\ndata: 1}\r\n\r\ndata: plain\n\n';
const EVENTS = [
  { event: "step", data: '{"step":1}' },
  { event: "done", data: '{"a":\n1}' },
  { event: "message", data: "plain" },
];

describe("a stream of events", () => {
  it("is cut right however it arrives", () => {
    for (const size of [1, 2, 3, 7, STREAM.length]) {
      const parser = new SseParser();
      const found = [];
      for (let at = 0; at < STREAM.length; at += size) found.push(...parser.feed(STREAM.slice(at, at + size)));
      expect(found).toEqual(EVENTS);
    }
  });

  it("has no event without data", () => {
    expect(new SseParser().feed("event: step\n\n: beat\n\n")).toEqual([]);
  });
});
