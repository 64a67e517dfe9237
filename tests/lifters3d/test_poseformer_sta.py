"""PoseFormer with attention modules, against its equations in plain NumPy."""

import numpy as np
import pytest
import torch
from scipy.special import erf

from lifters3d.poseformer_sta import PoseFormerSTA
from tests.filling import filled

JOINTS, WIDTH, HEADS = 17, 8, 4


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def small(**config) -> PoseFormerSTA:
    lifter = PoseFormerSTA(**{"frames": 9, "width": WIDTH, "depth": 2, "heads": HEADS} | config)
    state = {k: torch.from_numpy(filled(k, v.shape)) for k, v in lifter.state_dict().items()}
    lifter.load_state_dict(state)
    return lifter.double().eval()


@pytest.mark.parametrize(
    ("reading", "frames", "parameters"),
    [
        # The paper: 9.85, 9.86, 9.86 M. The spatial head (99) serves the training alone.
        ("grouped", 9, 9_835_763),
        ("grouped", 27, 9_845_555),
        ("grouped", 81, 9_874_931),
        ("depthwise", 9, 9_587_187),
        ("depthwise", 27, 9_596_979),
        ("depthwise", 81, 9_626_355),
    ],
)
def test_parameter_counts(reading, frames, parameters):
    with torch.device("meta"):
        lifter = PoseFormerSTA(frames, reading=reading)
    assert not hasattr(lifter, "weighted_mean")
    head = sum(p.numel() for p in lifter.spatial_head.parameters())
    assert head == 99
    assert sum(p.numel() for p in lifter.parameters()) == parameters + head


# The equations, token by token. Tensors of a block by name, as float64 arrays.


def layer_norm(x, weights, name, eps):
    centred = x - x.mean(axis=-1, keepdims=True)
    deviation = np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + eps)
    return centred / deviation * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def linear(x, weights, name):
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def gelu(x):
    return x * (1 + erf(x / np.sqrt(2))) / 2


def self_attention(x, weights):
    """(L, C)."""
    query, key, value = np.split(linear(x, weights, "attn.qkv"), 3, axis=1)
    heads = []
    for part in np.split(np.arange(x.shape[1]), HEADS):
        scores = query[:, part] @ key[:, part].T / np.sqrt(len(part))
        share = np.exp(scores - scores.max(axis=1, keepdims=True))
        heads.append(share / share.sum(axis=1, keepdims=True) @ value[:, part])
    return linear(np.concatenate(heads, axis=1), weights, "attn.proj")


def sam_convolution(y, weights, name, reading):
    """(J, c) along the joints: kernel 5, all features together or each by itself."""
    kernel, out = weights[f"{name}.weight"], np.zeros_like(y)
    for joint in range(len(y)):
        out[joint] = weights[f"{name}.bias"]
        for tap in range(5):
            other = joint + tap - 2
            if 0 <= other < len(y) and reading == "grouped":
                out[joint] += kernel[:, :, tap] @ y[other]
            elif 0 <= other < len(y):
                out[joint] += kernel[:, 0, tap] * y[other]
    return out


def tam_convolution(y, weights, name, reading):
    """(T, J, c) along the frames: kernel 3, all joints of a feature, or each by itself."""
    frames, joints, features = y.shape
    kernel = weights[f"{name}.weight"].reshape(features, joints, -1, 3)
    bias = weights[f"{name}.bias"].reshape(features, joints)
    out = np.zeros_like(y)
    for t in range(frames):
        for feature in range(features):
            out[t, :, feature] = bias[feature]
            for tap in range(3):
                other = t + tap - 1
                if 0 <= other < frames and reading == "grouped":
                    out[t, :, feature] += kernel[feature, :, :, tap] @ y[other, :, feature]
                elif 0 <= other < frames:
                    out[t, :, feature] += kernel[feature, :, 0, tap] * y[other, :, feature]
    return out


def attention_module(y, weights, convolution, reading, as_norm):
    """y + Conv(GroupNorm(GELU(Conv(y)))), one group: mean and deviation of everything.

    ``as_norm`` lays the norm's gains and biases (C,) out like the features.
    """
    x = gelu(convolution(y, weights, "module.conv_a", reading))
    x = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
    x = x * as_norm(weights["module.norm.weight"]) + as_norm(weights["module.norm.bias"])
    return y + convolution(x, weights, "module.conv_b", reading)


def block(x, weights, attention_module):
    x = x + self_attention(layer_norm(x, weights, "norm1", 1e-6), weights)
    y = attention_module(layer_norm(x, weights, "norm2", 1e-6))
    return x + linear(gelu(linear(y, weights, "mlp.fc1")), weights, "mlp.fc2")


def arrays(module: torch.nn.Module) -> dict[str, np.ndarray]:
    return {key: value.numpy() for key, value in module.state_dict().items()}


@pytest.mark.parametrize("reading", ["grouped", "depthwise"])
def test_spatial_block_follows_its_equations(reading):
    module = small(reading=reading).Spatial_blocks[1]
    weights, x = arrays(module), torch.randn(2, JOINTS, WIDTH, dtype=torch.float64)

    def sam(y):
        return attention_module(y, weights, sam_convolution, reading, lambda c: c)

    expected = np.stack([block(frame, weights, sam) for frame in x.numpy()])
    np.testing.assert_allclose(module(x).detach().numpy(), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("reading", ["grouped", "depthwise"])
def test_temporal_block_follows_its_equations(reading):
    module = small(reading=reading).blocks[1]
    weights, x = arrays(module), torch.randn(2, 9, JOINTS * WIDTH, dtype=torch.float64)

    def tam(y):
        y = y.reshape(9, JOINTS, WIDTH)
        mixed = attention_module(
            y, weights, tam_convolution, reading, lambda c: c.reshape(WIDTH, JOINTS).T
        )
        return mixed.reshape(9, JOINTS * WIDTH)

    expected = np.stack([block(window, weights, tam) for window in x.numpy()])
    np.testing.assert_allclose(module(x).detach().numpy(), expected, rtol=0, atol=1e-10)


def changed(convolution, module, y, position, channel) -> tuple[set[int], set[int]]:
    """Channels and positions of a convolution's output that one number of ``y`` (L, C) reaches."""
    seen = []
    hook = convolution.register_forward_hook(lambda module, inputs, output: seen.append(output[0]))
    other = y.clone()
    other[position, channel] += 1
    module(y[None])
    module(other[None])
    hook.remove()
    channels, positions = (seen[1] - seen[0]).abs().gt(1e-9).nonzero(as_tuple=True)
    return set(channels.tolist()), set(positions.tolist())


def test_a_temporal_group_is_one_feature_of_all_joints():
    module = small().blocks[0].module
    joint, feature = 5, 3
    y = torch.randn(9, JOINTS * WIDTH, dtype=torch.float64)
    channels, frames = changed(module.conv_a, module, y, 4, joint * WIDTH + feature)
    assert channels == set(range(feature * JOINTS, (feature + 1) * JOINTS))
    assert frames == {3, 4, 5}


def test_depthwise_convolutions_mix_nothing():
    module = small(reading="depthwise").blocks[0].module
    joint, feature = 5, 3
    y = torch.randn(9, JOINTS * WIDTH, dtype=torch.float64)
    channels, frames = changed(module.conv_a, module, y, 4, joint * WIDTH + feature)
    assert channels == {feature * JOINTS + joint}
    assert frames == {3, 4, 5}


def test_spatial_convolutions_mix_all_features_of_neighbours():
    module = small().Spatial_blocks[0].module
    y = torch.randn(JOINTS, WIDTH, dtype=torch.float64)
    assert changed(module.conv_a, module, y, 1, 3) == (set(range(WIDTH)), {0, 1, 2, 3})


def test_the_pose_is_the_centre_frames():
    lifter, x = small(), torch.randn(2, 9, JOINTS, 2, dtype=torch.float64)
    mixed = lifter.temporal(lifter.encode_frames(x.flatten(0, 1)).unflatten(0, (2, 9)))
    expected = lifter.head(mixed[:, 4]).view(2, 1, JOINTS, 3)
    torch.testing.assert_close(lifter(x), expected, rtol=0, atol=1e-10)
    _, full, _ = lifter.forward_training(x)
    torch.testing.assert_close(full[:, 4:5], expected, rtol=0, atol=1e-10)


def test_spatial_poses_know_their_own_frame_alone():
    lifter, x = small(), torch.randn(2, 9, JOINTS, 2, dtype=torch.float64)
    other = x.clone()
    other[:, 3] += 1
    spatial, moved = (lifter.forward_training(keypoints)[2] for keypoints in (x, other))
    assert spatial.shape == (2, 9, JOINTS, 3)
    differs = (moved - spatial).abs().amax(dim=(0, 2, 3)) > 1e-9
    assert differs.nonzero().flatten().tolist() == [3]
    # The spatial head: one linear layer for all joints.
    token = lifter.encode_frames(x[0, :1]).view(JOINTS, WIDTH)
    torch.testing.assert_close(lifter.spatial_head(token), spatial[0, 0], rtol=0, atol=1e-10)
