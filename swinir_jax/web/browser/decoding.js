// Picture files as images of floats in [0, 1]. See tiling.js for images.
import { Trouble } from "../trouble.js";

// Reads a file, upright and in sRGB, with 8 bits per channel, as browsers do.
// Returns {image, alpha, isGray}: the image has three planes; `alpha` is a plane, or null if all is opaque.
//   check(height, width): throws a Trouble if the picture is too large.
export async function decode(file, check) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new Trouble("unreadable", `${file.name}: damaged, or of a kind that this browser does not show.`);
  }
  const { height, width } = bitmap;
  check(height, width);
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
  };
}
