// Keeps the files of the site, those of the page at once and the large ones when they are used, and adds headers that a
// plain host does not send. release.js, which is written with the site, says which. All else below the folder is left to
// the network: at the root of a host, other pages lie there.
importScripts("release.js");

const { version, page, large, headers } = self.release;
const PREFIX = `swinir-jax ${self.registration.scope} `; // other pages of the same host have caches, too
const PAGE = PREFIX + version;
const LARGE = PREFIX + "large"; // outlives a release: an address of a large file changes with the content

const resolve = (files) => files.map((file) => new URL(file, self.registration.scope).href);
const digests = new Map(resolve([...page, ...large]).map((address) => address.split("?"))); // starts of hashes, by place
const pagePlaces = new Set(resolve(["./", ...page.map((file) => file.split("?")[0])]));
const largePlaces = new Set(resolve(large));

self.addEventListener("install", (event) => event.waitUntil(keepPage()));
self.addEventListener("activate", (event) => event.waitUntil(removeOld()));
self.addEventListener("fetch", (event) => {
  if (event.request.method !== "GET") return;
  const { origin, pathname, search } = new URL(event.request.url);
  const place = origin + pathname;
  if (pagePlaces.has(place)) event.respondWith(answer(event, PAGE, place));
  else if (largePlaces.has(place + search)) event.respondWith(answer(event, LARGE, place + search));
});

async function keepPage() {
  const cache = await caches.open(PAGE);
  await Promise.all(
    [...pagePlaces].map(async (place) => {
      const fetched = await fetch(place, { cache: "reload" });
      if (!fetched.ok) throw new Error(`${place}: ${fetched.status}`);
      await keep(cache, place, fetched);
    }),
  );
}

async function removeOld() {
  const isOld = (name) => name.startsWith(PREFIX) && name !== PAGE && name !== LARGE;
  await Promise.all((await caches.keys()).filter(isOld).map((name) => caches.delete(name)));
  const cache = await caches.open(LARGE);
  const unlisted = (await cache.keys()).filter(({ url }) => !largePlaces.has(url));
  await Promise.all(unlisted.map((request) => cache.delete(request)));
}

async function answer(event, name, place) {
  const cache = await caches.open(name);
  const kept = await cache.match(place, { ignoreVary: true });
  if (kept) return withHeaders(kept);
  const fetched = await fetch(event.request);
  if (fetched.ok) event.waitUntil(keep(cache, place, fetched.clone()).catch(() => {})); // no room, or broken off
  return withHeaders(fetched);
}

// Keeps a file, which must be the one of this release: a host may be in the middle of a newer release, and a network that
// asks for a login answers with its own page. HTML is not checked, because some hosts add to it.
async function keep(cache, address, fetched) {
  const digest = digests.get(address.split("?")[0]);
  if (digest && !/\.html$/.test(address)) {
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", await fetched.clone().arrayBuffer()));
    const digits = Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
    if (!digits.startsWith(digest)) throw new Error(`${address}: is another file.`);
  }
  await cache.put(address, fetched);
}

function withHeaders({ body, status, statusText, headers: given }) {
  const all = new Headers(given);
  for (const [name, value] of Object.entries(headers)) all.set(name, value);
  return new Response(body, { status, statusText, headers: all });
}
