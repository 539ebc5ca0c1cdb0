// The engine of the site that needs no server: the browser restores the pictures itself. See engine.js for the interface.
import { isKept, keepOffline } from "./browser/offline.js";
import { Trouble } from "./trouble.js";

const LIMITS = { bytes: 500e6 };
const PATIENCE = 1000; // milliseconds that a tile may take to its end after "stop"
const LASTING = ["offline", "failed"]; // troubles that need a new worker: none imports again a module that it has missed

let site = null; // what choices.json holds
let worker = null;
let running = null; // functions that settle the call of `restore`: {resolve, reject}

export const engine = { name: "browser", outlives: false, list, restore, stop };

async function list(mayReload) {
  await keepOffline(mayReload);
  site = await fetch("choices.json").then((answer) => answer.json()).catch(({ message }) => {
    throw new Trouble("offline", message);
  });
  const choices = await Promise.all(site.choices.map(async (choice) => ({ ...choice, place: await findPlace(choice) })));
  return { choices, limits: LIMITS, kept: [] };
}

async function findPlace({ parts }) {
  const kept = await Promise.all(parts.map((part) => isKept(site.networks[part].file)));
  return kept.every(Boolean) ? "cached" : "to be fetched";
}

async function restore(file, { parts, scale }, onProgress) {
  const before = URL.createObjectURL(file); // browsers turn pictures by EXIF themselves
  worker ??= startWorker();
  worker.onmessage = ({ data }) => {
    if (data.progress) onProgress({ ...data.progress, before: data.progress.state === "working" ? before : undefined });
    else if (data.result) running.resolve(data.result);
    else fail(new Trouble(data.trouble.code, data.trouble.message));
  };
  try {
    onProgress({ state: "sending", done: 0, total: 0, fraction: null, left: null });
    const { blob, ...rest } = await new Promise((resolve, reject) => {
      running = { resolve, reject };
      worker.postMessage({
        file,
        networks: parts.map((part) => site.networks[part]),
        scale,
        runtimes: site.runtimes,
      });
    });
    const url = URL.createObjectURL(blob);
    return { ...rest, name: nameResult(file.name), url, before, after: url };
  } catch (error) {
    URL.revokeObjectURL(before);
    throw error;
  } finally {
    running = null;
  }
}

async function stop(result) {
  if (result) {
    URL.revokeObjectURL(result.before);
    URL.revokeObjectURL(result.url);
  } else if (running) {
    const stopped = running;
    worker.postMessage("stop");
    setTimeout(() => running === stopped && end(new Trouble("stopped")), PATIENCE);
  }
}

function startWorker() {
  const started = new Worker(new URL("./browser/worker.js", import.meta.url), { type: "module" });
  started.onerror = ({ message }) => end(new Trouble(message ? "failed" : "offline", message)); // none if not fetched
  return started;
}

function fail(trouble) {
  if (LASTING.includes(trouble.code)) end(trouble);
  else running.reject(trouble);
}

// Ends the worker, in whatever it does.
function end(trouble) {
  worker?.terminate();
  worker = null;
  running?.reject(trouble);
}

function nameResult(name) {
  return `${name.replace(/(?<=.)\.[^.]*$/, "") || "picture"}.png`;
}
