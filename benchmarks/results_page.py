"""The text of ``docs/results.md`` from what was measured; see ``benchmarks.results``."""

from __future__ import annotations

NAMES = {
    "mixste": "MixSTE",
    "liftformer": "LiftFormer",
    "poseformer": "PoseFormer",
    "poseformer-sta": "PoseFormer-STA",
    "strided": "Strided Transformer",
    "mlp": "single-frame MLP",
    "linear": "linear, one frame",
    "copy": "the true pose of 1 s ago",
}
KINDS = {"clean": "exact", "typical": "typical", "noisy": "severe"}
ROWS = {"native": "Native skeletons", "all": "All test clips"}
# Each is said to be better than the next in its paper, or about as good.
CLAIMS = (
    ("mixste", "poseformer-sta", "<"),
    ("poseformer-sta", "poseformer", "≤"),
    ("poseformer", "liftformer", "≈"),
    ("poseformer", "strided", "≈"),
    ("mixste", "mlp", "<"),
    ("liftformer", "mlp", "<"),
    ("poseformer", "mlp", "<"),
    ("poseformer-sta", "mlp", "<"),
    ("strided", "mlp", "<"),
)
ABOUT_AS_GOOD_MM = 2.0

INTRODUCTION = """# Results

Written by `python -m benchmarks.results`: all lifters on the same motion capture, {windows} windows
of subjects that no training has seen, each filmed by a virtual camera of its own. Errors are
relative to the hip, in mm over 17 joints; MPJVE is mm per frame at 30 frames/s. A mean over so many
windows is uncertain by about 1 mm.

The 2D is *exact*, or has a detector's errors. *Typical* are errors of position alone: constant on a
body, drifting and shaking, with a median of 1.75 % of the person's height. *Severe* is what the
lifters are trained on: such errors of changing size, hips, shoulders and nose displaced together,
sides exchanged, hidden limbs guessed, outliers, gaps that were interpolated
(`lifters3d/data/detector_noise.py`).

The shipped weights are compact networks, trained on two CPU cores within hours (`weights/*.md`);
those of the papers were trained on GPUs on Human3.6M. These tables compare what we ship, and the
papers' ideas only with care.
"""


def page(lifters: list[dict], kept: dict[str, dict], threads: int) -> str:
    """The page.

    Parameters
    ----------
    lifters : for each, ``lifter``, ``frames``, ``parameters``, ``flops``, ``shipped``, ``errors``
        and maybe ``frames_per_second``
    kept : with the baselines "mlp", "linear" and "copy"
    threads : of the CPU, on which speed was measured
    """
    lifters = sorted(lifters, key=lambda one: one["errors"]["all"]["noisy_p_mpjpe"])
    parts = [INTRODUCTION.format(windows=768), _costs(lifters, threads)]
    for rows, title in ROWS.items():
        parts.append(f"## {title}\n\n{_errors(lifters, kept, rows)}")
    parts += [_order(lifters, kept), _movement(lifters, kept)]
    return "\n".join(parts)


def _label(one: dict) -> str:
    mark = "" if one["shipped"] else " (not shipped)"
    return f"{NAMES[one['lifter']]}, T = {one['frames']}{mark}"


def _costs(lifters: list[dict], threads: int) -> str:
    lines = [
        "## What they cost\n",
        f"FLOPs of a frame, and frames a second on {threads} CPU threads, as whole videos are "
        "lifted: windows overlapping, the mirrored average included.\n",
        "| lifter | parameters | FLOPs a frame | frames a second |",
        "|---|---|---|---|",
    ]
    for one in lifters:
        speed = one.get("frames_per_second")
        lines.append(
            f"| {_label(one)} | {one['parameters'] / 1e6:.2f} M | {one['flops'] / 1e9:.2f} G | "
            f"{f'{speed:.0f}' if speed else ''} |"
        )
    return "\n".join(lines) + "\n"


def _errors(lifters: list[dict], kept: dict[str, dict], rows: str) -> str:
    measures = ("mpjpe", "p_mpjpe", "mpjve")
    lines = ["MPJPE / P-MPJPE / MPJVE:\n"]
    lines.append("| lifter | " + " | ".join(f"{kind} 2D" for kind in KINDS.values()) + " |")
    lines.append("|---|" + "---|" * len(KINDS))
    entries = [(_label(one), one["errors"][rows]) for one in lifters]
    entries += [(NAMES[name], kept[name]["errors"][rows]) for name in ("mlp", "linear")]
    best = {
        f"{kind}_{measure}": min(errors[f"{kind}_{measure}"] for _, errors in entries)
        for kind in KINDS
        for measure in measures
    }
    for label, errors in entries:
        cells = []
        for kind in KINDS:
            keys = [f"{kind}_{measure}" for measure in measures]
            texts = [f"{errors[key]:.1f}" for key in keys]
            cells.append(
                " / ".join(
                    f"**{text}**" if errors[key] == best[key] else text
                    for key, text in zip(keys, texts, strict=True)
                )
            )
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    copied = kept["copy"]["errors"][rows]
    cell = " / ".join(f"{copied[measure]:.1f}" for measure in measures)
    lines.append(f"| {NAMES['copy']} | {cell} (sees no 2D) | | |")
    return "\n".join(lines) + "\n"


def _order(lifters: list[dict], kept: dict[str, dict]) -> str:
    """Whether the order of the papers holds, for each pair of shipped lifters."""
    errors = {one["lifter"]: one["errors"]["all"] for one in lifters if one["shipped"]}
    errors["mlp"] = kept["mlp"]["errors"]["all"]
    lines = [
        "## Does the order of the papers hold?\n",
        "MixSTE < PoseFormer-STA ≤ PoseFormer ≈ LiftFormer ≈ Strided Transformer < one frame: "
        f"P-MPJPE on all test clips; ≈ is within {ABOUT_AS_GOOD_MM:.0f} mm, ≤ may miss by half of "
        "that.\n",
        "| claim | exact 2D | typical 2D | severe 2D |",
        "|---|---|---|---|",
    ]
    for left, right, sign in CLAIMS:
        cells = []
        for kind in KINDS:
            one, other = (errors[name][f"{kind}_p_mpjpe"] for name in (left, right))
            holds = {
                "<": one < other,
                "≤": one <= other + ABOUT_AS_GOOD_MM / 2,
                "≈": abs(one - other) <= ABOUT_AS_GOOD_MM,
            }[sign]
            cells.append(f"{'yes' if holds else '**no**'} ({one:.1f}, {other:.1f})")
        lines.append(f"| {NAMES[left]} {sign} {NAMES[right]} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _movement(lifters: list[dict], kept: dict[str, dict]) -> str:
    """How much smoother lifting over time is."""
    lines = [
        "## How much calmer is lifting over time?\n",
        "MPJVE of a lifter of single frames over that of each lifter, all test clips:\n",
        "| lifter | " + " | ".join(f"{kind} 2D" for kind in KINDS.values()) + " |",
        "|---|" + "---|" * len(KINDS),
    ]
    single = kept["mlp"]["errors"]["all"]
    for one in lifters:
        errors = one["errors"]["all"]
        cells = [f"{single[f'{kind}_mpjve'] / errors[f'{kind}_mpjve']:.1f}x" for kind in KINDS]
        lines.append(f"| {_label(one)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
