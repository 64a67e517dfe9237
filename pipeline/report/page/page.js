"use strict";
// The clock, the video, and what the buttons do.

const find = (id) => document.getElementById(id);
const trouble = (words) => {
  find("trouble").hidden = false;
  find("trouble").append(element("span", { textContent: words }));
};

class Page {
  constructor(data) {
    this.data = data;
    this.time = data.start;
    this.playing = false;
    this.speed = 1;
    this.person = Math.max(0, data.people.findIndex((person) => person.frames > 0));
    this.pointed = null;
    this.window = data.end - data.start > 60 ? 20 : Infinity; // seconds of the curves
    this.frame = -1;
    this.stale = true; // the curves must be drawn again
    this.moved = true; // so must the people in 3D
    this.moments = [...document.querySelectorAll("[data-warned]")].map((b) => +b.dataset.seek);
    this.video = null;
    this.presented = null; // media time of the picture that is shown, where the browser tells
    this.timeLine = new TimeLine(find("timeline"), this);
    this.plots = [];
  }

  // Seconds that the curves show.
  get range() {
    const { start, end } = this.data;
    if (this.window >= end - start) return { from: start, to: end };
    const from = Math.min(Math.max(this.time - this.window / 2, start), end - this.window);
    return { from, to: from + this.window };
  }

  seek(seconds) {
    const { start, end, step_s } = this.data;
    this.time = Math.min(Math.max(seconds, start), end - step_s / 4);
    // A little into the frame, so that rounding does not show the one before it.
    if (this.video) this.video.currentTime = Math.max(0, this.time - this.offset + step_s / 8);
  }

  step(frames) {
    this.pause();
    const { times, count } = this.data;
    this.seek(times[Math.min(Math.max(this.frame + frames, 0), count - 1)]);
  }

  play() {
    if (this.time >= this.data.end - 1.5 * this.data.step_s) this.seek(this.data.start);
    this.playing = true;
    this.played = performance.now();
    if (this.video) this.video.play().catch(() => this.pause());
    this.showPlaying();
  }

  pause() {
    this.playing = false;
    if (this.video) this.video.pause();
    this.showPlaying();
  }

  showPlaying() {
    find("play").setAttribute("aria-label", this.playing ? "Pause" : "Play");
    find("play").classList.toggle("playing", this.playing);
  }

  point(seconds) {
    this.pointed = seconds;
    this.told = null;
  }

  // Once a picture of the screen.
  tick(now) {
    if (this.playing) this.run(now);
    const frame = frameAt(this.data, this.time);
    if (frame !== this.frame) {
      this.frame = frame;
      this.moved = true;
      if (this.space) this.space.show(frame);
      this.drawOverlay();
      this.told = null;
      if (this.window < this.data.end - this.data.start) this.stale = true;
    }
    if (this.stale) {
      this.stale = false;
      this.timeLine.draw();
      this.plots.forEach((plot) => plot.draw());
      this.marked = null;
    }
    if (this.moved && this.space) {
      this.moved = false;
      this.space.render();
    }
    this.tell();
    requestAnimationFrame((next) => this.tick(next));
  }

  run(now) {
    if (this.video) {
      const { currentTime } = this.video;
      const near = this.presented !== null && Math.abs(this.presented - currentTime) < 0.15;
      this.time = (near ? this.presented : currentTime) + this.offset;
      this.time = Math.max(this.time, this.data.start);
      if (this.video.ended) this.pause();
    } else {
      this.time += ((now - this.played) / 1000) * this.speed;
      this.played = now;
    }
    if (this.time >= this.data.end) {
      this.pause();
      this.seek(this.data.end);
    }
  }

  // Cursors, numbers and words of the time shown, or of the one under the mouse.
  tell() {
    if (this.marked !== this.time || this.told === null) {
      for (const track of [this.timeLine, ...this.plots]) {
        track.place(track.cursor, this.time);
        track.place(track.hover, this.pointed);
      }
      this.marked = this.time;
    }
    if (this.told !== null) return;
    this.told = true;
    const { data } = this;
    const seconds = this.pointed ?? this.time;
    const frame = this.pointed === null ? this.frame : frameAt(data, seconds);
    this.plots.forEach((plot) => plot.tell(frame));
    const at = clock(data.times[frame]);
    const number = Math.min(this.frame * data.every + 1, data.frames);
    const words = data.people.map((person, place) => {
      const status = statusAt(data, place, data.times[frame]).replaceAll("_", " ");
      return data.people.length > 1 ? `${person.id} ${status}` : status;
    });
    find("now").textContent = clock(data.times[this.frame]);
    find("frame").textContent = `frame ${number} of ${data.frames}`;
    find("status").textContent = (this.pointed === null ? "" : `at ${at} `) + words.join(", ");
    const line = find("timeline");
    line.setAttribute("aria-valuenow", this.time.toFixed(2));
    line.setAttribute("aria-valuetext", `${clock(this.time)}, ${words.join(", ")}`);
  }

  drawOverlay() {
    const { data, video } = this;
    const canvas = find("overlay");
    if (!data.keypoints || !video) return;
    const [width, height] = data.size;
    const sharp = (canvas.clientWidth * (window.devicePixelRatio || 1)) / width;
    if (!(sharp > 0)) return;
    canvas.width = Math.round(width * sharp);
    canvas.height = Math.round(height * sharp);
    if (!find("show-2d").checked) return;
    const pen = canvas.getContext("2d");
    pen.scale(canvas.width / width, canvas.height / height);
    pen.lineCap = "round";
    const { values } = data.keypoints;
    const thick = Math.max(2 / sharp, height / 240);
    data.people.forEach((person, place) => {
      const at = (joint) => {
        const start = (place * 17 + joint) * 2 * data.count + this.frame;
        return [values[start], values[start + data.count]];
      };
      if (this.space && !this.space.shown[place]) return;
      // Dark below and coloured above: seen on any picture.
      for (const [ink, wide] of [["rgb(16 18 22 / 60%)", 2], [null, 1]]) {
        data.parents.forEach((parent, joint) => {
          if (parent < 0 || Number.isNaN(at(joint)[0]) || Number.isNaN(at(parent)[0])) return;
          pen.strokeStyle = ink || colour(person.colours[joint]);
          pen.lineWidth = wide * thick;
          pen.beginPath();
          pen.moveTo(...at(parent));
          pen.lineTo(...at(joint));
          pen.stroke();
        });
      }
    });
  }
}
