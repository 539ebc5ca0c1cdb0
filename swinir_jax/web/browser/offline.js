// The service worker, which keeps the site for use without a connection and isolates the page: the browser gives several
// threads to isolated pages alone.
import { read, write } from "../storage.js";

const TRIED = "swinir-jax isolation"; // in the tab's storage
const PATIENCE = 10_000; // milliseconds for the service worker to keep the page's files

// Registers the service worker. At the first visit the page is loaded once more, because only the loading isolates it.
//   mayReload(): tells whether nothing would be lost.
export async function keepOffline(mayReload) {
  const workers = navigator.serviceWorker; // absent on insecure addresses and in some private windows
  const options = { updateViaCache: "none" }; // else an old release.js hides a new release
  const registration = await workers?.register("service_worker.js", options).catch(() => null);
  if (!registration || crossOriginIsolated || read("sessionStorage", TRIED, false)) return;
  const failure = failureOf(registration.installing);
  const isReady = await Promise.race([workers.ready.then(() => true), failure, wait(PATIENCE)]);
  if (!isReady || !mayReload()) return;
  if (!write("sessionStorage", TRIED, true)) return; // else the page would be loaded for ever
  location.reload();
  await new Promise(() => {});
}

// Returns whether a file of the site is at hand without a connection.
export async function isKept(file) {
  try {
    return Boolean(await self.caches?.match(new URL(file, location), { ignoreVary: true }));
  } catch {
    return false; // the browser keeps nothing for the site
  }
}

// Waits until a service worker is given up, because a file of the page cannot be fetched or kept.
function failureOf(worker) {
  return new Promise((resolve) => {
    worker?.addEventListener("statechange", () => worker.state === "redundant" && resolve());
  });
}

function wait(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
