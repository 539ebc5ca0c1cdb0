// The engine of `swinir-jax app`: the server that also serves the page. See engine.js for the interface.
import { read, write } from "./storage.js";
import { Trouble } from "./trouble.js";

const KEPT = "swinir-jax jobs"; // in the tab's storage, which outlives a reload
const PATIENCE = 300; // milliseconds; a reload breaks the connection off, too, and this page is gone before they end
const CODES = { 413: "tooLarge", 422: "unreadable", 404: "gone", 503: "full" };

let running = null; // of the call of `restore`: {abort: AbortController, key}

export const engine = { name: "app", outlives: true, list, restore, stop };

async function list() {
  const answer = await ask("api/choices");
  return { ...(await answer.json()), kept: readKept() };
}

async function restore(picture, choice, onProgress) {
  const abort = new AbortController();
  running = { abort, key: picture.key };
  try {
    if (picture instanceof File) {
      onProgress({ state: "sending", done: 0, total: 0, fraction: null, left: null });
      const query = new URLSearchParams({ choice: choice.key, name: picture.name });
      const answer = await ask(`api/jobs?${query}`, { method: "POST", body: picture, signal: abort.signal });
      running.key = (await answer.json()).key;
      writeKept([...readKept(), { key: running.key, name: picture.name, choice }]);
    }
    return await follow(running.key, abort.signal, onProgress);
  } catch (error) {
    forget(running.key);
    throw error;
  } finally {
    running = null;
  }
}

async function stop(result) {
  const key = result ? result.key : running?.key;
  if (!result) running?.abort.abort();
  forget(key);
  if (key) await ask(`api/jobs/${key}`, { method: "DELETE" }).catch(() => {}); // gone already
}

// Listens to a job until it is over.
function follow(key, signal, onProgress) {
  const place = `api/jobs/${key}`;
  return new Promise((resolve, reject) => {
    const events = new EventSource(`${place}/events`);
    let failures = 0;
    const settle = (end, value) => {
      events.close();
      end(value);
    };
    signal.addEventListener("abort", () => settle(reject, new Trouble("stopped")));
    events.onmessage = (event) => {
      failures = 0;
      const job = JSON.parse(event.data);
      if (job.state === "done") {
        settle(resolve, { ...job, key, url: `${place}/result`, before: `${place}/before`, after: `${place}/after` });
      } else if (job.state === "failed" || job.state === "stopped") {
        settle(reject, new Trouble(job.state, job.text));
      } else {
        onProgress({ ...job, before: `${place}/before` });
      }
    };
    const fail = () => {
      failures += 1;
      if (events.readyState === EventSource.CLOSED) settle(reject, new Trouble("gone"));
      else if (failures > 2) settle(reject, new Trouble("unreachable"));
    };
    events.onerror = () => setTimeout(fail, PATIENCE);
  });
}

async function ask(address, options) {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch (error) {
    throw new Trouble(error.name === "AbortError" ? "stopped" : "unreachable");
  }
  if (!answer.ok) throw new Trouble(CODES[answer.status] ?? "failed", (await answer.text()).trim());
  return answer;
}

function readKept() {
  return read("sessionStorage", KEPT, []);
}

function writeKept(jobs) {
  write("sessionStorage", KEPT, jobs);
}

function forget(key) {
  writeKept(readKept().filter((job) => job.key !== key));
}
