// The binary traits that kernel and page exchange.

/** A binary trait, DataView or typed array, as Uint8Array; null if it is empty. */
export function bytesOf(value) {
  if (!value || !value.byteLength) return null;
  return new Uint8Array(value.buffer ?? value, value.byteOffset ?? 0, value.byteLength);
}

/** The bytes of a gzip value; null if it is empty or not of this length. */
export async function unzipped(value, length) {
  const bytes = bytesOf(value);
  if (!bytes) return null;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const plain = new Uint8Array(await new Response(stream).arrayBuffer());
  return length === undefined || plain.length === length ? plain : null;
}

/**
 * Labels as runs: 32 bits each, little-endian, the label lowest, the number of pixels above it.
 * Not gzip, which would take most of the time from a stroke to its trimap.
 */
export function toRuns(labels) {
  let runs = new Uint32Array(4096);
  let count = 0;
  for (let i = 0; i < labels.length;) {
    const label = labels[i];
    const start = i;
    while (i < labels.length && labels[i] === label) i++;
    if (count === runs.length) {
      const more = new Uint32Array(2 * count);
      more.set(runs);
      runs = more;
    }
    runs[count++] = ((i - start) << 8) | label;
  }
  return new Uint8Array(runs.buffer.slice(0, 4 * count));
}

/** Labels from runs; null if there are none or they are not of this length. */
export function fromRuns(value, length) {
  const bytes = bytesOf(value);
  if (!bytes || bytes.length % 4) return null;
  const labels = new Uint8Array(length);
  let end = 0;
  for (const run of new Uint32Array(bytes.slice().buffer)) {
    const start = end;
    end += run >>> 8;
    labels.fill(run & 255, start, end);
  }
  return end === length ? labels : null;
}

/** Identifies a photo: FNV-1a, because crypto.subtle is not available everywhere. */
export function fingerprint(bytes) {
  let hash = 0x811c9dc5;
  for (const byte of bytes ?? []) hash = Math.imul(hash ^ byte, 0x01000193);
  return `${bytes?.length ?? 0}-${(hash >>> 0).toString(16)}`;
}
