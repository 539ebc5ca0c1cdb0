// Keeps the files of the site, those of the page at once and the large ones when they are used, and adds headers that a
// plain host does not send. release.js, which is written with the site, says which.
importScripts("release.js");

const { version, files, headers } = self.release;
const PREFIX = `swinir-jax ${self.registration.scope} `; // other pages of the same host have caches, too
const CACHE = PREFIX + version;

self.addEventListener("install", (event) => event.waitUntil(keepAll()));
self.addEventListener("activate", (event) => event.waitUntil(removeOld()));
self.addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  if (method === "GET" && url.startsWith(self.registration.scope)) event.respondWith(answer(event));
});

async function keepAll() {
  const cache = await caches.open(CACHE);
  await Promise.all(
    files.map(async (file) => {
      const fetched = await fetch(file, { cache: "reload" });
      if (!fetched.ok) throw new Error(`${file}: ${fetched.status}`);
      await cache.put(file, withHeaders(fetched));
    }),
  );
}

async function removeOld() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(PREFIX) && name !== CACHE).map((name) => caches.delete(name)));
}

async function answer(event) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(event.request, { ignoreSearch: true, ignoreVary: true });
  if (kept) return kept;
  const fetched = withHeaders(await fetch(event.request));
  if (fetched.ok) event.waitUntil(cache.put(event.request, fetched.clone()).catch(() => {})); // no room, or broken off
  return fetched;
}

function withHeaders({ body, status, statusText, headers: given }) {
  const all = new Headers(given);
  for (const [name, value] of Object.entries(headers)) all.set(name, value);
  return new Response(body, { status, statusText, headers: all });
}
