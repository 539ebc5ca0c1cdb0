// The large picture: waiting for one, at work, or before and after with a divider, zoom and full screen.
import { duration, texts } from "./texts.js";

const NEAR = 28; // pixels around the divider in which the pointer takes it; elsewhere it moves a zoomed picture
const HOPELESS = ["empty", "tooLarge", "unreadable", "changed"]; // troubles that a second attempt meets, too
const TICK = 500; // milliseconds between updates of the time left

const get = (id) => document.getElementById(id);

// Returns {show, toggleFullscreen} for the element of the stage. Calls `onGone(result)` if a result is not kept any more.
export function makeStage(stage, onGone) {
  const viewer = makeViewer(get("viewport"), get("slider"), get("zoom"), onGone);
  let item = null;
  stage.querySelector("[data-do=fullscreen]").hidden = !document.fullscreenEnabled; // as on an iPhone

  get("save").addEventListener("click", () => (item.result.isSaved = true));
  setInterval(() => item?.progress && stage.dataset.state === "working" && drawProgress(item.progress), TICK);

  function show(next) {
    item = next;
    const view = viewOf(item);
    stage.dataset.state = view;
    setSource(get("given"), view === "working" ? item.progress?.before : null);
    if (view !== "finished") viewer.clear();
    if (view === "working") {
      get("doing").textContent = `${item.name}: ${texts.states[item.state]}`;
      drawProgress(item.progress ?? { done: 0, total: 0, fraction: null, left: null });
    } else if (view === "finished") {
      viewer.load(item.result);
      Object.assign(get("save"), { href: item.result.url, download: item.result.name });
    } else if (view === "failed") {
      get("trouble").textContent = item.trouble ? texts.troubles[item.trouble.code] : texts.states.stopped;
      get("reason").textContent = item.trouble?.code === "gone" ? texts.removed : item.trouble?.message || item.name;
    }
    const isOver = !(item?.picture instanceof File) || HOPELESS.includes(item.trouble?.code);
    for (const button of stage.querySelectorAll("[data-do=again]")) button.hidden = isOver;
    const left = document.activeElement?.closest(".view");
    if (left && left.id !== view) get(view).querySelector("button:not([hidden])").focus();
  }

  return {
    show,
    toggleFullscreen: () => (document.fullscreenElement ? document.exitFullscreen() : stage.requestFullscreen()),
  };
}

function viewOf(item) {
  if (!item) return "empty";
  if (item.state === "done") return "finished";
  return item.state === "failed" || item.state === "stopped" ? "failed" : "working";
}

// Between two reports of the engine, the bar and the time left go on by the clock.
function drawProgress({ done, total, fraction, left, at }) {
  const bar = get("bar");
  const remaining = left && Math.max(0, left - (performance.now() - at) / 1000);
  if (fraction === null) bar.removeAttribute("value");
  else bar.value = remaining === null ? fraction : 1 - (1 - fraction) * (remaining / left);
  const parts = total > 1 ? [texts.tiles(done, total)] : [];
  if (remaining !== null) parts.push(texts.left(duration(remaining)));
  get("left").textContent = parts.join(", ");
}

// Shows a picture, or none, which ends a request that is under way: the engine may keep the picture no more.
function setSource(image, address) {
  image.hidden = !address;
  if (!address) image.removeAttribute("src");
  else if (image.getAttribute("src") !== address) image.src = address;
}

// Returns a point of the window as fractions of an element's box.
function within(element, [x, y]) {
  const box = element.getBoundingClientRect();
  return [(x - box.left) / (box.width || 1), (y - box.top) / (box.height || 1)];
}

// Shows two pictures with a divider. Zoomed beyond the viewport, they are moved by scrolling or by dragging.
function makeViewer(viewport, slider, buttons, onGone) {
  let zoom = "fit";
  let shown = { width: 1, height: 1 }; // a Result
  let grip = null; // where a drag of the zoomed picture began

  function lay() {
    const { clientWidth, clientHeight } = viewport;
    const fit = Math.min(clientWidth / shown.width, clientHeight / shown.height);
    const scale = zoom === "fit" ? fit : Number(zoom) / devicePixelRatio;
    const frame = viewport.getBoundingClientRect();
    const middle = [frame.left + clientWidth / 2, frame.top + clientHeight / 2];
    const [x, y] = within(slider, middle); // what is in the middle stays there
    slider.style.width = `${shown.width * scale}px`;
    slider.style.height = `${shown.height * scale}px`;
    slider.classList.toggle("pixels", scale * devicePixelRatio >= 2);
    viewport.classList.toggle("zoomed", scale > fit);
    viewport.tabIndex = scale > fit ? 0 : -1; // the arrow keys scroll what has the focus
    const box = slider.getBoundingClientRect();
    viewport.scrollBy(box.left + x * box.width - middle[0], box.top + y * box.height - middle[1]);
    for (const button of buttons.children) button.setAttribute("aria-pressed", String(button.dataset.zoom === zoom));
  }

  function setZoom(value) {
    zoom = value;
    lay();
  }

  // Leaves the divider to the slider, and keeps other drags of a zoomed picture from it.
  function hold(event) {
    const point = event.touches?.[0] ?? event;
    const box = slider.getBoundingClientRect();
    const divider = box.left + (box.width * slider.value) / 100;
    if (!viewport.classList.contains("zoomed") || Math.abs(point.clientX - divider) < NEAR) return;
    event.stopPropagation();
    if (event.type !== "mousedown" || event.button !== 0) return;
    event.preventDefault();
    slider.focus({ preventScroll: true });
    grip = { x: point.clientX + viewport.scrollLeft, y: point.clientY + viewport.scrollTop };
  }

  viewport.addEventListener("mousedown", hold, { capture: true });
  viewport.addEventListener("touchstart", hold, { capture: true, passive: true });
  addEventListener("mousemove", (event) => {
    if (grip) viewport.scrollTo(grip.x - event.clientX, grip.y - event.clientY);
  });
  addEventListener("mouseup", () => (grip = null));
  viewport.addEventListener("dblclick", () => setZoom(zoom === "fit" ? "1" : "fit"));
  buttons.addEventListener("click", (event) => {
    if (event.target.dataset.zoom) setZoom(event.target.dataset.zoom);
  });
  slider.addEventListener("keydown", (event) => {
    if (["ArrowLeft", "ArrowRight"].includes(event.key)) event.preventDefault(); // would scroll the picture as well
  });
  slider.addEventListener("slide", () => slider.setAttribute("aria-valuenow", Math.round(slider.value)));
  new ResizeObserver(lay).observe(viewport);
  get("after").addEventListener("load", () => (get("drawing").hidden = true));
  get("after").addEventListener("error", async () => {
    get("drawing").hidden = true;
    const result = shown;
    const isKept = await fetch(result.after).then((answer) => answer.ok, () => false);
    if (!isKept) onGone(result);
    else if (result === shown) showUnseen(true); // too large a picture
  });

  function showUnseen(unseen) {
    get("no-preview").hidden = !unseen;
    viewport.hidden = unseen;
  }

  return {
    load(result) {
      if (get("after").getAttribute("src") === result.after) return;
      showUnseen(false);
      get("drawing").hidden = false;
      shown = result;
      slider.value = 50;
      slider.setAttribute("aria-valuenow", 50);
      setSource(get("before"), result.before);
      setSource(get("after"), result.after);
      setZoom("fit");
    },
    clear() {
      setSource(get("before"), null);
      setSource(get("after"), null);
    },
  };
}
