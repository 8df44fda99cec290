// The outputs: classes as bars with their probabilities, other numbers as they are.

import { reals } from "./grid.js";
import { element } from "./spikes.js";

const MOST = 64;

export class Scores {
  // page: with `outputs`, `answers` and `classes`, the names of the classes of its only output, or null.
  constructor(place, page) {
    this.place = place;
    this.page = page;
    this.bars = page.answers.map((output) => this.rows(page.outputs[output]));
  }

  rows({ title, shape, length }) {
    if (this.page.answers.length > 1) this.place.append(element("h3", "", `${title}, ${shape.join(" × ")}`));
    const name = (place) => this.page.classes?.[place] ?? `${place}`;
    const rows = Array.from({ length: Math.min(MOST, length) }, (_, place) => row(name(place)));
    this.place.append(...rows.map(({ row }) => row));
    if (length > MOST) this.place.append(element("p", "quiet", `and ${length - MOST} more`));
    return rows;
  }

  // values: an Int8Array for each answer.
  show(values) {
    this.page.answers.forEach((output, place) => {
      const numbers = reals(values[place], this.page.outputs[output]);
      if (this.page.classes) this.showClasses(this.bars[place], numbers);
      else this.showNumbers(this.bars[place], numbers);
    });
  }

  showClasses(bars, numbers) {
    const shares = softmax(numbers), best = shares.indexOf(Math.max(...shares));
    bars.forEach(({ row, bar, number }, place) => {
      row.classList.toggle("best", place === best);
      bar.style.width = `${100 * shares[place]}%`;
      number.textContent = `${(100 * shares[place]).toFixed(1)} % (${numbers[place].toFixed(2)})`;
    });
  }

  showNumbers(bars, numbers) {
    const largest = Math.max(...numbers.map(Math.abs)) || 1;
    bars.forEach(({ bar, number }, place) => {
      bar.style.width = `${100 * Math.abs(numbers[place]) / largest}%`;
      number.textContent = numbers[place].toPrecision(4);
    });
  }
}

export function softmax(numbers) {
  const largest = Math.max(...numbers), powers = Array.from(numbers, (number) => Math.exp(number - largest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

function row(name) {
  const made = element("div", "score"), label = element("span", "name", name), track = element("div", "track");
  const bar = element("div"), number = element("span", "number");
  label.title = name;
  track.append(bar);
  made.append(label, track, number);
  return { row: made, bar, number };
}
