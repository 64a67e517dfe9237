// Rays of the camera, the panorama they meet, noise, and the shadows on what stands below people.

in vec2 screen;
out vec4 result;
uniform mat3 inverse_intrinsics, rotation_transposed;
uniform vec3 camera;
uniform vec2 size;
uniform sampler2D panorama;
uniform float yaw, exposure;
uniform vec4 spheres[48];  // feet, knees, hips, chests: centre and radius
uniform int sphere_count;

vec3 view_direction() {
    vec2 pixel = vec2((screen.x * 0.5 + 0.5) * size.x, (0.5 - screen.y * 0.5) * size.y);
    return normalize(rotation_transposed * (inverse_intrinsics * vec3(pixel, 1)));
}

vec4 cubic_weights(float v) {
    vec4 n = vec4(1, 2, 3, 4) - v, s = n * n * n;
    float x = s.x, y = s.y - 4.0 * s.x, z = s.z - 4.0 * s.y + 6.0 * s.x;
    return vec4(x, y, z, 6.0 - x - y - z) / 6.0;
}

// Bicubic (B-spline): bilinear would show the panorama's coarse pixels.
vec3 panorama_texel(vec2 t) {
    vec2 texels = vec2(textureSize(panorama, 0));
    t = t * texels - 0.5;
    vec2 f = fract(t);
    t -= f;
    vec4 xc = cubic_weights(f.x), yc = cubic_weights(f.y);
    vec4 c = t.xxyy + vec2(-0.5, 1.5).xyxy;
    vec4 s = vec4(xc.xz + xc.yw, yc.xz + yc.yw);
    vec4 at = (c + vec4(xc.yw, yc.yw) / s) / texels.xxyy;
    float sx = s.x / (s.x + s.y), sy = s.z / (s.z + s.w);
    return mix(
        mix(textureLod(panorama, at.yw, 0).rgb, textureLod(panorama, at.xw, 0).rgb, sx),
        mix(textureLod(panorama, at.yz, 0).rgb, textureLod(panorama, at.xz, 0).rgb, sx),
        sy);
}

// Linear light from direction d; how the files are coded is in assets.py.
vec3 panorama_light(vec3 d) {
    vec2 t = vec2(
        fract((yaw - atan(d.y, d.x)) / 6.2831853), acos(clamp(d.z, -1.0, 1.0)) / 3.14159265);
    return pow(panorama_texel(t), vec3(2.4)) * 24.0 * exposure;
}

float hash(vec2 p) {
    vec3 p3 = fract(vec3(p.xyx) * 0.1031);
    p3 += dot(p3, p3.yzx + 33.33);
    return fract((p3.x + p3.y) * p3.z);
}

float value_noise(vec2 p) {
    vec2 i = floor(p), f = fract(p);
    f = f * f * (3.0 - 2.0 * f);
    return mix(
        mix(hash(i), hash(i + vec2(1, 0)), f.x),
        mix(hash(i + vec2(0, 1)), hash(i + vec2(1, 1)), f.x),
        f.y);
}

float fractal_noise(vec2 p) {
    return 0.5 * value_noise(p) + 0.25 * value_noise(p * 2.1 + 7.0)
        + 0.15 * value_noise(p * 4.3 + 3.0) + 0.1 * value_noise(p * 9.1);
}

// How much light is left on the floor at a point near people: contact and cast shadow.
float floor_light(vec3 ground) {
    float open = 1.0;
    for (int i = 0; i < sphere_count; i++) {
        vec3 v = spheres[i].xyz - ground;
        float r = spheres[i].w, l2 = dot(v, v);
        if (l2 < 2.0) {
            float l = sqrt(l2);
            open *= 1.0 - clamp(v.z / l * r * r / max(l2, r * r), 0.0, 1.0) * 0.85;
        }
    }
    float lit = key_visibility(ground, 0.0006, 3.2);
    float direct = dot(key_colour, vec3(1)) * max(key_direction.z, 0.0);
    float ambient = dot(irradiance(vec3(0, 0, 1)), vec3(1));
    return (ambient * open + direct * lit) / (ambient + direct);
}
