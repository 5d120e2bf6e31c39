// Light or dark: the system's choice unless a person has chosen.

import { read, write } from "../lib/keep";

export type Theme = "system" | "light" | "dark";

const kept = read("theme");
export const theme = $state<{ value: Theme }>({ value: kept === "light" || kept === "dark" ? kept : "system" });

export function applyTheme(): void {
  if (theme.value === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
}

export function nextTheme(): void {
  const order: Theme[] = ["system", "light", "dark"];
  theme.value = order[(order.indexOf(theme.value) + 1) % order.length]!;
  write("theme", theme.value === "system" ? null : theme.value);
  applyTheme();
}
