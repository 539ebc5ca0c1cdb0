// Values that the browser keeps for this page, in "localStorage", or in a tab's "sessionStorage". A browser may refuse to
// keep any.

// Returns the value under a name, or `first` if there is none.
export function read(storage, name, first) {
  try {
    return JSON.parse(self[storage].getItem(name)) ?? first;
  } catch {
    return first;
  }
}

// Keeps a value under a name. Returns whether it is kept.
export function write(storage, name, value) {
  try {
    self[storage].setItem(name, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}
