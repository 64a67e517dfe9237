in vec2 screen;
out vec4 result;
uniform sampler2D image;

void main() {
    result = vec4(texture(image, screen * 0.5 + 0.5).rgb, 0);
}
