import { describe, expect, it } from "vitest";
import { COMMON, holds, press, stylesOf } from "../src/lib/phrases";

const styles = stylesOf(COMMON);
const named = (name: string) => styles.find((style) => style.name === name)!;

describe("style chips", () => {
  it("write, replace within their group and go together across groups", () => {
    const oil = press("", named("oil painting"), styles);
    expect(oil).toBe(named("oil painting").phrase);
    const comic = press(oil, named("comic"), styles);
    expect(comic).toBe(named("comic").phrase);
    const both = press(comic, named("night"), styles);
    expect(holds(both, named("comic")) && holds(both, named("night"))).toBe(true);
  });

  it("keep what was typed", () => {
    const written = press("a lake,", named("watercolour"), styles);
    expect(written).toBe(`a lake, ${named("watercolour").phrase}`);
    expect(press(written, named("watercolour"), styles)).toBe("a lake");
  });

  it("leave no stray commas", () => {
    const prompt = `${named("comic").phrase}, a cat, ${named("night").phrase}`;
    expect(press(prompt, named("comic"), styles)).toBe(`a cat, ${named("night").phrase}`);
    expect(press(named("comic").phrase, named("comic"), styles)).toBe("");
  });

  it("never hold another's words, or pressing one would show two", () => {
    for (const style of styles) expect(styles.filter((other) => holds(style.phrase, other))).toEqual([style]);
  });

  it("of an unknown style write its name", () => {
    expect(stylesOf(["stained glass"])[0]!.phrase).toBe("stained glass");
  });
});
