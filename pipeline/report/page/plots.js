"use strict";
// The time line and the curves: canvases that share one axis of time, and one cursor.

const LEFT_EDGE = 44; // px, for the numbers beside a curve
const RIGHT_EDGE = 10;

function styleOf(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// A canvas with a cursor over it: click or drag seeks, the mouse over it tells.
class Track {
  constructor(holder, page, height) {
    Object.assign(this, { holder, page, height });
    this.canvas = element("canvas");
    this.cursor = element("div", { className: "cursor" });
    this.hover = element("div", { className: "cursor hover", hidden: true });
    this.range = page.range;
    this.width = 0;
    this.holder.classList.add("track");
    this.holder.append(this.canvas, this.hover, this.cursor);
    holder.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      holder.setPointerCapture(event.pointerId);
      page.seek(this.timeAt(event));
    });
    holder.addEventListener("pointermove", (event) => {
      if (holder.hasPointerCapture(event.pointerId)) page.seek(this.timeAt(event));
      page.point(this.timeAt(event));
    });
    holder.addEventListener("pointerleave", () => page.point(null));
  }

  timeAt(event) {
    const x = event.clientX - this.holder.getBoundingClientRect().left;
    const { from, to } = this.range;
    const share = (x - LEFT_EDGE) / (this.width - LEFT_EDGE - RIGHT_EDGE);
    return from + Math.min(Math.max(share, 0), 1) * (to - from);
  }

  x(seconds) {
    const { from, to } = this.range;
    return LEFT_EDGE + ((seconds - from) / (to - from)) * (this.width - LEFT_EDGE - RIGHT_EDGE);
  }

  place(cursor, seconds) {
    const x = seconds === null ? -1 : this.x(seconds);
    cursor.hidden = x < LEFT_EDGE - 1 || x > this.width - RIGHT_EDGE + 1;
    cursor.style.transform = `translateX(${x.toFixed(1)}px)`;
  }

  begin(range) {
    this.range = range; // seconds
    this.width = this.holder.clientWidth;
    const sharp = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(this.width * sharp);
    this.canvas.height = Math.round(this.height * sharp);
    this.canvas.style.height = `${this.height}px`;
    const pen = this.canvas.getContext("2d");
    pen.scale(sharp, sharp);
    pen.font = "11px system-ui, sans-serif";
    pen.fillStyle = pen.strokeStyle = styleOf("--quiet");
    return pen;
  }

  within(pen) {
    pen.beginPath();
    pen.rect(LEFT_EDGE, 0, this.width - LEFT_EDGE - RIGHT_EDGE, this.height);
    pen.clip();
  }

  // Upright lines, with the times under them if there is room at the bottom.
  drawTimes(pen, bottom, named) {
    const { from, to } = this.range;
    const most = Math.max(2, Math.floor((this.width - LEFT_EDGE) / 80));
    const steps = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800];
    const step = steps.find((one) => (to - from) / one <= most) || 3600;
    const digits = step < 0.1 ? 2 : step < 1 ? 1 : 0;
    pen.textAlign = "center";
    for (let n = Math.ceil(from / step - 1e-6); n * step <= to + 1e-6; n++) {
      const x = this.x(n * step);
      pen.fillStyle = styleOf("--line");
      pen.fillRect(Math.round(x), 0, 1, bottom);
      pen.fillStyle = styleOf("--quiet");
      const half = 16 + 4 * digits;
      if (named && x < this.width - half) pen.fillText(clock(n * step, digits), x, bottom + 13);
    }
  }
}

// What became of every person in every frame, in colours and heights.
class TimeLine extends Track {
  constructor(holder, page) {
    const people = page.data.people.length;
    const row = people > 8 ? 6 : people > 3 ? 10 : 14;
    super(holder, page, 24 + row * Math.max(people, 1) + 18);
    this.row = row;
  }

  draw() {
    const { data, moments } = this.page;
    const pen = this.begin({ from: data.start, to: data.end });
    const bottom = this.height - 18;
    this.drawTimes(pen, bottom, true);
    pen.textAlign = "right";
    data.people.forEach((person, place) => {
      const base = 18 + this.row * (place + 1);
      if (this.row > 8 && data.people.length > 1) pen.fillText(person.id, LEFT_EDGE - 8, base - 2);
    });
    this.within(pen);
    data.spans.forEach((spans, place) => {
      const base = 18 + this.row * (place + 1);
      for (const [from, to, number] of spans) {
        const name = data.statuses[number];
        pen.fillStyle = styleOf(`--${name.replaceAll("_", "-")}`);
        const share = name === "ok" ? 0.5 : name === "not_visible" ? 0.12 : 0.85;
        const tall = Math.max(1, share * this.row);
        const left = this.x(from);
        pen.fillRect(left, base - tall, Math.max(1.5, this.x(to) - left), tall);
      }
    });
    pen.fillStyle = styleOf("--notice");
    for (const seconds of moments) {
      const x = this.x(seconds);
      pen.beginPath();
      pen.moveTo(x - 5, 4);
      pen.lineTo(x + 5, 4);
      pen.lineTo(x, 13);
      pen.fill();
    }
  }
}

// One quantity of one person, left and right as two lines.
class Plot extends Track {
  constructor(page, panel) {
    const box = element("figure", { className: "plot" });
    const holder = element("div");
    super(holder, page, 96);
    Object.assign(this, { panel, box, values: {} });
    const title = element("span", { className: "name", textContent: panel.title });
    const note = element("span", { className: "note", textContent: panel.note, title: panel.note });
    const caption = element("figcaption", {}, title, ` ${panel.unit} `);
    for (const side of Object.keys(panel.lines)) {
      this.values[side] = element("output", { className: side });
      caption.append(this.values[side]);
    }
    caption.append(note);
    box.append(caption, holder);
    this.canvas.setAttribute("role", "img");
  }

  line(side) {
    const { data, person } = this.page;
    const { shape, values } = data[this.panel.array];
    const start = (this.panel.lines[side] * shape[1] + person) * data.count;
    return values.subarray(start, start + data.count);
  }

  // Lowest and highest value of the person, never a range so small that noise looks large.
  scale() {
    const ends = Object.keys(this.panel.lines).map((side) => extremes(this.line(side)));
    const low = Math.min(...ends.map((pair) => pair[0]));
    const high = Math.max(...ends.map((pair) => pair[1]));
    const least = { "m/s": 0.5, cm: 5 }[this.panel.unit] || 20;
    if (low > high) return [0, least];
    if (least < 20) return [0, 1.05 * Math.max(high, least)];
    const spare = Math.max(0.05 * (high - low), (least - (high - low)) / 2);
    return [low - spare, high + spare];
  }

  draw() {
    const { data, person } = this.page;
    const [low, high] = this.scale();
    const last = this.page.plots.at(-1) === this;
    this.height = last ? 112 : 96; // the last one names the times
    const pen = this.begin(this.page.range);
    const bottom = 90;
    const y = (value) => 4 + ((high - value) / (high - low)) * (bottom - 4);
    this.drawTimes(pen, 96, last);
    pen.textAlign = "right";
    const rough = (high - low) / 4;
    const unit = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].map((n) => n * unit).find((n) => n >= rough);
    for (let n = Math.ceil(low / step); n * step <= high; n++) {
      pen.fillStyle = styleOf("--line");
      pen.fillRect(LEFT_EDGE, Math.round(y(n * step)), this.width - LEFT_EDGE - RIGHT_EDGE, 1);
      pen.fillStyle = styleOf("--quiet");
      const number = String(+(n * step).toPrecision(6)).replace("-", "\u2212");
      pen.fillText(number, LEFT_EDGE - 6, Math.max(y(n * step) + 4, 9));
    }
    pen.save();
    this.within(pen);
    for (const [from, to, number] of data.spans[person]) {
      const name = data.statuses[number];
      if (name === "ok" || name === "sides_repaired") continue;
      pen.fillStyle = styleOf(name === "not_visible" ? "--absent" : "--doubtful");
      pen.fillRect(this.x(from), 0, Math.max(1, this.x(to) - this.x(from)), 96);
    }
    const told = [];
    for (const side in this.panel.lines) {
      pen.strokeStyle = pen.fillStyle = styleOf(`--${side}`);
      pen.lineWidth = 1.6;
      pen.lineJoin = "round";
      const line = this.line(side);
      this.trace(pen, line, y);
      const [least, most] = extremes(line);
      const ends = least <= most ? `${this.text(least)} to ${this.text(most)}` : "no values";
      told.push(`${side === "middle" ? "" : `${side} `}${ends} ${this.panel.unit}`);
    }
    pen.restore();
    this.canvas.setAttribute("aria-label", `${this.panel.title} over time: ${told.join(", ")}`);
  }

  // A line with gaps; where frames are narrower than a pixel, from lowest to highest in each.
  trace(pen, line, y) {
    const { data } = this.page;
    const first = Math.max(frameAt(data, this.range.from) - 1, 0);
    const last = Math.min(frameAt(data, this.range.to) + 1, data.count - 1);
    const dense = last - first > 2 * this.width;
    pen.beginPath();
    for (let i = first; i <= last; i++) {
      if (Number.isNaN(line[i])) continue;
      const x = this.x(data.times[i]);
      const joined = i > first && !Number.isNaN(line[i - 1]);
      let [bottom, top] = [line[i], line[i]];
      const column = Math.floor(x);
      while (dense && i < last && this.x(data.times[i + 1]) < column + 1 && line[i + 1] === line[i + 1]) {
        i++;
        bottom = Math.min(bottom, line[i]);
        top = Math.max(top, line[i]);
      }
      if (joined) pen.lineTo(x, y(top));
      else pen.moveTo(x, y(top));
      if (bottom < top) pen.lineTo(x, y(bottom));
      const alone = !joined && (i === last || Number.isNaN(line[i + 1]));
      if (alone) pen.fillRect(x - 1.2, y(line[i]) - 1.2, 2.4, 2.4);
    }
    pen.stroke();
  }

  text(value) {
    return value.toFixed(this.panel.unit === "m/s" ? 2 : 1).replace("-", "\u2212");
  }

  tell(frame) {
    for (const side in this.values) {
      const value = this.line(side)[frame];
      const number = Number.isFinite(value) ? this.text(value) : "\u2013";
      this.values[side].textContent = side === "middle" ? number : `${side} ${number}`;
    }
  }
}

// Lowest and highest number; Infinity and -Infinity if there is none.
function extremes(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}
