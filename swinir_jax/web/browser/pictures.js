// Picture files as images of floats in [0, 1], and back. See tiling.js for images.
import { Trouble } from "../trouble.js";

// Reads a file, upright and in sRGB, with 8 bits per channel, as browsers do.
// Returns {image, alpha, isGray}; `alpha` is a plane, or null if all is opaque.
export async function decode(file, check) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new Trouble("unreadable");
  }
  const { height, width } = bitmap;
  check(height, width);
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);

  const planes = [0, 1, 2, 3].map((channel) => {
    const plane = new Float32Array(height * width);
    for (let i = 0; i < plane.length; i += 1) plane[i] = data[4 * i + channel] / 255;
    return plane;
  });
  const alpha = planes.pop();
  const [red, green, blue] = planes;
  return {
    image: { height, width, planes },
    alpha: alpha.some((value) => value < 1) ? alpha : null,
    isGray: red.every((value, i) => value === green[i] && value === blue[i]),
  };
}

// Writes a PNG file with 8 bits per channel. Returns a Blob.
export async function encode({ height, width, planes }, alpha) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { alpha: alpha !== null, willReadFrequently: true });
  const pixels = new ImageData(width, height);
  const { data } = pixels; // clips, and rounds to the nearest integer
  data.fill(255);
  [...planes, ...(alpha ? [alpha] : [])].forEach((plane, channel) => {
    for (let i = 0; i < plane.length; i += 1) data[4 * i + channel] = plane[i] * 255;
  });
  context.putImageData(pixels, 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}
