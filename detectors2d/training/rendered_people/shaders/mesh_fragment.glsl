// Skin, cloth, hair: wrapped diffuse light, a highlight, a rim; alpha carries whose pixel it is.

in vec3 world_position;
in vec3 world_normal;
in vec2 texture_uv;
in vec3 vertex_colour;
out vec4 result;
uniform float figure;  // number of the figure, in steps of 20 / 255
uniform vec3 camera;
uniform sampler2D diffuse, normal_map, ao;
uniform bool has_diffuse, has_normal_map, has_ao, cut_out;
uniform vec3 tint;
uniform float specular, shininess, wrap, relief;

void main() {
    vec4 texel = vec4(vertex_colour, 1);
    if (has_diffuse) {
        texel = texture(diffuse, texture_uv);
        if (cut_out && texel.a < 0.35) discard;
    }
    vec3 albedo = pow(texel.rgb, vec3(2.2)) * tint;
    if (!has_diffuse) albedo = vertex_colour * tint;

    vec3 V = normalize(camera - world_position), N = normalize(world_normal);
    if (dot(N, V) < 0.0 && cut_out) N = -N;
    if (has_normal_map) {
        // The tangents from the derivatives on the screen.
        vec3 dx = dFdx(world_position), dy = dFdy(world_position);
        vec2 ux = dFdx(texture_uv), uy = dFdy(texture_uv);
        float det = ux.x * uy.y - ux.y * uy.x;
        if (abs(det) > 1e-12) {
            vec3 tangent = (dx * uy.y - dy * ux.y) / det;
            tangent = normalize(tangent - N * dot(N, tangent));
            vec3 bitangent = cross(N, tangent);
            vec3 towards_v = (dy * ux.x - dx * uy.x) / det;
            if (dot(bitangent, towards_v) < 0.0) bitangent = -bitangent;
            vec3 m = texture(normal_map, texture_uv).xyz * 2.0 - 1.0;
            N = normalize(tangent * m.x * relief + bitangent * m.y * relief + N * m.z);
        }
    }

    float occlusion = 1.0;
    if (has_ao) occlusion = mix(1.0, texture(ao, texture_uv).r, 0.8);
    occlusion *= mix(0.72, 1.0, smoothstep(-0.9, 0.6, N.z));
    float facing = dot(N, key_direction);
    float lit = key_visibility(world_position + normalize(world_normal) * 0.012, 0.0015, 1.3);
    float soft = max(0.0, (facing + wrap) / (1.0 + wrap));
    vec3 H = normalize(key_direction + V);
    float highlight = specular * pow(max(dot(N, H), 0.0), shininess) * step(0.0, facing);
    float rim = pow(1.0 - max(dot(N, V), 0.0), 4.0) * specular * 0.8;
    vec3 ambient = irradiance(N) * occlusion;
    vec3 light = albedo * (ambient + key_colour * soft * lit) + (highlight * key_colour * lit)
        + rim * irradiance(reflect(-V, N)) * occlusion;
    result = vec4(tone(light), figure);
}
