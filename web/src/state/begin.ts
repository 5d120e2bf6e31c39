// Asks the service who is here until it answers.

import { session } from "./session.svelte";

/** Ends when the returned function is called. */
export function begin(): () => void {
  let over = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const ask = (failures: number): void => {
    session.load().catch(() => {
      if (over) return;
      session.unreachable = true;
      timer = setTimeout(() => ask(failures + 1), Math.min(8_000, 500 * 2 ** failures));
    });
  };
  ask(0);
  return () => {
    over = true;
    clearTimeout(timer);
  };
}
