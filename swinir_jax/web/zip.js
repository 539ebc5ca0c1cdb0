// A ZIP file of the results, which are stored as they are: pictures do not shrink any more.
import { Trouble } from "./trouble.js";

const LIMIT = 2 ** 32 - 1; // of sizes and places in a ZIP file of the old kind
const NEW_YEAR = 0x5a21; // 1 January 2025, as MS-DOS writes dates

// Fetches the results and hands the ZIP file to the browser's downloads. Results that are not kept any more are left out,
// and `onGone(result)` is called for each.
export async function saveZip(results, onGone) {
  const parts = [];
  const directory = [];
  let place = 0;
  for (const { name, result } of withoutDoubles(results)) {
    const answer = await fetch(result.url).catch(() => {
      if (!result.url.startsWith("blob:")) throw new Trouble("unreachable"); // else it has been removed meanwhile
    });
    if (!answer?.ok) {
      onGone(result);
      continue;
    }
    const data = new Uint8Array(await answer.arrayBuffer());
    const entry = { name: new TextEncoder().encode(name), size: data.length, sum: crc32(data), place };
    const head = header(0x04034b50, entry, 30);
    parts.push(head, new Blob([data]));
    directory.push(header(0x02014b50, entry, 46));
    place += head.length + data.length;
    if (place > LIMIT) throw new Trouble("zipTooLarge");
  }
  if (!directory.length) return;
  const end = new DataView(new ArrayBuffer(22));
  const length = directory.reduce((sum, entry) => sum + entry.length, 0);
  end.setUint32(0, 0x06054b50, true);
  end.setUint16(8, directory.length, true);
  end.setUint16(10, directory.length, true);
  end.setUint32(12, length, true);
  end.setUint32(16, place, true);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([...parts, ...directory, end], { type: "application/zip" }));
  link.download = "restored.zip";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// Writes the header of an entry: before its data (30 bytes and the name), or in the directory (46 bytes and the name).
function header(mark, { name, size, sum, place }, length) {
  const bytes = new Uint8Array(length + name.length);
  const view = new DataView(bytes.buffer);
  const isDirectory = length === 46;
  const fields = isDirectory ? 6 : 4; // the directory's entries have one more version number
  view.setUint32(0, mark, true);
  if (isDirectory) view.setUint16(4, 20, true);
  view.setUint16(fields, 20, true); // version 2.0
  view.setUint16(fields + 2, 0x0800, true); // names in UTF-8
  view.setUint16(fields + 8, NEW_YEAR, true);
  view.setUint32(fields + 10, sum, true);
  view.setUint32(fields + 14, size, true);
  view.setUint32(fields + 18, size, true);
  view.setUint16(fields + 22, name.length, true);
  if (isDirectory) view.setUint32(42, place, true);
  bytes.set(name, length);
  return bytes;
}

// Numbers equal names as browsers do: `a.png`, `a (1).png`. `A.png` is equal to `a.png` for Windows and macOS.
function withoutDoubles(results) {
  const taken = new Set();
  return results.map((result) => {
    const { name } = result;
    const dot = name.lastIndexOf(".");
    let unique = name;
    for (let n = 1; taken.has(unique.toLowerCase()); n += 1) unique = `${name.slice(0, dot)} (${n})${name.slice(dot)}`;
    taken.add(unique.toLowerCase());
    return { name: unique, result };
  });
}

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit += 1) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

export function crc32(data) {
  let sum = 0xffffffff;
  for (const byte of data) sum = TABLE[(sum ^ byte) & 0xff] ^ (sum >>> 8);
  return (sum ^ 0xffffffff) >>> 0;
}
