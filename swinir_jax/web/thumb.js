// A small copy of a picture for the list. An element of the picture itself would hold it in full, for each line.
const SIDE = 96; // pixels, for screens with two and more pixels to one of the page

// Returns a function that draws the middle of the picture with an address, or, without one, ends a request that is under
// way: the engine may keep the picture no more. What is drawn stays.
export function makeThumb(canvas) {
  const whole = new Image();
  let given = null;

  whole.addEventListener("load", () => {
    const { naturalWidth: width, naturalHeight: height } = whole;
    const side = Math.min(width, height);
    Object.assign(canvas, { width: SIDE, height: SIDE, hidden: false });
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(whole, (width - side) / 2, (height - side) / 2, side, side, 0, 0, SIDE, SIDE);
    whole.removeAttribute("src");
  });

  return (address) => {
    if (address === given) return;
    given = address;
    if (address) whole.src = address;
    else whole.removeAttribute("src");
  };
}
