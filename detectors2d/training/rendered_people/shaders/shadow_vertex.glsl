in vec3 position;
in vec2 uv;
uniform mat4 clip_matrix;
out vec2 texture_uv;

void main() {
    texture_uv = uv;
    gl_Position = clip_matrix * vec4(position, 1);
}
