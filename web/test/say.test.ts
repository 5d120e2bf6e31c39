import { describe, expect, it } from "vitest";
import { ApiError, errorOf } from "../src/api";
import { say, sayOfPicture, tooLarge } from "../src/lib/say";

const MOST = 10 * (1 << 20);
const answer = (status: number, body: string, headers: Record<string, string> = {}): Response => new Response(body, { status, headers });

describe("errors", () => {
  it("of the service keep code, field and sentence", async () => {
    const error = await errorOf(answer(422, '{"error":{"code":"strength_out_of_range","field":"strength","message":"strength is 1.4, expected 0 to 1"}}'));
    expect(error).toMatchObject({ status: 422, code: "strength_out_of_range", field: "strength" });
    expect(say(error, MOST)).toEqual({ title: "The strength will not do", detail: "Strength is 1.4, expected 0 to 1." });
  });

  it("of a proxy are understood by their status", async () => {
    const error = await errorOf(answer(502, "<html>Bad Gateway</html>"));
    expect(error.status).toBe(502);
    expect(say(error, MOST).title).toBe("The service has a problem");
  });

  it("about size name the limit in words", async () => {
    expect(tooLarge(11 * (1 << 20), MOST).title).toBe("That picture is 11 MB, the limit is 10 MB");
    expect(tooLarge(MOST + 1, MOST).title).toBe("That picture is 10.1 MB, the limit is 10 MB");
    expect(say(await errorOf(answer(413, "")), MOST).title).toContain("the limit is 10 MB");
  });

  it("about a full queue say when to come back", async () => {
    const error = await errorOf(answer(429, "{}", { "Retry-After": "12" }));
    expect(error.retryAfter).toBe(12);
    expect(say(error, MOST).detail).toContain("12 seconds");
  });

  it("about a picture say so", async () => {
    const damaged = await errorOf(answer(422, '{"error":{"code":"damaged","message":"the JPEG ends before its picture does"}}'));
    expect(sayOfPicture(damaged, MOST)).toEqual({ title: "That picture cannot be used", detail: "The JPEG ends before its picture does." });
    const gone = await errorOf(answer(404, '{"error":{"code":"unknown_source","message":"source \\"ab\\" is not known"}}'));
    expect(say(gone, MOST).title).toBe("The source is not here any more");
  });

  it("without an answer promise that nothing is lost", () => {
    expect(say(new ApiError(0, "offline", ""), MOST).detail).toContain("kept");
  });

  it("of our own are no excuse to be silent", () => {
    expect(say(new TypeError("x is not a function"), MOST).detail).toContain("x is not a function");
  });
});
