in vec3 position;
in vec3 normal;
in vec2 uv;
in vec3 colour;
uniform mat4 clip_matrix;
out vec3 world_position;
out vec3 world_normal;
out vec2 texture_uv;
out vec3 vertex_colour;

void main() {
    world_position = position;
    world_normal = normal;
    texture_uv = uv;
    vertex_colour = colour;
    gl_Position = clip_matrix * vec4(position, 1);
}
