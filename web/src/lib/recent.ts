// The prompts used last, newest first, each once.

const MOST = 12;

export function remembered(prompts: readonly string[], prompt: string): string[] {
  const text = prompt.trim();
  if (text === "") return [...prompts];
  return [text, ...prompts.filter((other) => other !== text)].slice(0, MOST);
}
