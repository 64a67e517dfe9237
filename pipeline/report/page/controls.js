"use strict";
// Buttons, keys and choices; starts the page.

function makeVideo(page) {
  const source = find("video-data");
  const video = find("video");
  if (!source) return;
  const told = JSON.parse(source.dataset.video);
  if (!told.href) {
    const blob = new Blob([bytesOf(source.textContent)], { type: told.type });
    source.remove();
    video.src = URL.createObjectURL(blob);
  } else {
    video.src = told.href;
  }
  page.video = video;
  page.offset = told.offset;
  find("picture").hidden = false;
  find("with-2d").hidden = !page.data.keypoints;
  const [width, height] = told.part; // of the video's picture, from its upper left corner
  video.style.width = `${100 / width}%`;
  video.addEventListener("loadedmetadata", () => {
    const ratio = (video.videoWidth * width) / (video.videoHeight * height);
    find("screen").style.aspectRatio = ratio;
    find("stage").style.setProperty("--ratio", ratio);
    page.seek(page.time);
  });
  video.addEventListener("error", () => {
    page.video = null;
    find("picture").hidden = true;
    const why = told.href ? `was not found at ${told.href}, or` : "";
    trouble(`The video ${why} cannot be played by this browser; the skeleton has a clock of its own.`);
  });
  if (video.requestVideoFrameCallback) {
    const presented = (_, frame) => {
      page.presented = frame.mediaTime;
      video.requestVideoFrameCallback(presented);
    };
    video.requestVideoFrameCallback(presented);
  }
}

function makeSpace(page) {
  const { data } = page;
  if (!element("canvas").getContext("webgl2")) {
    find("no-space").hidden = false;
    find("views").hidden = true;
    return;
  }
  const space = new Space(find("space"), data, () => (page.moved = true));
  page.space = space;
  const buttons = [...document.querySelectorAll("[data-view]")];
  space.viewChanged = (name) => {
    for (const button of buttons) button.setAttribute("aria-pressed", button.dataset.view === name);
  };
  for (const button of buttons) {
    button.addEventListener("click", () => {
      space.setView(button.dataset.view);
      space.fit();
      page.moved = true;
    });
  }
  const [low, high] = data.scene.box;
  const follow = find("follow");
  const seen = data.people.filter((person) => person.frames).length;
  // One person who goes far is seen better from near; of several one would leave the view.
  follow.checked = seen === 1 && Math.hypot(high[0] - low[0], high[1] - low[1]) > 4;
  follow.disabled = !seen;
  page.follow = () => {
    space.setFollowed(follow.checked ? page.person : null);
    page.moved = true;
  };
  follow.addEventListener("change", page.follow);
  const doubt = find("doubt");
  doubt.disabled = !data.uncertainty.values.some((metres) => metres > 0);
  doubt.addEventListener("change", () => {
    space.withDoubt = doubt.checked;
    space.show(space.frame);
    page.moved = true;
  });
  new ResizeObserver(() => {
    space.resize();
    page.moved = true;
  }).observe(find("space"));
  space.resize();
  page.follow();
}

function makePeople(page) {
  const { data, space } = page;
  const select = find("person");
  data.people.forEach((person, place) => {
    if (person.frames) select.append(new Option(`person ${person.id}`, place));
  });
  select.value = page.person;
  find("whose").hidden = select.options.length < 2;
  select.addEventListener("change", () => {
    page.person = +select.value;
    page.stale = true;
    page.told = null;
    if (space && find("follow").checked) page.follow();
  });
  if (data.people.length < 2 || !space) return;
  data.people.forEach((person, place) => {
    const box = element("input", { type: "checkbox", checked: true });
    box.addEventListener("change", () => {
      space.shown[place] = box.checked;
      space.show(space.frame);
      page.drawOverlay();
      page.moved = true;
    });
    const swatch = element("i", { className: "swatch" });
    swatch.style.background = colour(person.tint);
    find("people").append(element("label", {}, box, swatch, `${person.id}`));
  });
  find("people").hidden = false;
}

function makePlots(page) {
  const chosen = new Set(page.data.panels.filter((panel) => panel.shown).map((panel) => panel.key));
  const show = () => {
    page.plots = page.data.panels.filter((panel) => chosen.has(panel.key)).map((panel) => {
      page.made[panel.key] ??= new Plot(page, panel);
      return page.made[panel.key];
    });
    find("plots").replaceChildren(...page.plots.map((plot) => plot.box));
    page.stale = true;
    page.told = null;
  };
  page.made = {};
  const groups = {};
  for (const panel of page.data.panels) {
    if (!groups[panel.group]) {
      groups[panel.group] = element("fieldset", {}, element("legend", { textContent: panel.group }));
      find("choices").append(groups[panel.group]);
    }
    const box = element("input", { type: "checkbox", checked: panel.shown });
    box.addEventListener("change", () => {
      if (box.checked) chosen.add(panel.key);
      else chosen.delete(panel.key);
      show();
    });
    groups[panel.group].append(element("label", { title: panel.note }, box, panel.title));
  }
  show();
}

function makeControls(page) {
  find("play").addEventListener("click", () => (page.playing ? page.pause() : page.play()));
  find("back").addEventListener("click", () => page.step(-1));
  find("on").addEventListener("click", () => page.step(1));
  find("speed").addEventListener("change", (event) => {
    page.speed = +event.target.value;
    if (page.video) page.video.playbackRate = page.speed;
  });
  find("window").value = Number.isFinite(page.window) ? page.window : 0;
  find("window").addEventListener("change", (event) => {
    page.window = +event.target.value || Infinity;
    page.stale = true;
  });
  find("show-2d").addEventListener("change", () => page.drawOverlay());
  for (const button of document.querySelectorAll("[data-seek]")) {
    button.addEventListener("click", () => {
      page.pause();
      page.seek(+button.dataset.seek);
    });
  }
  const line = find("timeline");
  line.setAttribute("aria-valuemin", page.data.start.toFixed(2));
  line.setAttribute("aria-valuemax", page.data.end.toFixed(2));
  document.addEventListener("keydown", (event) => pressed(page, event));
  const drawAgain = () => {
    page.stale = true;
    page.drawOverlay();
  };
  new ResizeObserver(drawAgain).observe(line);
  new ResizeObserver(drawAgain).observe(find("screen"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAgain);
}

function pressed(page, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("select, input:not([type=checkbox]), textarea")) return;
  const far = event.shiftKey ? Math.max(1, Math.round(1 / (page.data.step_s * page.data.every))) : 1;
  const actions = {
    " ": () => (page.playing ? page.pause() : page.play()),
    ArrowLeft: () => page.step(-far),
    ArrowRight: () => page.step(far),
    Home: () => page.seek(page.data.start),
    End: () => page.seek(page.data.end),
  };
  // A space on what can be pressed presses that.
  if (event.key === " " && event.target.closest("button, summary, input, label")) return;
  if (!actions[event.key]) return;
  event.preventDefault();
  actions[event.key]();
}

async function start() {
  if (!window.DecompressionStream) {
    trouble("This page needs a browser of 2023 or later.");
    return;
  }
  const page = new Page(await readData());
  if (!page.data.people.some((person) => person.frames)) {
    trouble("Nobody was found in any frame: there is no skeleton to show.");
    find("curves").hidden = true;
  }
  makeVideo(page);
  makeSpace(page);
  makePeople(page);
  if (!find("curves").hidden) makePlots(page);
  makeControls(page);
  page.tick(performance.now());
  // For the console, and for tests.
  window.pose3d = page;
  document.body.dataset.ready = "true";
}

start().catch((error) => {
  trouble(`This page cannot be shown: ${error.message}`);
  throw error;
});
