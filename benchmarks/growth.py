"""Growth solver against the Fisher-Kolmogorov equation set of TumorGrowthToolkit in plain numpy.

TumorGrowthToolkit (github.com/m1balcerak/TumorGrowthToolkit) solves du/dt = div(D grad u) + rho u (1 - u) with
D = D_white (white + grey / ratio), arithmetic means of D on the faces and forward Euler over the whole brain. The same
equation is written here anew in numpy. Both solvers get the same tissue, seed, grid and number of
steps (its rule, 8 D T / h^2 + 100), so their accuracy is equal; each is also compared with itself at a quarter of the
step.

    python benchmarks/growth.py
"""

import time

import numpy as np
from numpy.typing import NDArray

from flame.physics.anatomy import template
from flame.physics.growth import Biology, Stepping, advance, diffusivity, empty_state, make_medium, seeded

DAYS = 400.0
SPACING_MM = 2.0
BIOLOGY = Biology(diffusion_white=0.13, rho=0.02, white_grey_ratio=10.0, necrosis_rate=0.0)
Field = NDArray[np.float32]


def numpy_step(u: Field, faces: list[Field], rho_dt: float) -> Field:
    """One forward Euler step on the whole grid; `faces` are face diffusivities times dt / h^2."""
    change = rho_dt * u * (1 - u)
    for axis, face in enumerate(faces):
        flux = face * (np.roll(u, -1, axis) - u)
        change += flux - np.roll(flux, 1, axis)
    return u + change


def numpy_solver(diffusion: Field, start: Field, steps: int) -> Field:
    """Fisher-Kolmogorov over DAYS in plain numpy; flux into places where nothing diffuses is zero."""
    dt = DAYS / steps
    faces = []
    for axis in range(3):
        after = np.roll(diffusion, -1, axis)
        mean = np.where((diffusion > 0) & (after > 0), (diffusion + after) / 2, 0)
        faces.append((mean * dt / SPACING_MM**2).astype(np.float32))
    u = start
    for _ in range(steps):
        u = numpy_step(u, faces, BIOLOGY.rho * dt)
    return u


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Overlap of two masks."""
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


def main() -> None:
    """Run both solvers and print Dice and times."""
    tissue = template(SPACING_MM)
    open_space = ~tissue.brain | (tissue.csf > 0.5)
    diffusion = diffusivity(tissue.wm, tissue.gm, open_space, BIOLOGY)
    medium = make_medium(diffusion, tissue.brain, SPACING_MM, BIOLOGY)
    nx, ny, nz = tissue.brain.shape
    white = np.argwhere((tissue.wm > 0.9) & (diffusion > 0))
    aim = np.array([0.3 * nx, 0.55 * ny, 0.6 * nz])
    x, y, z = white[((white - aim) ** 2).sum(1).argmin()]
    start = seeded(empty_state((nx, ny, nz)), medium, (int(x), int(y), int(z)), 3.0)
    steps = int(8 * BIOLOGY.diffusion_white * DAYS / SPACING_MM**2 + 100)
    ours = {}
    for refine in (1, 4):
        stepping = Stepping(max_step_days=DAYS / steps / refine, safety=1.0)
        advance(start, medium, BIOLOGY, 1.0, stepping=stepping)
        begin = time.process_time()
        ours[refine] = advance(start, medium, BIOLOGY, DAYS, stepping=stepping).viable
        if refine == 1:
            our_time = time.process_time() - begin
    theirs = {}
    for refine in (1, 4):
        begin = time.process_time()
        theirs[refine] = numpy_solver(diffusion, start.viable, steps * refine)
        if refine == 1:
            their_time = time.process_time() - begin
    print(f"{DAYS:.0f} days, grid {nx} x {ny} x {nz} at {SPACING_MM} mm, {steps} steps")
    for name, threshold in (("T1ce, u > 0.8", 0.8), ("FLAIR, u > 0.16", 0.16)):
        agreement = dice(ours[1] > threshold, theirs[1] > threshold)
        self_ours = dice(ours[1] > threshold, ours[4] > threshold)
        self_theirs = dice(theirs[1] > threshold, theirs[4] > threshold)
        print(
            f"{name}: Dice between solvers {agreement:.3f}; with own quarter step: "
            f"ours {self_ours:.4f}, numpy {self_theirs:.4f}"
        )
    print(f"CPU seconds: numpy {their_time:.2f}, ours {our_time:.2f}, ratio {their_time / our_time:.1f}")


if __name__ == "__main__":
    main()
