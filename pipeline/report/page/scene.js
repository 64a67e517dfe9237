"use strict";
// The people in 3D, in the room of the result: x right, y away from the camera, z up; metres.

// Degrees to the side of the camera that filmed, and above the horizon.
const VIEWS = { corner: [35, 17], front: [0, 7], side: [90, 7], top: [0, 89.9] };
const PERSON = [[-0.6, -0.6, 0], [0.6, 0.6, 1.9]];
const CELL = 0.5; // metres, of the floor's grid
const UP = new THREE.Vector3(0, 0, 1);

class Space {
  constructor(holder, data, changed) {
    this.holder = holder;
    this.data = data;
    this.shown = data.people.map(() => true);
    this.withDoubt = false;
    this.followed = null; // a person's place, or null
    this.view = "corner";
    this.frame = 0;
    this.renderer = new THREE.WebGLRenderer({ antialias: true });
    this.renderer.setPixelRatio(Math.min(window.devicePixelRatio || 1, 2));
    this.renderer.shadowMap.enabled = true;
    this.renderer.shadowMap.type = THREE.PCFShadowMap;
    const canvas = this.renderer.domElement;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", "The people in 3D; the buttons above choose the view");
    holder.prepend(canvas);
    this.camera = new THREE.PerspectiveCamera(30, 1, 0.05, 1000);
    this.camera.up.copy(UP);
    this.controls = new THREE.OrbitControls(this.camera, canvas);
    this.controls.maxPolarAngle = 0.5 * Math.PI;
    this.controls.minDistance = 0.5;
    canvas.style.touchAction = "pan-y"; // a finger that moves upright scrolls the page
    this.controls.addEventListener("change", changed);
    this.controls.addEventListener("start", () => this.setView(null));
    this.furnish();
    this.figures = data.people.map((person, place) => new Figure(this, person, place));
    this.viewChanged = () => {};
  }

  furnish() {
    const { background, floor, grid, box } = this.data.scene;
    this.background = rgb(background);
    this.scene = new THREE.Scene();
    this.scene.background = this.background;
    this.scene.fog = new THREE.Fog(this.background, 10, 30);
    this.scene.add(new THREE.HemisphereLight(0xffffff, 0x9098a8, 2.9));
    this.sun = new THREE.DirectionalLight(0xffffff, 1.9);
    this.sun.castShadow = true;
    this.sun.shadow.mapSize.set(1024, 1024);
    this.sun.shadow.bias = -0.002;
    this.sun.shadow.radius = 4;
    this.scene.add(this.sun, this.sun.target);
    const [low, high] = box;
    const side = 2 * Math.ceil(Math.max(high[0] - low[0], high[1] - low[1]) + 40); // metres
    const plane = new THREE.Mesh(
      new THREE.PlaneGeometry(side, side),
      new THREE.MeshLambertMaterial({ map: this.tiles(floor, grid, side / CELL), depthWrite: false })
    );
    plane.receiveShadow = true;
    plane.renderOrder = -1; // below everything
    const middle = [0, 1].map((i) => Math.round(low[i] + high[i]) / 2);
    plane.position.set(...middle, 0);
    this.scene.add(plane);
  }

  // A texture, because graphics drivers draw long lines in very different ways.
  tiles(floor, grid, times) {
    const tile = element("canvas", { width: 128, height: 128 });
    const pen = tile.getContext("2d");
    pen.fillStyle = colour(grid.map((value, i) => 0.3 * value + 0.3 * floor[i]));
    pen.fillRect(0, 0, 128, 128);
    pen.fillStyle = colour(floor.map((value) => 0.66 * value));
    pen.fillRect(1.5, 1.5, 125, 125);
    const texture = new THREE.CanvasTexture(tile);
    texture.colorSpace = THREE.SRGBColorSpace;
    texture.wrapS = texture.wrapT = THREE.RepeatWrapping;
    texture.repeat.set(times, times);
    texture.anisotropy = this.renderer.capabilities.getMaxAnisotropy();
    return texture;
  }

  joint(person, joint, frame, out) {
    const { values } = this.data.joints3d;
    const start = (person * 17 + joint) * 3 * this.data.count + frame;
    return out.set(values[start], values[start + this.data.count], values[start + 2 * this.data.count]);
  }

  show(frame) {
    this.frame = frame;
    for (const figure of this.figures) figure.pose(frame);
    this.follow();
  }

  // Moves camera and target along with the person followed.
  follow() {
    if (this.followed === null) return;
    const hip = this.joint(this.followed, 0, this.frame, new THREE.Vector3());
    if (!Number.isFinite(hip.x)) return;
    hip.z = 0;
    if (this.anchor) {
      const step = hip.clone().sub(this.anchor);
      this.camera.position.add(step);
      this.controls.target.add(step);
    }
    this.anchor = hip;
  }

  setFollowed(place) {
    this.followed = place;
    this.anchor = null;
    this.setView(this.view || "corner");
    this.fit();
  }

  setView(name) {
    this.view = name;
    this.viewChanged(name);
  }

  // Puts the camera where the chosen view shows everybody, or the person followed.
  fit() {
    const [low, high] = this.followed === null ? this.data.scene.box : PERSON;
    const centre = new THREE.Vector3();
    if (this.followed !== null) this.anchorNear(centre);
    const corners = [];
    for (let i = 0; i < 8; i++) {
      const height = i & 4 ? high[2] + 0.2 : 0;
      const corner = new THREE.Vector3(i & 1 ? high[0] : low[0], i & 2 ? high[1] : low[1], height);
      corners.push(corner.add(centre));
    }
    const middle = corners[0].clone().add(corners[7]).divideScalar(2);
    const [side, lift] = VIEWS[this.view || "corner"].map((degrees) => (degrees * Math.PI) / 180);
    const back = new THREE.Vector3(
      Math.sin(side) * Math.cos(lift), -Math.cos(side) * Math.cos(lift), Math.sin(lift)
    );
    const right = new THREE.Vector3(Math.cos(side), Math.sin(side), 0);
    const upward = new THREE.Vector3().crossVectors(back, right);
    const tall = 0.86 * Math.tan((this.camera.fov * Math.PI) / 360);
    const wide = tall * this.camera.aspect;
    let distance = 1;
    for (const corner of corners) {
      const from = corner.clone().sub(middle);
      const need = Math.max(Math.abs(from.dot(right)) / wide, Math.abs(from.dot(upward)) / tall);
      distance = Math.max(distance, need + from.dot(back));
    }
    this.controls.target.copy(middle);
    this.camera.position.copy(middle).addScaledVector(back, distance);
    this.controls.update();
    const radius = Math.min(1 + corners[0].distanceTo(corners[7]) / 2, 15);
    const shadow = this.sun.shadow.camera;
    Object.assign(shadow, { left: -radius, right: radius, top: radius, bottom: -radius, far: 80 });
    shadow.updateProjectionMatrix();
  }

  // The floor under the person followed, now or at the nearest time at which there is a pose.
  anchorNear(out) {
    const { count } = this.data;
    for (let away = 0; away < count; away++) {
      for (const frame of [this.frame - away, this.frame + away]) {
        if (frame < 0 || frame >= count) continue;
        this.joint(this.followed, 0, frame, out).z = 0;
        if (!Number.isFinite(out.x)) continue;
        this.anchor = out.clone();
        return;
      }
    }
    out.set(0, 0, 0);
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.holder;
    if (!width || !height) return;
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
    if (this.view) this.fit();
  }

  render() {
    const away = this.camera.position.distanceTo(this.controls.target);
    Object.assign(this.scene.fog, { near: away, far: 3 * away + 6 });
    this.sun.target.position.copy(this.controls.target);
    this.sun.position.copy(this.controls.target).add(new THREE.Vector3(-4, -5, 11));
    this.renderer.render(this.scene, this.camera);
    for (const figure of this.figures) figure.moveLabel();
  }

  // Where the joints of a person are seen, px from the upper left corner; null without a pose.
  projected(place) {
    const { clientWidth: width, clientHeight: height } = this.holder;
    this.camera.updateMatrixWorld();
    return this.data.joints.map((_, joint) => {
      const seen = this.joint(place, joint, this.frame, new THREE.Vector3());
      if (!Number.isFinite(seen.x)) return null;
      seen.project(this.camera);
      return [((seen.x + 1) / 2) * width, ((1 - seen.y) / 2) * height];
    });
  }
}

function rgb(values) {
  return new THREE.Color(`rgb(${values.join(",")})`);
}

// One person: tapered bones and balls, in the colours of the rendered video, and their doubt.
class Figure {
  constructor(space, person, place) {
    Object.assign(this, { space, place, group: new THREE.Group(), bones: [], balls: [], clouds: [] });
    const { bones, balls, head } = space.data.scene;
    for (const [from, to, wide, narrow] of bones) {
      const shape = new THREE.CylinderGeometry(narrow, wide, 1, 14, 1, true).translate(0, 0.5, 0);
      this.bones.push({ from, to, mesh: this.add(shape, person.colours[to]) });
    }
    for (const [joint, radius] of balls) {
      const mesh = this.add(new THREE.SphereGeometry(radius, 16, 10), person.colours[joint]);
      this.balls.push({ joint, mesh });
    }
    const skull = this.add(new THREE.SphereGeometry(head[2], 24, 16), person.colours[head[1]]);
    this.head = { from: head[0], to: head[1], mesh: skull };
    const round = new THREE.SphereGeometry(1, 20, 14);
    for (let joint = 0; joint < 17; joint++) {
      const look = { color: rgb(person.colours[joint]), opacity: 0.22, transparent: true };
      const mesh = new THREE.Mesh(
        round, new THREE.MeshBasicMaterial({ ...look, depthWrite: false, fog: false })
      );
      this.clouds.push(mesh);
      this.group.add(mesh);
    }
    space.scene.add(this.group);
    this.label = element("span", { className: "label", textContent: person.id, hidden: true });
    this.label.style.color = colour(person.tint);
    if (space.data.people.length > 1) space.holder.append(this.label);
  }

  add(shape, values) {
    const base = rgb(values);
    const mesh = new THREE.Mesh(shape, new THREE.MeshLambertMaterial({ color: base, fog: false }));
    mesh.userData.base = base;
    mesh.castShadow = true;
    this.group.add(mesh);
    return mesh;
  }

  pose(frame) {
    const { space, place } = this;
    const { data } = space;
    const at = data.joints.map((_, joint) =>
      space.joint(place, joint, frame, new THREE.Vector3())
    );
    const whole = at.map((point) => Number.isFinite(point.x));
    const row = (joint) => (place * 17 + joint) * data.count + frame;
    const paint = (mesh, joint, there) => {
      mesh.visible = there;
      if (!there) return;
      // Paler, not transparent: what is seen through a limb looks like a hole.
      const sure = data.opacity.values[row(joint)];
      mesh.material.color.lerpColors(space.background, mesh.userData.base, sure);
    };
    // Thinner than the clouds around the joints.
    const thin = space.withDoubt ? 0.4 : 1;
    this.group.visible = space.shown[place] && whole.some(Boolean);
    for (const { from, to, mesh } of this.bones) {
      paint(mesh, to, whole[from] && whole[to]);
      if (!mesh.visible) continue;
      const along = at[to].clone().sub(at[from]);
      const length = Math.max(along.length(), 1e-4);
      mesh.position.copy(at[from]);
      mesh.scale.set(thin, length, thin);
      mesh.quaternion.setFromUnitVectors(new THREE.Vector3(0, 1, 0), along.divideScalar(length));
    }
    for (const { joint, mesh } of this.balls) {
      paint(mesh, joint, whole[joint]);
      mesh.position.copy(at[joint]);
      mesh.scale.setScalar(thin);
    }
    const { from, to, mesh } = this.head;
    paint(mesh, to, whole[from] && whole[to]);
    mesh.position.copy(at[from]).add(at[to]).divideScalar(2);
    this.clouds.forEach((cloud, joint) => {
      const radius = data.uncertainty.values[row(joint)];
      cloud.visible = space.withDoubt && whole[joint] && radius > 0;
      cloud.position.copy(at[joint]);
      cloud.scale.setScalar(radius || 1);
    });
  }

  moveLabel() {
    const above = this.head.mesh.position.clone();
    above.z += 0.22;
    above.project(this.space.camera);
    const { clientWidth: width, clientHeight: height } = this.space.holder;
    this.label.hidden = !this.group.visible || !this.head.mesh.visible || above.z > 1;
    const [x, y] = [((above.x + 1) / 2) * width, ((1 - above.y) / 2) * height];
    this.label.style.transform = `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px) translate(-50%, -100%)`;
  }
}
