// The form that chooses what is done. Each control shows what the controls before it leave to choose.
import { read, write } from "./storage.js";
import { texts } from "./texts.js";

const KEPT = "swinir-jax settings";
const CONTROLS = ["purpose", "scale", "quality", "level", "strength"];

// Fills the form from the engine's choices. Returns {choice}, a function that returns the chosen Choice.
export function makeSettings(form, choices) {
  const wanted = read("localStorage", KEPT, {});

  const chosen = () => {
    let left = choices;
    for (const name of CONTROLS) {
      const fitting = left.filter((choice) => choice[name] === wanted[name]);
      left = fitting.length ? fitting : left.filter((choice) => choice[name] === left[0][name]);
    }
    return left[0];
  };

  const fields = {}; // by name, with the values they show: {set, shown}
  const foot = make("p", { className: "small" });

  const draw = () => {
    const choice = chosen();
    let left = choices;
    for (const name of CONTROLS) {
      const values = [...new Set(left.map((each) => each[name]))];
      if (name !== "purpose") values.sort((a, b) => (typeof a === "number" ? a - b : 0));
      const shown = name === "purpose" || values.length > 1 ? JSON.stringify(values) : "";
      if (fields[name]?.shown !== shown) {
        const set = shown ? field(name, values, choice) : make("fieldset", { hidden: true });
        if (fields[name]) fields[name].set.replaceWith(set);
        else form.append(set);
        fields[name] = { set, shown };
      }
      for (const input of fields[name].set.querySelectorAll("input")) input.checked = input.value === String(choice[name]);
      left = left.filter((each) => each[name] === choice[name]);
    }
    foot.textContent = hint(choice);
  };

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", (event) => {
    const { name } = event.target;
    wanted[name] = choices.find((choice) => String(choice[name]) === event.target.value)[name];
    if (name === "purpose") {
      const first = choices.find((choice) => choice.purpose === wanted.purpose);
      const { scale, level } = first; // the purpose's defaults; each network has a default strength of its own
      Object.assign(wanted, { scale, level, strength: undefined });
    }
    write("localStorage", KEPT, wanted);
    draw();
  });
  draw();
  form.append(foot);
  return { choice: chosen };
}

function field(name, values, choice) {
  const set = make("fieldset", { className: name });
  set.append(make("legend", { textContent: texts[name] }));
  const row = make("div", { className: "options" });
  for (const value of values) {
    const id = `${name}-${value}`;
    const input = make("input", { type: "radio", name, id, value: String(value) });
    const label = make("label", { htmlFor: id });
    const [title, detail] = words(name, value, choice);
    label.append(make("span", { textContent: title }));
    if (detail) label.append(make("small", { textContent: detail }));
    row.append(input, label);
  }
  set.append(row);
  return set;
}

function words(name, value, choice) {
  if (name === "purpose") return texts.purposes[value] ?? [value];
  if (name === "scale") return [value === 1 ? texts.sameSize : `${value}×`];
  if (name === "quality") return [texts.qualities[value]];
  if (name === "strength") return [texts.strengths[value] ?? texts.between];
  return [texts.levels[choice.purpose](value)];
}

function hint(choice) {
  const parts = [texts.network(choice.networks)];
  if (choice.research) parts.push(texts.research);
  if (choice.better) parts.push(texts.better);
  if (choice.place === "to be fetched") parts.push(texts.fetched);
  return parts.join(" ");
}

function make(tag, properties) {
  return Object.assign(document.createElement(tag), properties);
}
