// The page's texts in the reader's language: one file for each in texts/.
const LANGUAGES = ["en", "de", "zh"];

const wanted = navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase());
const language = wanted.find((tag) => LANGUAGES.includes(tag)) ?? "en";

export const texts = (await import(`./texts/${language}.js`)).default;

if (/^(Mac|iP)/.test(navigator.platform)) texts.orPaste = texts.orPaste.replace(/(Ctrl|Strg)\+/, "⌘");

// Writes the texts into a part of the page, where `data-text`, `data-label` and `data-alt` name them.
export function fillTexts(root) {
  for (const element of root.querySelectorAll("[data-text]")) element.textContent = texts[element.dataset.text];
  for (const element of root.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", texts[element.dataset.label]);
  }
  for (const element of root.querySelectorAll("[data-alt]")) element.alt = texts[element.dataset.alt];
}

// Formats seconds as a person would say them.
export function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.ceil(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${(minutes / 60).toFixed(1)} h`;
}

document.documentElement.lang = language;
