// The list of pictures, which are restored one after the other.
import { duration, texts } from "./texts.js";
import { makeThumb } from "./thumb.js";
import { Trouble } from "./trouble.js";

// Returns the queue. `onShow(item)` is called when another picture is shown, or the shown one has changed; `onChange(item)`
// when the state of a picture has changed.
export function makeQueue({ engine, limits, list, onShow, onChange }) {
  const items = [];
  let running = null;

  const queue = {
    shown: null,
    isEmpty: () => items.length === 0,
    mayLeave: () => items.every((item) => isSafe(item, engine.outlives)),
    results: () => items.flatMap((item) => item.result ?? []),

    // Adds a File, or a picture that the engine has kept.
    add(picture, choice) {
      const isFree = !items.some((each) => isUnfinished(each));
      const item = { picture, choice, name: picture.name || texts.stage, state: "queued", progress: null };
      item.element = draw(item, queue);
      items.push(item);
      list.append(item.element.root);
      if (isFree) queue.show(item);
      change(item, "queued");
      next();
    },

    show(item) {
      queue.shown = item;
      for (const each of items) each.element.pick.setAttribute("aria-current", String(each === item));
      onShow(item);
    },

    stop(item) {
      if (item === running) engine.stop();
      else change(item, "stopped");
    },

    restart(item, choice) {
      if (item.result) engine.stop(item.result);
      Object.assign(item, { choice, result: null, trouble: null, progress: null });
      change(item, "queued");
      next();
    },

    // Notes that a result is not kept any more, unless the picture has been removed meanwhile.
    lose(result) {
      const item = items.find((each) => each.result === result);
      if (!item) return;
      Object.assign(item, { result: null, trouble: new Trouble("gone") });
      change(item, "failed");
    },

    remove(item) {
      if (item === running) engine.stop();
      if (item.result) engine.stop(item.result);
      const index = items.indexOf(item);
      items.splice(index, 1);
      const following = items[Math.min(index, items.length - 1)] ?? null;
      const hadFocus = item.element.root.contains(document.activeElement);
      if (hadFocus) following?.element.pick.focus();
      Object.assign(item, { state: "removed", result: null, progress: null }); // which is not announced
      item.element.update();
      item.element.root.remove();
      if (item === queue.shown) queue.show(following);
      if (hadFocus && !following) document.querySelector("#empty [data-do=choose]").focus();
      onChange(item);
    },
  };
  return queue;

  async function next() {
    const item = running ? null : items.find((each) => each.state === "queued");
    if (!item) return;
    running = item;
    try {
      check(item.picture, limits);
      item.result = await engine.restore(item.picture, item.choice, (progress) => {
        item.progress = { ...progress, at: performance.now() };
        change(item, progress.state);
      });
      if (items.includes(item)) change(item, "done");
      else engine.stop(item.result);
    } catch (error) {
      item.trouble = await explain(error, item.picture);
      item.progress = null;
      if (items.includes(item)) change(item, item.trouble.code === "stopped" ? "stopped" : "failed");
    }
    running = null;
    next();
  }

  function change(item, state) {
    const isNew = item.state !== state || state === "queued";
    item.state = state;
    item.element.update();
    if (item === queue.shown) onShow(item);
    if (isNew) onChange(item);
  }
}

function isUnfinished(item) {
  return !["done", "failed", "stopped"].includes(item.state);
}

// Tells whether nothing of a picture is lost with the page.
function isSafe(item, outlives) {
  if (outlives) return !(item.picture instanceof File && ["queued", "sending"].includes(item.state));
  return !isUnfinished(item) && (!item.result || item.result.isSaved);
}

function check(picture, limits) {
  if (!(picture instanceof File)) return;
  if (picture.size === 0) throw new Trouble("empty");
  if (picture.size > limits.bytes) throw new Trouble("tooLarge", texts.fileLimit(Math.floor(limits.bytes / 1e6)));
}

// Returns the trouble that an error stands for. A file that has changed looks empty or damaged, or cannot be sent.
async function explain(error, picture) {
  const trouble = error instanceof Trouble ? error : new Trouble("failed", String(error));
  const mayBeFile = ["empty", "unreadable", "unreachable"].includes(trouble.code) && picture instanceof File;
  return mayBeFile && !(await isReadable(picture)) ? new Trouble("changed") : trouble;
}

// Tells whether a file is still as it was when it was chosen; a folder, which can be dropped, too, is not.
function isReadable(file) {
  return (file.size ? file.slice(0, 1) : file).arrayBuffer().then(() => true, () => false);
}

// Draws a line of the list. Returns its elements and a function that brings them up to date.
function draw(item, queue) {
  const root = document.getElementById("line").content.firstElementChild.cloneNode(true);
  const part = (name) => root.querySelector(`.${name}`);
  const drawThumb = makeThumb(part("thumb").firstChild);
  part("name").textContent = part("pick").title = item.name;
  part("pick").addEventListener("click", () => {
    queue.show(item);
    document.getElementById("stage").scrollIntoView({ block: "nearest" }); // on a phone, it lies above the list
  });
  part("remove").addEventListener("click", () => queue.remove(item));
  part("get").addEventListener("click", () => (item.result.isSaved = true));
  part("remove").setAttribute("aria-label", `${texts.remove}: ${item.name}`);
  part("get").setAttribute("aria-label", `${texts.save}: ${item.name}`);

  function update() {
    root.dataset.state = item.state;
    part("state").textContent = describe(item);
    part("get").hidden = !item.result;
    if (item.result) Object.assign(part("get"), { href: item.result.url, download: item.result.name });
    drawThumb(item.result?.before ?? item.progress?.before);
  }
  return { root, pick: part("pick"), update };
}

function describe(item) {
  if (item.state === "done") return texts.size(item.result.width, item.result.height, duration(item.result.seconds));
  if (item.state === "failed") return texts.troubles[item.trouble.code];
  const { done, total } = item.progress ?? {};
  return item.state === "working" && total > 1 ? texts.tiles(done, total) : texts.states[item.state];
}
