// Why a picture could not be restored: `code` is a key of the texts' `troubles`, `message` a sentence in English or empty.
export class Trouble extends Error {
  constructor(code, message = "") {
    super(message);
    this.code = code;
  }
}
