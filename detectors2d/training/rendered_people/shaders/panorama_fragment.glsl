// The panorama, and a floor of its colours with a pattern that has the sharpness it lacks.

uniform float pattern, floor_mix;  // pattern: 0 concrete, 1 slabs, 2 planks
uniform vec3 floor_colour;

void main() {
    vec3 d = view_direction();
    vec3 c = panorama_light(d);
    if (d.z < -0.002) {
        float s = -camera.z / d.z;
        vec3 G = camera + d * s;
        float far = smoothstep(5.0, 16.0, s);
        float footprint = length(dFdx(G.xy)) + length(dFdy(G.xy));  // of a pixel, m
        float coarse = fractal_noise(G.xy * 3.0);
        float middle = fractal_noise(G.xy * 37.0), fine = value_noise(G.xy * 230.0);
        float middle_seen = clamp(1.0 - footprint * 25.0, 0.0, 1.0);
        float fine_seen = clamp(1.0 - footprint * 160.0, 0.0, 1.0);
        float detail = 1.0 + 0.22 * (coarse - 0.5) + 0.35 * middle_seen * (middle - 0.5)
            + 0.25 * fine_seen * (fine - 0.5);
        if (pattern > 0.5 && pattern < 1.5) {
            vec2 g = G.xy / 0.6;
            vec2 e = abs(fract(g) - 0.5);
            float m = max(e.x, e.y);
            float w = max(footprint / 0.6, 0.006);
            float line = smoothstep(0.5 - 0.008 - w, 0.5 - 0.004, m);
            detail *= 1.0 - 0.35 * line * clamp(0.02 / w, 0.0, 1.0);
            detail *= 0.94 + 0.12 * hash(floor(g));
        }
        if (pattern > 1.5 && pattern < 2.5) {
            vec2 g = vec2(G.x / 0.14, G.y / 1.4);
            g.y += hash(vec2(floor(g.x), 3.0));
            vec2 e = abs(fract(g) - 0.5);
            float w = max(footprint / 0.14, 0.01);
            float line = smoothstep(0.5 - 0.02 - w, 0.5 - 0.01, e.x)
                + 0.7 * smoothstep(0.5 - 0.003 - footprint / 1.4, 0.499, e.y);
            detail *= 1.0 - 0.4 * clamp(line, 0.0, 1.0) * clamp(0.05 / w, 0.0, 1.0);
            detail *= 0.86 + 0.28 * hash(floor(g));
            detail *= 1.0 + 0.12 * (fractal_noise(vec2(G.x * 60.0, G.y * 3.0)) - 0.5);
        }
        vec3 up = irradiance(vec3(0, 0, 1)) + key_colour * max(key_direction.z, 0.0);
        vec3 ground = mix(c, floor_colour * up * 0.55, floor_mix);
        ground *= mix(detail, 1.0, far * 0.9);
        c = mix(ground, c, smoothstep(8.0, 22.0, s));
        c *= floor_light(G);
    }
    result = vec4(tone(c), 1);
}
