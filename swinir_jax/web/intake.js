// The three ways in which pictures come into the page: a file dialogue, drag and drop, and the clipboard. Calls
// `onFiles(files)`, or `onNone()` for what is dropped or pasted without a file, such as a link or a text.
export function takePictures(input, veil, onFiles, onNone) {
  let depth = 0; // of dragged-over elements: `dragenter` of a child comes before `dragleave` of its parent

  const setDepth = (value) => {
    depth = Math.max(0, value);
    veil.classList.toggle("shown", depth > 0);
  };
  const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const take = (transfer) => (transfer?.files.length ? onFiles([...transfer.files]) : onNone());

  input.addEventListener("change", () => {
    onFiles([...input.files]);
    input.value = ""; // so that the same file can be chosen again
  });
  document.addEventListener("dragstart", (event) => event.preventDefault()); // else the page's pictures are files
  document.addEventListener("dragenter", (event) => {
    if (hasFiles(event)) setDepth(depth + 1);
  });
  document.addEventListener("dragleave", (event) => {
    if (hasFiles(event)) setDepth(depth - 1);
  });
  document.addEventListener("dragover", (event) => event.preventDefault()); // else a browser opens a dropped link
  document.addEventListener("drop", (event) => {
    setDepth(0);
    event.preventDefault();
    take(event.dataTransfer);
  });
  document.addEventListener("paste", (event) => take(event.clipboardData));
}
