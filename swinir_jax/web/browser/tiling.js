// Restoration in overlapping tiles, with the padding, the division and the blending of `swinir_jax.inference`: tiles of
// one size, as few as fit, on a picture with a mirrored margin.
//
// An image is {height, width, planes}: planes are Float32Arrays, one for each channel, in raster order.

const MARGIN = 8; // mirrored pixels around the picture, for convolutions that see zeros beyond it
const OVERLAP = 32; // pixels, rounded up to windows
const LARGEST_TILE = 192; // longest side in pixels; more memory would save little of the overlap

// Returns the number of tiles of an image.
export function countTiles({ height, width }, { window }) {
  return layTiles(height, window, 1).length * layTiles(width, window, 1).length;
}

// Returns the image that a network makes.
//   network: {scale, window, run(data, height, width)}, where `run` restores channels in raster order.
//   onTile(): is awaited after each tile.
export async function restoreByTiles(image, network, onTile) {
  const { scale, window } = network;
  const rows = layTiles(image.height, window, scale);
  const cols = layTiles(image.width, window, scale);
  const [height, width] = [image.height * scale, image.width * scale];
  const restored = { height, width, planes: image.planes.map(() => new Float32Array(height * width)) };
  for (const row of rows) {
    for (const col of cols) {
      const data = await network.run(cutTile(image, row, col), row.pixels.length, col.pixels.length);
      addTile(restored, data, row, col);
      await onTile();
    }
  }
  return restored;
}

// Divides one axis. Returns for each tile
//   pixels:  the pixel of the picture at each position of the tile,
//   first:   the place of the tile's result in the picture's, which is negative in the margin,
//   weights: the weight of each pixel of the result; those of all tiles add up to 1 everywhere.
export function layTiles(length, window, scale) {
  const overlap = roundUp(OVERLAP, window);
  const padded = roundUp(length + 2 * MARGIN, window);
  const side = shortestSide(padded, LARGEST_TILE - (LARGEST_TILE % window), overlap, window);
  const starts = [];
  for (let start = 0; start < padded - side; start += side - overlap) starts.push(start);
  starts.push(padded - side);

  const ramp = rampWeights(side * scale, overlap * scale);
  const sums = new Float32Array(padded * scale);
  for (const start of starts) ramp.forEach((weight, i) => (sums[start * scale + i] += weight));
  return starts.map((start) => ({
    pixels: Int32Array.from({ length: side }, (_, i) => mirrored(start + i - MARGIN, length)),
    first: (start - MARGIN) * scale,
    weights: ramp.map((weight, i) => weight / sums[start * scale + i]),
  }));
}

// Returns the shortest side that needs as few tiles as `side` does.
function shortestSide(length, side, overlap, window) {
  if (length <= side) return length;
  const gaps = Math.ceil((length - overlap) / (side - overlap));
  return overlap + roundUp(Math.ceil((length - overlap) / gaps), window);
}

// Lets weights fall along the overlap to the border of the tile, where the network saw the least context.
function rampWeights(length, ramp) {
  return Float32Array.from({ length }, (_, i) => Math.min((Math.min(i, length - 1 - i) + 0.5) / ramp, 1));
}

// Mirrors a place beyond the ends without repeating the end, as often as needed.
function mirrored(place, length) {
  const period = Math.max(1, 2 * (length - 1));
  const position = ((place % period) + period) % period;
  return Math.min(position, period - position);
}

function roundUp(value, step) {
  return Math.ceil(value / step) * step;
}

function cutTile({ width, planes }, row, col) {
  const [height, side] = [row.pixels.length, col.pixels.length];
  const data = new Float32Array(planes.length * height * side);
  let i = 0;
  for (const plane of planes) {
    for (const y of row.pixels) {
      for (const x of col.pixels) data[i++] = plane[y * width + x];
    }
  }
  return data;
}

function addTile({ height, width, planes }, data, row, col) {
  const [tileHeight, tileWidth] = [row.weights.length, col.weights.length];
  const top = Math.max(0, -row.first);
  const bottom = Math.min(tileHeight, height - row.first);
  const left = Math.max(0, -col.first);
  const right = Math.min(tileWidth, width - col.first);
  planes.forEach((plane, channel) => {
    for (let y = top; y < bottom; y += 1) {
      const from = (channel * tileHeight + y) * tileWidth;
      const to = (row.first + y) * width + col.first;
      for (let x = left; x < right; x += 1) plane[to + x] += data[from + x] * row.weights[y] * col.weights[x];
    }
  });
}
