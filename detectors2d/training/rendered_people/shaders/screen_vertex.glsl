// The whole screen, behind everything.

in vec2 corner;
out vec2 screen;  // -1 to 1, y up

void main() {
    screen = corner;
    gl_Position = vec4(corner, 0.9999, 1);
}
