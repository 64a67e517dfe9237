"use strict";
// The numbers of the result, as pipeline/report/data.py packed them.

const RANGES = { int16: Int16Array, int32: Int32Array, uint8: Uint8Array };

function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

// { shape, values }: the last axis is time; NaN where there is nothing.
async function unpack(packed) {
  const stream = new Blob([bytesOf(packed.data)]).stream();
  const inflated = stream.pipeThrough(new DecompressionStream("deflate"));
  const whole = new RANGES[packed.type](await new Response(inflated).arrayBuffer());
  const absent = packed.type === "uint8" ? 255 : packed.type === "int16" ? -32768 : -2147483648;
  const values = new (packed.type === "int32" ? Float64Array : Float32Array)(whole.length);
  const length = packed.shape[packed.shape.length - 1];
  for (let i = 0; i < whole.length; i++) {
    if (i % length) whole[i] += whole[i - 1]; // wraps around, as the differences did
    values[i] = whole[i] === absent ? NaN : whole[i] * packed.step;
  }
  return { shape: packed.shape, values };
}

async function readData() {
  const data = JSON.parse(document.getElementById("data").textContent);
  const names = Object.keys(data.arrays);
  const found = await Promise.all(names.map((name) => unpack(data.arrays[name])));
  names.forEach((name, i) => (data[name] = found[i]));
  delete data.arrays;
  data.times = data.time.values;
  data.count = data.times.length;
  data.start = data.times[0];
  data.end = data.times[data.count - 1] + data.step_s * data.every;
  return data;
}

// The frame that is shown at a time: the last one that has begun.
function frameAt(data, seconds) {
  let low = 0;
  let high = data.count - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (data.times[middle] <= seconds + 1e-4) low = middle;
    else high = middle - 1;
  }
  return low;
}

function statusAt(data, person, seconds) {
  const span = data.spans[person].find(([from, to]) => from <= seconds + 1e-4 && seconds < to);
  return span ? data.statuses[span[2]] : "";
}

function clock(seconds, digits = 2) {
  const unit = 10 ** digits;
  const parts = Math.floor(Math.abs(seconds) * unit + 1e-4);
  const minutes = Math.floor(parts / (60 * unit));
  const rest = ((parts / unit) % 60).toFixed(digits);
  const width = digits ? digits + 3 : 2;
  return `${String(minutes).padStart(2, "0")}:${rest.padStart(width, "0")}`;
}

function colour(rgb) {
  return `rgb(${rgb.join(" ")})`;
}

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}
