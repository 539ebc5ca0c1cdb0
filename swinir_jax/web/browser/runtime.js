// ONNX Runtime in the browser: WebGPU where there is a graphics card, else WASM on the processor.
import { Trouble } from "../trouble.js";

const ROOT = new URL("../", import.meta.url); // of the site; its files are named relative to it
const FAULTS = ["validation", "out-of-memory", "internal"]; // kinds of errors of WebGPU
const MOST_THREADS = 4; // more gain little on the small matrices of these networks

export async function chooseProvider() {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null); // some browsers fail without a graphics card
  return adapter ? "webgpu" : "wasm";
}

// Returns {load}, for one provider. `build` is an entry of `runtimes` in choices.json.
export function makeRuntime(provider, build) {
  let ort = null;
  const sessions = new Map(); // by the file of the network

  async function open(report) {
    const binary = await fetchBytes(build.binary, report);
    await importModule(build.loader.file); // which ONNX Runtime imports, too, and whose absence it does not name
    ort = await importModule(build.module.file);
    ort.env.logLevel = "error";
    ort.env.wasm.wasmPaths = { mjs: new URL(build.loader.file, ROOT) };
    ort.env.wasm.wasmBinary = binary;
    ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency) : 1;
  }

  async function start(entry, report) {
    const bytes = await fetchBytes(entry, report);
    const session = await ort.InferenceSession.create(bytes, { executionProviders: [provider], logSeverityLevel: 3 });
    sessions.set(entry.file, session);
  }

  // Returns networks as tiling.js takes them, and lets go of others.
  //   entries:    entries of `networks` in choices.json.
  //   onFraction: is called with the part of the bytes that have been fetched.
  async function load(entries, onFraction) {
    const files = new Set(entries.map((entry) => entry.file));
    for (const [file, session] of sessions) {
      if (files.has(file)) continue;
      sessions.delete(file);
      await session.release();
    }
    const missing = entries.filter((entry, i) => !sessions.has(entry.file) && entries.indexOf(entry) === i);
    const total = [...missing, ...(ort ? [] : [build.binary])].reduce((sum, { bytes }) => sum + bytes, 0);
    let fetched = 0;
    const report = (bytes) => onFraction((fetched += bytes) / total);
    if (!ort) await open(report);
    for (const entry of missing) await start(entry, report);
    return entries.map(({ file, scale, window }) => ({
      scale,
      window,
      async run(data, height, width) {
        const image = new ort.Tensor("float32", data, [1, 3, height, width]);
        let answer;
        await watch(ort.env.webgpu?.device, async () => {
          const { restored } = await sessions.get(file).run({ image });
          answer = await restored.getData(true); // and frees the graphics card's memory
        });
        return answer;
      },
    }));
  }

  return { load };
}

// Awaits a function that computes on a graphics card, and fails if the card does. A card that is lost may never answer, and
// one that refuses a command, as for lack of memory, answers with zeros.
//   device: a GPUDevice, or undefined on the processor.
//   compute: returns a promise of nothing, because the one of a lost card would hold all answers until then.
async function watch(device, compute) {
  if (!device) return compute();
  for (const fault of FAULTS) device.pushErrorScope(fault);
  const lost = device.lost.then(({ message }) => {
    throw new Error(`The graphics card was lost. ${message}`);
  });
  await Promise.race([lost, compute()]);
  const errors = await Promise.race([lost, Promise.all(FAULTS.map(() => device.popErrorScope()))]);
  const error = errors.find(Boolean);
  if (error) throw new Error(`The graphics card refused a command. ${error.message}`);
}

async function importModule(file) {
  try {
    return await import(new URL(file, ROOT));
  } catch (error) {
    throw new Trouble("offline", error.message);
  }
}

// Fetches a file of the site, and reports the bytes of each piece. Fails if the file has another length: it is a page that
// asks for a login, a file of a newer release, or was broken off.
async function fetchBytes({ file, bytes }, report) {
  try {
    const answer = await fetch(new URL(file, ROOT));
    if (!answer.ok) throw new Error(`${file}: ${answer.status}`);
    const pieces = [];
    for (let reader = answer.body.getReader(), piece; !(piece = await reader.read()).done; ) {
      pieces.push(piece.value);
      report(piece.value.length);
    }
    const fetched = new Uint8Array(await new Blob(pieces).arrayBuffer());
    if (fetched.length !== bytes) throw new Error(`${file}: ${fetched.length} bytes in place of ${bytes}.`);
    return fetched;
  } catch (error) {
    throw new Trouble("offline", error.message);
  }
}
