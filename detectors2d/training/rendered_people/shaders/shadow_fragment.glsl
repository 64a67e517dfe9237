in vec2 texture_uv;
uniform sampler2D diffuse;
uniform bool cut_out;

void main() {
    if (cut_out && texture(diffuse, texture_uv).a < 0.35) discard;
}
