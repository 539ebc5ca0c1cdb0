// Restores pictures apart from the page, which would stand still while a network computes.
//
// Takes {file, networks, scale, runtimes}, with entries of choices.json, and answers with {progress}, again and again, and
// then {result} or {trouble}. Takes "stop", which ends the restoration between two tiles.
import { Trouble } from "../trouble.js";
import { decode } from "./decoding.js";
import { encodePng } from "./png.js";
import { enlarge } from "./resizing.js";
import { MOST_PIXELS, restoreImage } from "./restoring.js";
import { chooseProvider, makeRuntime } from "./runtime.js";
import { countTiles } from "./tiling.js";
import { extendColours } from "./transparency.js";

let provider = null;
let runtime = null;
let hasCardFailed = false;
let isStopping = false;

self.addEventListener("message", async ({ data }) => {
  if (data === "stop") {
    isStopping = true;
    return;
  }
  isStopping = false;
  try {
    self.postMessage({ result: await restore(data) });
  } catch (error) {
    const { code, message } = asTrouble(error);
    self.postMessage({ trouble: { code, message } });
  }
});

async function restore({ file, networks, scale, runtimes }) {
  const start = performance.now();
  const largest = networks.reduce((side, network) => side * network.scale, 1);
  const picture = await decode(file, (height, width) => {
    if (height * width * largest ** 2 <= MOST_PIXELS) return;
    throw new Trouble("enlargedTooMuch", `${width} x ${height} pixels, enlarged ${largest} times, do not fit into a browser.`);
  });
  const notes = ["a PNG file with 8 bits per channel in sRGB, without camera data"];
  if (picture.frames > 1) notes.push(`the first of ${picture.frames} frames`);
  if (picture.isGray) notes.push("gray, restored as three equal channels by an RGB network");

  provider ??= await chooseProvider();
  let image;
  try {
    image = await runNetworks(picture, networks, scale, runtimes);
  } catch (error) {
    if (provider === "wasm" || error instanceof Trouble) throw error;
    [provider, runtime, hasCardFailed] = ["wasm", null, true];
    image = await runNetworks(picture, networks, scale, runtimes);
  }
  if (hasCardFailed) notes.push("computed on the processor, because the graphics card failed");
  const alpha = picture.alpha && enlarge(picture.alpha, picture.image, image);
  if (alpha && scale > 1) notes.push("alpha was resized, not restored");
  const { height, width } = image;
  const colours = picture.isGray ? image.planes.slice(0, 1) : image.planes;
  const blob = await encodePng(height, width, alpha ? [...colours, alpha] : colours);
  return { blob, width, height, seconds: (performance.now() - start) / 1000, notes };
}

async function runNetworks({ image, alpha, isGray }, entries, scale, runtimes) {
  runtime ??= makeRuntime(provider, runtimes[provider]);
  const networks = await runtime.load(entries, (fraction) => report({ state: "loading", fraction }));
  const total = countAllTiles(image, networks);
  const start = performance.now();
  let done = 0;
  report({ state: "working", total });
  const onTile = async () => {
    await new Promise((resolve) => setTimeout(resolve)); // lets "stop" in
    if (isStopping) throw new Trouble("stopped");
    done += 1;
    const seconds = (performance.now() - start) / 1000;
    report({ state: "working", done, total, fraction: done / total, left: (seconds / done) * (total - done) || null });
  };
  return restoreImage(alpha ? extendColours(image, alpha) : image, networks, scale, { isGray, onTile });
}

function countAllTiles({ height, width }, networks) {
  let reached = 1;
  let total = 0;
  for (const network of networks) {
    total += countTiles({ height: height * reached, width: width * reached }, network);
    reached *= network.scale;
  }
  return total;
}

function report(progress) {
  self.postMessage({ progress: { done: 0, total: 0, fraction: null, left: null, ...progress } });
}

function asTrouble(error) {
  if (error instanceof Trouble) return error;
  if (error instanceof RangeError) return new Trouble("enlargedTooMuch", error.message); // an array does not fit into memory
  return new Trouble("failed", String(error));
}
