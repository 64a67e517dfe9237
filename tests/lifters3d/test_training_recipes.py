import math

import pytest

from lifters3d.training.recipes import Recipe, changed, described, parsed, recipe_of, variants
from lifters3d.training.schedule import rate_at
from weights.errors import Pose3dError


@pytest.mark.parametrize(
    ("lifter", "variant", "values"),
    [
        ("poseformer", "code", ("adamw", 0.1, 1e-4, 0.99, 200, 512, "mpjpe")),
        ("poseformer", "paper", ("adam", 0.1, 2e-4, 0.98, 130, 1024, "mpjpe")),
        ("mixste", "code", ("adamw", 0.1, 4e-5, 0.99, 120, 4, "mixste")),
        ("mixste", "paper", ("adam", 0.0, 4e-5, 0.99, 120, 4, "mixste-paper")),
        ("strided", "code", ("amsgrad", 0.0, 1e-3, 0.95, 20, 256, "full-to-single")),
        ("liftformer", "paper", ("adam", 0.0, 12.0, 0.99, 80, 1536, "mpjpe")),
        ("poseformer-sta", "paper", ("adam", 0.0, 1e-3, 0.95, 130, 1024, "spatial-auxiliary")),
    ],
)
def test_recipes_of_the_authors(lifter, variant, values):
    """The numbers of the papers and of the released code."""
    recipe = recipe_of(lifter, variant)
    assert (recipe.normalisation, recipe.joints) == ("screen", "h36m")
    found = (
        recipe.optimiser,
        recipe.weight_decay,
        recipe.learning_rate,
        recipe.decay,
        recipe.epochs,
        recipe.batch,
        recipe.loss,
    )
    assert found == values


def test_batches_follow_the_receptive_field():
    batches = [recipe_of("liftformer", "paper", frames).batch for frames in (27, 81, 243)]
    assert batches == [5120, 3072, 1536]
    assert recipe_of("mixste", "code", 81).batch == 12  # 1024 frames


def test_only_three_have_released_code():
    assert [name for name in ("poseformer", "mixste", "strided") if "code" in variants(name)] == [
        "poseformer",
        "mixste",
        "strided",
    ]
    for name in ("liftformer", "poseformer-sta"):
        assert variants(name) == ["paper", "pose3d"]


def rates(recipe: Recipe, epochs: int) -> list[float]:
    return [rate_at(recipe, 10 * epoch, 10) for epoch in range(epochs)]


def test_exponential_schedules():
    assert rates(recipe_of("poseformer", "code"), 3) == pytest.approx([1e-4, 0.99e-4, 0.9801e-4])
    sta = rates(recipe_of("poseformer-sta", "paper"), 5)
    assert sta == pytest.approx([1e-3, 1e-3, 0.95e-3, 0.95e-3, 0.9025e-3])


def test_schedule_of_the_strided_transformer():
    """0.95 after every epoch, 0.5 instead after the fifth, tenth, ..."""
    factors = [0.95, 0.95, 0.95, 0.95, 0.5, 0.95, 0.95, 0.95, 0.95, 0.5, 0.95]
    wanted = [1e-3 * math.prod(factors[:epoch]) for epoch in range(12)]
    assert rates(recipe_of("strided", "code"), 12) == pytest.approx(wanted)


def test_noam_peaks_where_it_should():
    """LiftFormer, d = 512: the peak of 12 d^-0.5 min(s^-0.5, s 1000^-1.5) is 0.0168 at s = 1000."""
    recipe = recipe_of("liftformer", "paper")
    values = [rate_at(recipe, step, 10, width=512) for step in range(3000)]
    assert max(values) == pytest.approx(0.0168, abs=5e-5)
    assert values.index(max(values)) == 999
    assert values[499] == pytest.approx(values[999] / 2, rel=1e-6)
    assert values[2999] == pytest.approx(values[999] / 3**0.5, rel=1e-6)


def test_cosine():
    recipe = changed(
        recipe_of("liftformer", "pose3d"), {"warmup": 100, "epochs": 10, "learning_rate": 1.0}
    )
    values = [rate_at(recipe, step, 100) for step in range(1001)]
    assert values[0] == pytest.approx(0.01)
    assert values[99] == values[100] == 1
    assert values[550] == pytest.approx(0.51)
    assert values[1000] == pytest.approx(0.02)


def test_what_is_shown_can_be_given_back():
    recipe = recipe_of("mixste", "code", 27)
    assert changed(Recipe(frames=27), parsed(described(recipe))) == recipe


def test_changes():
    recipe = recipe_of("mixste", "pose3d")
    other = changed(recipe, parsed(['network={"width": 8}', "learning-rate=1", "loss=mpjpe"]))
    assert other.network == recipe.network | {"width": 8}
    assert (other.learning_rate, other.loss) == (1.0, "mpjpe")
    assert recipe_of("mixste", "pose3d").network["width"] == 192


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ("epoch=3", "no 'epoch'; did you mean epochs?"),
        ("epochs=0", "epochs: 0 is not between 1 and"),
        ("epochs=2.5", "epochs: 2.5 is not a whole number"),
        ("epochs=true", "epochs: True is not a whole number"),
        ("epochs=NaN", "not a whole number"),
        ("learning_rate=NaN", "learning_rate: nan is not between"),
        ("learning_rate=fast", "learning_rate: 'fast' is not a number"),
        ("loss=l1", "loss: 'l1' is none of mpjpe"),
        ("network=256", "network: 256 is not a JSON object"),
        ("optimiser=[1]", "optimiser: [1] is none of adamw"),
        ("seed", "'seed': expected NAME=VALUE"),
    ],
)
def test_wrong_values(pair, words):
    with pytest.raises(Pose3dError) as caught:
        changed(Recipe(), parsed([pair]))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_recipes():
    with pytest.raises(Pose3dError, match=r"liftformer has no recipe 'code': choose one of paper"):
        recipe_of("liftformer", "code")
    with pytest.raises(Pose3dError, match=r"did you mean mixste\?"):
        recipe_of("mixte", "code")


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ("frames=9", "frames: other parts of a recipe hang on it; give --frames"),
        ("lifter=mixste", "lifter: other parts of a recipe hang on it; give --lifter"),
        ('network={"frames": 27}', "network: frames is told by the lifter"),
        ("seed=99999999999999999999", "seed: 99999999999999999999 is not between 0 and"),
    ],
)
def test_values_that_others_hang_on(pair, words):
    with pytest.raises(Pose3dError) as caught:
        changed(recipe_of("strided", "paper"), parsed([pair]))
    assert words in str(caught.value)
