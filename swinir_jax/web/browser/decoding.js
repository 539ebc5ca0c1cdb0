// Picture files as images of floats in [0, 1]. See tiling.js for images.
import { Trouble } from "../trouble.js";

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
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  const [red, green, blue, alpha] = [0, 1, 2, 3].map((channel) => {
    const plane = new Float32Array(height * width);
    for (let i = 0; i < plane.length; i += 1) plane[i] = data[4 * i + channel] / 255;
    return plane;
  });
  return {
    image: { height, width, planes: [red, green, blue] },
    alpha: alpha.some((value) => value < 1) ? alpha : null,
    isGray: red.every((value, i) => value === green[i] && value === blue[i]),
    frames: await countFrames(file),
  };
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
