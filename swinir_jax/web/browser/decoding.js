// Picture files as images of floats in [0, 1]. See tiling.js for images.
import { Trouble } from "../trouble.js";

const STRIP = 2 ** 20; // pixels that are drawn at a time; beyond 2^24, a canvas on iOS stays blank without an error
const MOST_SIDE = 2 ** 15 - 1; // of a canvas in every browser; larger ones stay black in some, without an error
const ANIMATED = { GIF8: "image/gif", RIFF: "image/webp", PNG: "image/png", ftyp: "image/avif" }; // by the first bytes

// Reads a file, upright and in sRGB, with 8 bits per channel, as browsers do.
// Returns {image, alpha, isGray, frames}: the image has three planes; `alpha` is a plane, or null if all is opaque; `frames`
// counts those of the file, of which the first one is read.
//   check(height, width): throws a Trouble if the picture is too large.
export async function decode(file, check) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new Trouble("unreadable", `${file.name}: damaged, too large, or of a kind that this browser does not show.`);
  }
  const { height, width } = bitmap;
  check(height, width);
  if (Math.max(height, width) > MOST_SIDE) {
    throw new Trouble("tooLarge", `${width} x ${height} pixels; a side may have up to ${MOST_SIDE} in a browser.`);
  }
  const [red, green, blue, alpha] = readPlanes(bitmap);
  bitmap.close();
  return {
    image: { height, width, planes: [red, green, blue] },
    alpha: alpha.some((value) => value < 1) ? alpha : null,
    isGray: red.every((value, i) => value === green[i] && value === blue[i]),
    frames: await countFrames(file),
  };
}

function readPlanes(bitmap) {
  const { height, width } = bitmap;
  const planes = [0, 1, 2, 3].map(() => new Float32Array(height * width));
  const rows = Math.min(height, Math.max(1, Math.floor(STRIP / width)));
  const context = new OffscreenCanvas(width, rows).getContext("2d", { willReadFrequently: true });
  context.globalCompositeOperation = "copy"; // in place of the strip before, also where the picture is translucent
  for (let top = 0; top < height; top += rows) {
    context.drawImage(bitmap, 0, -top);
    const { data } = context.getImageData(0, 0, width, Math.min(rows, height - top));
    planes.forEach((plane, channel) => {
      for (let from = channel, to = top * width; from < data.length; from += 4, to += 1) plane[to] = data[from] / 255;
    });
  }
  return planes;
}

async function countFrames(file) {
  try {
    const data = await file.arrayBuffer();
    const start = String.fromCharCode(...new Uint8Array(data, 0, 8));
    const type = ANIMATED[Object.keys(ANIMATED).find((mark) => start.includes(mark))]; // a name may have the wrong ending
    if (!type) return 1;
    const decoder = new ImageDecoder({ data, type });
    await Promise.all([decoder.completed, decoder.tracks.ready]);
    const { frameCount } = decoder.tracks.selectedTrack;
    decoder.close();
    return frameCount;
  } catch {
    return 1; // not every browser tells
  }
}
