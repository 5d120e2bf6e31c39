// Whether a file may be a picture that imagegen made: its recipe stands in it as plain text.

const MARK = new TextEncoder().encode("imagegen");
/** PNG and JPEG say it before the pixels, WebP after them. */
const LOOK = 256 * 1024;

export function holdsMark(bytes: Uint8Array): boolean {
  for (let at = bytes.indexOf(MARK[0]!); at >= 0; at = bytes.indexOf(MARK[0]!, at + 1)) {
    if (MARK.every((byte, offset) => bytes[at + offset] === byte)) return true;
  }
  return false;
}

export async function mayBeOurs(file: Blob): Promise<boolean> {
  const parts = [file.slice(0, LOOK), file.slice(Math.max(0, file.size - LOOK))];
  for (const part of parts) {
    if (holdsMark(new Uint8Array(await part.arrayBuffer()))) return true;
  }
  return false;
}
