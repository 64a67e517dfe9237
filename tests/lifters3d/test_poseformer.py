"""PoseFormer's sizes and its way to the centre frame; see ``test_parity`` for the authors' own."""

import pytest
import torch

from lifters3d.poseformer import PoseFormer
from tests.filling import filled


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def small(**config) -> PoseFormer:
    lifter = PoseFormer(**{"frames": 9, "width": 8, "depth": 3, "heads": 4} | config)
    state = {k: torch.from_numpy(filled(k, v.shape)) for k, v in lifter.state_dict().items()}
    lifter.load_state_dict(state)
    return lifter.eval()


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        # The paper: 9.58, 9.59, 9.60 M.
        ({"frames": 9}, 9_563_645),
        ({"frames": 27}, 9_573_455),
        ({"frames": 81}, 9_602_885),
        ({"frames": 9, "variant": "demo"}, 9_563_635),
    ],
)
def test_parameter_counts(config, parameters):
    with torch.device("meta"):
        lifter = PoseFormer(**config)
    assert sum(p.numel() for p in lifter.parameters()) == parameters


def test_embeddings_start_from_zero():
    lifter = PoseFormer(9, width=8, depth=1)
    assert not lifter.Spatial_pos_embed.any()
    assert not lifter.Temporal_pos_embed.any()


def test_the_pose_is_read_from_a_weighted_mean_of_the_frames():
    lifter, x = small(), torch.randn(2, 9, 17, 2)
    tokens = lifter.encode_frames(x.flatten(0, 1)).unflatten(0, (2, 9))
    mixed = lifter.temporal(tokens)
    weight = lifter.weighted_mean.weight.flatten()
    mean = sum(weight[t] * mixed[:, t] for t in range(9)) + lifter.weighted_mean.bias
    expected = lifter.head(mean).view(2, 1, 17, 3)
    torch.testing.assert_close(lifter(x), expected, rtol=0, atol=1e-5)


def test_a_frames_token_holds_joint_after_joint():
    """Before any attention over joints: features of joint j at j * width."""
    lifter, x = small(), torch.randn(1, 17, 2)
    lifter.Spatial_blocks = lifter.Spatial_blocks[:0]
    embedded = lifter.Spatial_patch_to_embedding(x) + lifter.Spatial_pos_embed
    token = lifter.encode_frames(x)[0]
    for joint in range(17):
        feature = lifter.Spatial_norm(embedded[0, joint])
        torch.testing.assert_close(token[8 * joint : 8 * joint + 8], feature, rtol=0, atol=1e-5)


def test_the_demo_gives_every_frames_pose_from_its_own_token():
    lifter, x = small(variant="demo"), torch.randn(2, 9, 17, 2)
    assert not hasattr(lifter, "weighted_mean")
    mixed = lifter.temporal(lifter.encode_frames(x.flatten(0, 1)).unflatten(0, (2, 9)))
    expected = torch.stack([lifter.head(mixed[:, t]) for t in range(9)], dim=1)
    torch.testing.assert_close(lifter(x), expected.view(2, 9, 17, 3), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("variant", "eps"), [("paper", 1e-6), ("demo", 1e-5)])
def test_epsilons(variant, eps):
    lifter = small(variant=variant)
    norms = [lifter.Spatial_norm, lifter.Temporal_norm]
    for block in [*lifter.Spatial_blocks, *lifter.blocks]:
        norms += [block.norm1, block.norm2]
    assert len(norms) == 14
    assert {norm.eps for norm in norms} == {eps}
    assert lifter.head[0].eps == 1e-5


def test_drop_path_grows_with_depth_in_each_stack():
    lifter = small(drop_path=0.2)
    for blocks in (lifter.Spatial_blocks, lifter.blocks):
        assert [block.drop_path.rate for block in blocks] == pytest.approx([0, 0.1, 0.2])


def test_training_poses_of_all_frames_share_the_head():
    lifter, x = small(), torch.randn(2, 9, 17, 2)
    mixed = lifter.temporal(lifter.encode_frames(x.flatten(0, 1)).unflatten(0, (2, 9)))
    _, full = lifter.forward_training(x)
    expected = torch.stack([lifter.head(mixed[:, t]) for t in range(9)], dim=1)
    torch.testing.assert_close(full, expected.view(2, 9, 17, 3), rtol=0, atol=1e-5)
