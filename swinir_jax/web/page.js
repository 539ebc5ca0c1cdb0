// Joins the parts of the page: pictures come in, are restored one after the other, and the chosen one is shown.
import { engine } from "./engine.js";
import { takePictures } from "./intake.js";
import { makeQueue } from "./queue.js";
import { makeSettings } from "./settings.js";
import { makeStage } from "./stage.js";
import { fillTexts, texts } from "./texts.js";
import { saveZip } from "./zip.js";

const NOTICE = 8000; // milliseconds for which a notice is shown

const get = (id) => document.getElementById(id);

fillTexts(document);
get("formats").textContent = texts.formats[engine.name];

const actions = { choose: () => get("file").click() }; // further ones once there are choices

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (button) actions[button.dataset.do]?.();
});

let noticed = null; // timer of the notice
let isPacking = false;
const early = []; // pictures given before there is a choice, which a reload would lose
let take = (files) => {
  early.push(...files);
  if (files.length) get("formats").textContent = texts.soon;
};
takePictures(get("file"), get("veil"), (files) => take(files), () => notify(texts.noPicture));
const { choices, limits, kept } = await engine.list(() => !early.length).catch((error) => {
  get("formats").textContent = texts.troubles[error.code] ?? String(error);
  document.querySelector("#empty [data-do=choose]").textContent = texts.reload;
  actions.choose = () => location.reload();
  take = () => {};
  return new Promise(() => {}); // without choices, nothing else can be done
});
get("formats").textContent = texts.formats[engine.name];
const settings = makeSettings(get("settings"), choices);
const stage = makeStage(get("stage"), (result) => queue.lose(result));
const queue = makeQueue({ engine, limits, list: get("list"), onShow: show, onChange: change });

Object.assign(actions, {
  stop: () => queue.stop(queue.shown),
  again: () => queue.restart(queue.shown, settings.choice()),
  remove: () => queue.remove(queue.shown),
  fullscreen: () => stage.toggleFullscreen(),
  zip: saveAll,
});

for (const job of kept) queue.add(job, job.choice);
take = (files) => {
  for (const file of files) queue.add(file, settings.choice());
};
take(early);
addEventListener("beforeunload", (event) => queue.mayLeave() || event.preventDefault());
document.body.dataset.ready = "";

function show(item) {
  stage.show(item);
  const notes = item?.result?.notes ?? [];
  get("notes").textContent = notes.map((note) => `${note[0].toUpperCase()}${note.slice(1)}.`).join(" ");
}

function change(item) {
  get("pictures").hidden = queue.isEmpty();
  get("zip").hidden = queue.results().length < 2;
  if (item.state === "done") say(texts.finished(item.result.name));
  else if (item.state === "failed") say(`${item.name}: ${texts.troubles[item.trouble.code]}`);
  else if (item.state === "stopped") say(`${item.name}: ${texts.states.stopped}`);
}

async function saveAll() {
  if (isPacking) return;
  isPacking = true;
  explain(texts.packing);
  const results = queue.results();
  try {
    await saveZip(results, queue.lose);
    for (const result of results) result.isSaved = true;
    explain("");
  } catch (error) {
    explain(texts.troubles[error.code] ?? String(error));
  }
  isPacking = false;
}

// Says below the list how far the ZIP file is, or why there is none.
function explain(text) {
  get("unsaved").textContent = text;
}

// Shows a text for a while; `say` tells it to screen readers.
function notify(text) {
  say(text);
  get("notice").textContent = text;
  clearTimeout(noticed);
  noticed = setTimeout(() => (get("notice").textContent = ""), NOTICE);
}

function say(text) {
  get("live").textContent = text;
}
