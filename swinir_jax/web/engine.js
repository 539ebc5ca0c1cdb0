// The engine of this page. An engine is an object with a name, a key of the texts' `formats`, which say what it reads and
// keeps; with `outlives`, whether pictures that it works at and results outlive a reload of the page; and three functions:
//
//   list(mayReload) -> Promise<{choices, limits, kept}>
//     mayReload: a function that tells whether nothing would be lost if the engine loaded the page once more.
//     choices: what can be done, an array of Choice; the first one is the default.
//     limits:  {bytes}, the largest file.
//     kept:    pictures from before a reload of the page, for `restore`: an array of {name, choice, ...}.
//   restore(picture, choice, onProgress) -> Promise<Result>
//     picture: a File, or an entry of `kept`.
//     Calls onProgress({state, done, total, fraction, left, before}): state is "sending", "waiting", "loading" or
//     "working"; done and total count tiles, total is 0 as long as it is unknown; fraction is the part of the work that
//     is done, and left the seconds that remain above 0, both null as long as they are unknown; before is an address of
//     the picture as the browser shows it, or absent. Rejects with a Trouble. One call at a time.
//   stop(result) -> Promise<void>
//     Without an argument, ends the running `restore`, which rejects with the Trouble "stopped". With a Result, lets go
//     of what is kept for it.
//
//   Choice: {key, purpose, scale, quality, level, strength, networks, research, place, better}; `key` tells choices apart,
//     `purpose`, `quality` ("fast" or "best") and `level` (a number or null) are those of
//     `swinir_jax.checkpoints.purposes`, `strength` is 0 (faithful) to 1 (strong) or null, `networks` are names,
//     `research` says whether one of them is for research use only, `place` is "bundled", "cached" or "to be fetched",
//     `better` is the name of a network that suits the purpose better, or null. Of choices with equal values, the first
//     one is the default.
//   Result: {name, url, before, after, width, height, seconds, notes}; `url` is the address of the result's file, `before`
//     and `after` are addresses of pictures that a browser shows, `notes` are sentences on what was converted.
export { engine } from "./engine_app.js";
