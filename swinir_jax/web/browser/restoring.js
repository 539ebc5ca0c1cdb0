// Restoration of an image by the networks of a choice, as `swinir_jax.inference.chain`. See tiling.js for images.
import { reduce } from "./resizing.js";
import { restoreByTiles } from "./tiling.js";

export const MOST_PIXELS = 2 ** 26; // of a result, or of an answer on the way to it

const LUMA = [0.299, 0.587, 0.114];

// Returns the image enlarged by `scale`; values are about [0, 1]. Fails if an answer is not finite.
//   networks: in the order in which they run; see tiling.js. If they enlarge by more than `scale`, the last answer is reduced.
//   isGray:   whether the image is gray, and shall stay so.
export async function restoreImage(given, networks, scale, { isGray, onTile }) {
  let image = given;
  for (const network of networks) {
    image = await restoreByTiles(image, network, onTile);
    if (isGray) takeLuma(image);
    for (const plane of image.planes) clip(plane);
  }
  const size = { height: given.height * scale, width: given.width * scale };
  if (image.height === size.height) return image;
  return { ...size, planes: image.planes.map((plane) => reduce(plane, image, size)) };
}

function takeLuma({ planes }) {
  const [red, green, blue] = planes;
  for (let i = 0; i < red.length; i += 1) {
    red[i] = green[i] = blue[i] = LUMA[0] * red[i] + LUMA[1] * green[i] + LUMA[2] * blue[i];
  }
}

function clip(plane) {
  for (let i = 0; i < plane.length; i += 1) {
    if (!Number.isFinite(plane[i])) throw new Error("The network's answer is not finite.");
    plane[i] = Math.min(1, Math.max(0, plane[i]));
  }
}
