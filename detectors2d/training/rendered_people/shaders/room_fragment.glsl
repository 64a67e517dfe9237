// A box-shaped room seen from inside; where it has no ceiling, the panorama is its sky.

uniform sampler2DArray surfaces;  // floor, walls at -x, +x, -y, +y of the room's axes, ceiling
uniform float metres[6];          // side of each surface's square texture
uniform mat2 turn;                // from the world's x, y to the room's
uniform vec4 walls;               // where they are: -x, +x, -y, +y, m in the room's axes
uniform float height;             // m, of the walls
uniform bool ceiling;

void main() {
    vec3 d = view_direction();
    vec3 o = vec3(turn * camera.xy, camera.z), r = vec3(turn * d.xy, d.z);
    float tx = (r.x < 0.0 ? walls.x - o.x : walls.y - o.x) / r.x;
    float ty = (r.y < 0.0 ? walls.z - o.y : walls.w - o.y) / r.y;
    float tz = r.z < 0.0 ? -o.z / r.z : (ceiling ? (height - o.z) / r.z : 1e9);
    float t = min(min(tx, ty), tz);
    vec3 at = o + r * t, world = camera + d * t;

    vec2 uv = at.xy;
    vec3 normal = vec3(0, 0, -sign(r.z));
    int surface = r.z < 0.0 ? 0 : 5;
    // Upright and not mirrored, seen from inside.
    if (t == tx) {
        uv = vec2(-sign(r.x) * at.y, at.z);
        normal = vec3(-sign(r.x) * turn[0][0], -sign(r.x) * turn[1][0], 0);
        surface = r.x < 0.0 ? 1 : 2;
    } else if (t == ty) {
        uv = vec2(sign(r.y) * at.x, at.z);
        normal = vec3(-sign(r.y) * turn[0][1], -sign(r.y) * turn[1][1], 0);
        surface = r.y < 0.0 ? 3 : 4;
    }
    vec3 albedo = pow(texture(surfaces, vec3(uv / metres[surface], surface)).rgb, vec3(2.2));

    // Corners are darker: less of the room is seen from them.
    vec4 gaps = abs(vec4(at.x - walls.x, at.x - walls.y, at.y - walls.z, at.y - walls.w));
    float up = ceiling ? min(at.z, height - at.z) : at.z;
    vec3 far = vec3(min(gaps.x, gaps.y), min(gaps.z, gaps.w), up);
    vec3 dark = 0.35 * exp(-far / 0.25);
    if (t == tx) dark.x = 0.0;
    else if (t == ty) dark.y = 0.0;
    else dark.z = 0.0;
    float open = (1.0 - dark.x) * (1.0 - dark.y) * (1.0 - dark.z);

    float facing = max(dot(normal, key_direction), 0.0);
    float lit = key_visibility(world + normal * 0.01, 0.0015, 2.5);
    vec3 c = albedo * (irradiance(normal) * open + key_colour * facing * lit);
    if (surface == 0) {
        vec3 light = irradiance(normal) + key_colour * facing;
        c = albedo * light * open * floor_light(world);
    }
    if (!ceiling && (at.z > height || t > 1e8)) c = panorama_light(d);
    result = vec4(tone(c), 1);
}
