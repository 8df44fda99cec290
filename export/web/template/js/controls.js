// Buttons, boxes to tick and choices of files.

import { element } from "./spikes.js";

export function button(text, pressed) {
  const made = element("button", "", text);
  made.type = "button";
  made.onclick = pressed;
  return made;
}

export function checkbox(text, checked, changed) {
  const label = element("label"), box = Object.assign(document.createElement("input"), { type: "checkbox", checked });
  box.onchange = changed;
  label.append(box, ` ${text}`);
  return { label, checked: () => box.checked };
}

export function filePicker(accept, chosen) {
  const made = Object.assign(document.createElement("input"), { type: "file", accept });
  made.setAttribute("aria-label", "A file of this device");
  made.onchange = () => made.files[0] && chosen(made.files[0]);
  return made;
}
