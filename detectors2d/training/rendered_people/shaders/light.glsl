// Light of a panorama as spherical harmonics, one key light with a shadow map, tone mapping.

uniform vec3 key_direction, key_colour;
uniform vec3 irradiance_sh[9];
uniform sampler2DShadow shadow_map;
uniform mat4 shadow_matrix;
uniform float shadow_texel;

// Irradiance / pi on a surface with unit normal n.
vec3 irradiance(vec3 n) {
    return max(vec3(0), irradiance_sh[0] * 0.282095
        + irradiance_sh[1] * 0.488603 * n.y
        + irradiance_sh[2] * 0.488603 * n.z
        + irradiance_sh[3] * 0.488603 * n.x
        + irradiance_sh[4] * 1.092548 * n.x * n.y
        + irradiance_sh[5] * 1.092548 * n.y * n.z
        + irradiance_sh[6] * 0.315392 * (3.0 * n.z * n.z - 1.0)
        + irradiance_sh[7] * 1.092548 * n.x * n.z
        + irradiance_sh[8] * 0.546274 * (n.x * n.x - n.y * n.y));
}

// How much of the key light reaches a point: 0 to 1, the mean of 5 x 5 looks into the map.
float key_visibility(vec3 point, float bias, float radius) {
    vec4 clip = shadow_matrix * vec4(point, 1);
    vec3 s = clip.xyz * 0.5 + 0.5;
    if (any(lessThan(s.xy, vec2(0.0))) || any(greaterThan(s.xy, vec2(1.0)))) return 1.0;
    float sum = 0.0;
    for (int i = -2; i <= 2; i++)
        for (int j = -2; j <= 2; j++)
            sum += texture(shadow_map, vec3(s.xy + vec2(i, j) * shadow_texel * radius, s.z - bias));
    return sum / 25.0;
}

// Linear light to sRGB-like values: Reinhard's curve with white at 2.2, gamma 2.2.
vec3 tone(vec3 c) {
    c = c * (1.0 + c / (2.2 * 2.2)) / (1.0 + c);
    return pow(clamp(c, 0.0, 1.0), vec3(1.0 / 2.2));
}
