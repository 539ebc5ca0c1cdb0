// PNG files with 8 bits per channel. A canvas would round the colours of translucent pixels and add alpha to opaque ones.
import { crc32 } from "../zip.js";

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const COLOUR_TYPES = { 1: 0, 2: 4, 3: 2, 4: 6 }; // by channels: gray, gray and alpha, RGB, RGB and alpha
const PAETH = 4; // the filter that suits photographs

// Writes planes of floats, which are clipped to [0, 1] and rounded. Returns a Blob.
export async function encodePng(height, width, planes) {
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint8(8, 8); // bits
  header.setUint8(9, COLOUR_TYPES[planes.length]);
  const packed = new Blob([filter(interleave(planes), height, width * planes.length, planes.length)])
    .stream()
    .pipeThrough(new CompressionStream("deflate"));
  const parts = [
    new Uint8Array(SIGNATURE),
    chunk("IHDR", new Uint8Array(header.buffer)),
    chunk("sRGB", new Uint8Array([0])),
    chunk("IDAT", new Uint8Array(await new Response(packed).arrayBuffer())),
    chunk("IEND", new Uint8Array()),
  ];
  return new Blob(parts, { type: "image/png" });
}

function interleave(planes) {
  const samples = new Uint8ClampedArray(planes.length * planes[0].length);
  planes.forEach((plane, channel) => {
    for (let i = 0; i < plane.length; i += 1) samples[i * planes.length + channel] = plane[i] * 255;
  });
  return samples;
}

// Replaces samples by their differences from the prediction of Paeth's filter; a byte before each row names the filter.
function filter(samples, height, rowBytes, channels) {
  const filtered = new Uint8Array(height * (rowBytes + 1));
  for (let y = 0; y < height; y += 1) {
    const row = y * rowBytes;
    const to = y * (rowBytes + 1) + 1;
    filtered[to - 1] = PAETH;
    for (let i = 0; i < rowBytes; i += 1) {
      const left = i < channels ? 0 : samples[row + i - channels];
      const above = y === 0 ? 0 : samples[row + i - rowBytes];
      const corner = i < channels || y === 0 ? 0 : samples[row + i - rowBytes - channels];
      filtered[to + i] = samples[row + i] - predict(left, above, corner);
    }
  }
  return filtered;
}

// Returns the neighbour that is nearest to left + above - corner.
function predict(left, above, corner) {
  const fromLeft = Math.abs(above - corner);
  const fromAbove = Math.abs(left - corner);
  const fromCorner = Math.abs(left + above - 2 * corner);
  if (fromLeft <= fromAbove && fromLeft <= fromCorner) return left;
  return fromAbove <= fromCorner ? above : corner;
}

function chunk(name, data) {
  const bytes = new Uint8Array(data.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(new TextEncoder().encode(name), 4);
  bytes.set(data, 8);
  view.setUint32(data.length + 8, crc32(bytes.subarray(4, data.length + 8)));
  return bytes;
}
