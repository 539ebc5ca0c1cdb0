// Bicubic resizing of one channel.

const MIRRORED = (place, length) => {
  const position = ((place % (2 * length)) + 2 * length) % (2 * length);
  return position < length ? position : 2 * length - 1 - position;
};
const CUT = (place, length) => (place >= 0 && place < length ? place : -1);

// Reduces as MATLAB's imresize does: with a wider kernel, and the picture mirrored at the edges.
export function reduce(plane, from, to) {
  return resize(plane, from, to, MIRRORED);
}

// Enlarges as Pillow does: what lies beyond the edges does not count.
export function enlarge(plane, from, to) {
  return resize(plane, from, to, CUT);
}

// Resizes a plane from {height, width} to {height, width}, first along the rows of pixels.
function resize(plane, from, to, edges) {
  const across = contributions(from.width, to.width, edges);
  const down = contributions(from.height, to.height, edges);
  const narrow = new Float32Array(from.height * to.width);
  for (let y = 0; y < from.height; y += 1) {
    for (let x = 0; x < to.width; x += 1) {
      const { pixels, weights } = across[x];
      let sum = 0;
      for (let i = 0; i < pixels.length; i += 1) sum += weights[i] * plane[y * from.width + pixels[i]];
      narrow[y * to.width + x] = sum;
    }
  }
  const resized = new Float32Array(to.height * to.width);
  for (let y = 0; y < to.height; y += 1) {
    const { pixels, weights } = down[y];
    for (let x = 0; x < to.width; x += 1) {
      let sum = 0;
      for (let i = 0; i < pixels.length; i += 1) sum += weights[i] * narrow[pixels[i] * to.width + x];
      resized[y * to.width + x] = sum;
    }
  }
  return resized;
}

// Returns for each pixel of the result the pixels that it is a sum of, and their weights.
function contributions(from, to, edges) {
  const shrinking = Math.min(1, to / from);
  const support = 2 / shrinking;
  return Array.from({ length: to }, (_, i) => {
    const centre = ((i + 0.5) * from) / to - 0.5;
    const [pixels, weights] = [[], []];
    for (let place = Math.ceil(centre - support); place <= centre + support; place += 1) {
      const pixel = edges(place, from);
      if (pixel < 0) continue;
      pixels.push(pixel);
      weights.push(cubic((place - centre) * shrinking));
    }
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { pixels, weights: weights.map((weight) => weight / sum) };
  });
}

// Keys' kernel with a = -0.5.
function cubic(x) {
  const a = Math.abs(x);
  if (a <= 1) return (1.5 * a - 2.5) * a * a + 1;
  return a < 2 ? ((-0.5 * a + 2.5) * a - 4) * a + 2 : 0;
}
