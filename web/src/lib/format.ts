// Figures and times in words.

/** `9.8 MB`, decimal as file managers show it. */
export function bytes(count: number): string {
  if (count < 1000) return `${count} bytes`;
  const units = ["kB", "MB", "GB"];
  let value = count / 1000;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const rounded = value.toFixed(value < 10 ? 1 : 0).replace(/\.0$/, "");
  return `${rounded} ${units[unit]}`;
}

/** A limit in whole megabytes as people say it, whether it was meant as 10^6 or 2^20 bytes. */
export function limit(count: number): string {
  const binary = count / (1 << 20);
  return Number.isInteger(binary) ? `${binary} MB` : bytes(count);
}

/** A size that is over `most`, in the same megabytes as [`limit`], never so short that they look alike. */
export function over(count: number, most: number): string {
  const unit = Number.isInteger(most / (1 << 20)) ? 1 << 20 : 1e6;
  const tenths = Math.ceil((count / unit) * 10) / 10;
  return `${Number.isInteger(tenths) ? tenths : tenths.toFixed(1)} MB`;
}

/** `about 8 s`, `about 3 min`; never more exact than an estimate is. */
export function about(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return "";
  if (seconds < 1.5) return "about 1 s";
  if (seconds < 90) return `about ${Math.round(seconds)} s`;
  if (seconds < 90 * 60) return `about ${Math.round(seconds / 60)} min`;
  return `about ${Math.round(seconds / 3600)} h`;
}

/** `0.5`, `0.35`: a strength with as many digits as it needs, at most two. */
export function strength(value: number): string {
  return String(Math.round(value * 100) / 100);
}

/** A share 0 to 1 in whole percent. */
export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** How much a mask covers: `under 1 %`, `12 %`, never 0 or 100 for what is not. */
export function covered(share: number): string {
  if (share > 0 && share < 0.01) return "under 1 %";
  return share > 0.99 && share < 1 ? "over 99 %" : percent(share);
}

/** `just now`, `5 min ago`, `3 h ago`, else the date. */
export function ago(then: number, now: number): string {
  const seconds = (now - then) / 1000;
  if (seconds < 60) return "just now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 24 * 3600) return `${Math.floor(seconds / 3600)} h ago`;
  return new Date(then).toLocaleDateString(undefined, { day: "numeric", month: "short", year: "numeric" });
}

/** `1 picture`, `3 pictures`. */
export function many(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** How alike, in words a person would use; `overall` 0 to 1. */
export function likeness(overall: number): string {
  if (overall >= 0.95) return "nearly the source";
  if (overall >= 0.8) return "close to the source";
  if (overall >= 0.6) return "clearly changed";
  if (overall >= 0.4) return "far from the source";
  return "hardly related";
}
