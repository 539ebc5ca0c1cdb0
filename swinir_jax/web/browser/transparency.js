// Colours of fully transparent pixels, as `swinir_jax.images.transparency`: those of the visible pixels around them, so
// that the hidden colours, mostly black, do not bleed into the edge of a cut-out picture.

// Returns the image with colours everywhere. `alpha` is a plane.
export function extendColours(image, alpha) {
  if (alpha.every((value) => value === 0) || !alpha.includes(0)) return image;
  const { height, width, planes } = image;
  const sums = planes.map((plane) => plane.map((value, i) => value * alpha[i]));
  const filled = fill(sums, alpha, height, width);
  return { ...image, planes: planes.map((plane, c) => plane.map((value, i) => (alpha[i] ? value : filled[c][i]))) };
}

// Divides weighted sums by weights; pixels of weight 0 come from the picture of half the size.
function fill(sums, weights, height, width) {
  const means = sums.map((plane) => plane.map((sum, i) => sum / (weights[i] || 1)));
  if (!weights.includes(0)) return means;
  const half = (plane) => halve(plane, height, width);
  const halfWidth = Math.ceil(width / 2);
  const coarse = fill(sums.map(half), half(weights), Math.ceil(height / 2), halfWidth);
  return means.map((plane, c) =>
    plane.map((mean, i) => {
      if (weights[i]) return mean;
      const [y, x] = [Math.floor(i / width), i % width];
      return coarse[c][(y >> 1) * halfWidth + (x >> 1)];
    }),
  );
}

// Averages 2 x 2 pixels; pixels beyond odd sides count as 0.
function halve(plane, height, width) {
  const halfWidth = Math.ceil(width / 2);
  const halved = new Float32Array(Math.ceil(height / 2) * halfWidth);
  plane.forEach((value, i) => (halved[(Math.floor(i / width) >> 1) * halfWidth + ((i % width) >> 1)] += value / 4));
  return halved;
}
