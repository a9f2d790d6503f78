"""What a study may claim: intervals over images and seeds, many rows against one baseline, what could be seen."""

import math
import os
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from study_factory import add_job, boxes

import lightdet.cli.main as cli
from lightdet.core.errors import LightdetError
from lightdet.core.files import write_json
from lightdet.metric.bootstrap import MEANS, draw, interval, mean_precisions
from lightdet.metric.match_record import match_records
from lightdet.metric.paired import (
    detectable_over_images,
    detectable_over_seeds,
    holm,
    over_images_and_seeds,
    p_value,
    student,
    widened,
)
from lightdet.report.comparison import Comparer, Comparison, adjusted
from lightdet.report.difference import Difference, Gap, Measured, judged
from lightdet.report.rows import read_study
from lightdet.report.seeds import seed_tables
from lightdet.runs.folder import RunFolder
from lightdet.runs.jobs import read_jobs

# ---------------------------------------------------------------- intervals


def test_the_interval_over_images_is_that_of_scipy() -> None:
    pair = [match_records(boxes(skill, seed, images=40), 3) for skill, seed in ((0.8, 1), (0.5, 2))]

    def difference(drawn: np.ndarray, axis: int) -> np.ndarray:
        counts = np.apply_along_axis(np.bincount, -1, np.atleast_2d(drawn), minlength=40)
        mine, theirs = (mean_precisions(records, counts)[:, 0] for records in pair)
        return (mine - theirs).reshape(drawn.shape[:-1])

    theirs = stats.bootstrap(
        (np.arange(40),), difference, n_resamples=4000, method="percentile", rng=np.random.default_rng(3)
    ).confidence_interval
    counts = np.concatenate([np.ones((1, 40), np.int64), draw(40, 4000)])
    sides = []
    for records in pair:
        full, *resampled = mean_precisions(records, counts)
        sides.append(Measured(40, "", "", MEANS, full, np.stack(resampled)))
    found = judged([[Gap.between(*sides)]], [1.0])["map50"]
    width = theirs.high - theirs.low
    assert width > 0.05
    np.testing.assert_allclose(found.over_images, [theirs.low, theirs.high], atol=0.06 * width)
    assert found.image_error == pytest.approx(width / 3.92, rel=0.1)


def test_resampled_seeds_are_those_of_scipy_before_they_are_stretched() -> None:
    pairs = np.random.default_rng(0).normal(0.02, 0.01, 12)
    theirs = stats.bootstrap(
        (pairs,), np.mean, n_resamples=9999, method="percentile", rng=np.random.default_rng(3)
    ).confidence_interval
    both = over_images_and_seeds([np.repeat(pairs[:, None], 9999, axis=1)])
    found = pairs.mean() + (np.array(interval(both)) - pairs.mean()) / (widened(12) * student(11) / student(math.inf))
    np.testing.assert_allclose(found, [theirs.low, theirs.high], atol=2e-4)


def test_few_seeds_are_stretched_as_student_says() -> None:
    assert (widened(3), student(2)) == pytest.approx((math.sqrt(3 / 2), 4.302653), rel=1e-6)
    assert (widened(5), student(4)) == pytest.approx((math.sqrt(5 / 4), 2.776445), rel=1e-6)
    assert widened(2000) * student(1999) / student(math.inf) == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("pairs", [(3, 3, 3, 3), (2, 10), (2, 2, 10)])
def test_an_effect_over_settings_with_uneven_seeds_holds_the_truth_as_often_as_it_says(pairs: tuple[int, ...]) -> None:
    """True effect 0 in every setting, trainings that differ by 1: 0.887 for (2, 10) with a spread of each setting."""
    random, held = np.random.default_rng(0), 0
    for _ in range(600):
        groups = [np.repeat(random.normal(0, 1, (count, 1)), 400, axis=1) for count in pairs]
        low, high = interval(over_images_and_seeds(groups, [1 / len(pairs)] * len(pairs)))
        held += low <= 0 <= high
    assert 0.92 <= held / 600 <= 0.97


@pytest.mark.parametrize(("spread", "least", "most"), [(1.0, 0.92, 0.98), (0.0, 0.9, 1.0)])
def test_an_interval_over_three_seeds_holds_the_truth_as_often_as_it_says(
    spread: float, least: float, most: float
) -> None:
    """True difference 0; images that differ by 1 each (their mean by 0.13), trainings by `spread`."""
    random, studies, images, seeds, resamples = np.random.default_rng(0), 400, 60, 3, 400
    held = images_alone = 0
    shares = draw(images, resamples) / images
    for _ in range(studies):
        values = random.normal(0, 1, images) + random.normal(0, spread, (seeds, 1))
        resampled = values @ shares.T
        low, high = interval(over_images_and_seeds([resampled]))
        held += low <= 0 <= high
        low, high = interval(resampled.mean(axis=0))
        images_alone += low <= 0 <= high
    assert least <= held / studies <= most
    if spread:
        assert images_alone / studies < 0.5, "an interval over images alone claims too much"


def test_seeds_with_images_of_their_own_are_resampled_independently(tmp_path: Path) -> None:
    errors = {}
    for name in ("same", "own"):
        study = tmp_path / name
        for seed in (0, 1):
            for skill in (0.3, 0.8):
                made = boxes(skill, 5)
                add_job(study, {"skill": str(skill)}, seed, made=made[::-1] if name == "own" and seed else made)
        rows = read_study(study)
        errors[name] = Comparer(rows[0], 1000).compare(rows[1]).differences["map50_95"].image_error
    assert errors["own"] == pytest.approx(errors["same"] / math.sqrt(2), rel=0.1)


# ---------------------------------------------------------------- many rows, power


def test_holm_is_worked_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_a_p_value_is_that_of_a_paired_t_test_or_of_the_normal() -> None:
    pairs = np.array([0.02, 0.05, 0.01, 0.04])
    error = pairs.std(ddof=1) / 2
    found = p_value(pairs.mean(), 0.0, error, 100, 3)
    assert found == pytest.approx(stats.ttest_1samp(pairs, 0).pvalue)
    assert p_value(1.96, 1.0, 0.0, 10**9, 0) == pytest.approx(0.05, abs=1e-4)
    assert p_value(0, 0, 0, 5, 0) == 1 and p_value(0.1, 0, 0, 5, 0) == 0


def test_one_row_of_many_that_passes_by_chance_does_not_pass_for_all() -> None:
    def compared(p: float, run: str) -> Comparison:
        single = Difference(0.1, (0.01, 0.2), None, p=p, holm=p)
        return Comparison("", ("0",), 9, dict.fromkeys(("map50", "map75", "map50_95"), single), (run,))

    alone = adjusted({1: Comparison("baseline"), 2: compared(0.03, "a")})
    assert alone[2].differences["map50"].verdict == ""
    rows = adjusted({1: Comparison("baseline"), 2: compared(0.03, "a"), 3: compared(0.5, "b"), 4: compared(0.5, "b")})
    assert rows[2].differences["map50"].holm == pytest.approx(0.06), "rows that share a run are one comparison"
    assert rows[2].differences["map50"].verdict == "not after Holm"
    assert Difference(0.1, (0.01, 0.2), None, p=0.058, holm=0.058).verdict == "within noise", "as the note says"
    assert rows[3].differences == rows[4].differences
    assert rows[1].reason == "baseline"


@pytest.mark.parametrize("pairs", [3, 5, 10])
def test_power_is_that_of_the_noncentral_t_and_of_a_simulation(pairs: int) -> None:
    visible = detectable_over_seeds(0.02, pairs)
    limit = stats.t.ppf(0.975, pairs - 1)
    shift = visible / 0.02 * math.sqrt(pairs)
    assert stats.nct.sf(limit, pairs - 1, shift) == pytest.approx(0.8, abs=1e-3)
    made = np.random.default_rng(0).normal(visible, 0.02, (20000, pairs))
    seen = np.abs(made.mean(axis=1) / made.std(axis=1, ddof=1)) * math.sqrt(pairs) > limit
    assert seen.mean() == pytest.approx(0.8, abs=0.015)


def test_power_in_known_numbers() -> None:
    assert detectable_over_seeds(1.0, 3) == pytest.approx(3.264, abs=1e-3)
    assert detectable_over_images(1.0) == pytest.approx(1.959964 + 0.841621, abs=1e-5)
    assert detectable_over_seeds(1.0, 10) <= 1.0 < detectable_over_seeds(1.0, 9)  # as in tables of sample sizes


# ---------------------------------------------------------------- tables


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """A baseline of three seeds, a row of three that is clearly better, one of a single seed, one that failed."""
    study = tmp_path / "three"
    for seed in range(3):
        add_job(study, {"attention": "none"}, seed, made=boxes(0.3, seed))
    for seed in range(3):
        add_job(study, {"attention": "cbam"}, seed, made=boxes(0.95, 10 + seed))
    add_job(study, {"attention": "se"}, 1, made=boxes(0.3, 20))
    add_job(study, {"attention": "eca"}, 0, state="failed", reason="loss is nan")
    return study


def test_plain_tables_hold_what_the_seeds_measured(three: Path) -> None:
    strict, loose = seed_tables(three, resamples=200)
    assert (strict.name, loose.name) == ("table5_seeds_map50_95", "table6_seeds_map50")
    lines = [dict(zip(strict.header, line, strict=True)) for line in strict.rows]
    values = [row.metric("map50_95") for row in read_jobs(three)]
    mine, theirs = np.array(values[3:6], float), np.array(values[:3], float)
    none, cbam, single, failed = lines
    assert cbam["mAP50-95"] == pytest.approx(mine.mean()) and cbam["n"] == 3
    assert cbam["mAP50-95 spread"] == pytest.approx(mine.std(ddof=1))
    assert (cbam["min"], cbam["max"]) == (mine.min(), mine.max())
    assert cbam["- baseline"] == pytest.approx((mine - theirs).mean(), abs=1e-3), "boxes are kept to 0.01 px"
    assert cbam["pairs"] == 3 and cbam["verdict"] == "differs"
    assert 0 < float(cbam["95 % low"] or 0) < float(cbam["- baseline"] or 0) < float(cbam["95 % high"] or 0)
    assert cbam["visible, seeds"] == pytest.approx(3.264 * (mine - theirs).std(ddof=1), rel=0.02)
    assert (none["verdict"], none["- baseline"], single["visible, seeds"]) == ("baseline", None, None)
    assert (single["n"], single["mAP50-95 spread"]) == (1, None)
    assert (failed["mAP50-95"], failed["verdict"]) == (None, "not finished")
    told = " ".join(strict.notes)
    assert "2 rows are compared with one baseline" in told and "With 3 seeds a difference under" in told
    assert "With one seed, how trainings vary is unknown" in told and "resamples whole validation images (24)" in told


def test_seed_tables_come_the_same_every_time_and_name_a_wrong_baseline(three: Path) -> None:
    assert seed_tables(three, "attention=cbam", 100) == seed_tables(three, "attention=cbam", 100)
    with pytest.raises(LightdetError, match="fits no row"):
        seed_tables(three, "attention=nosuch")


def test_the_prompt_shows_the_short_form(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", str(three), "--sizes", "none", "--resamples", "100"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (best,) = [line for line in lines if "attention=cbam" in line]
    assert " ± " in best and "(3)" in best and best.endswith("differs")
    page = (three / "report" / "report.html").read_text(encoding="utf-8")
    assert "Table 5: mAP50-95 over seeds and images" in page
    assert (three / "report" / "table5_seeds_map50_95.csv").exists()
    assert "p (Holm) is adjusted for all of them" in (three / "report" / "report.md").read_text(encoding="utf-8")


def test_a_thousand_finished_jobs_are_read_in_two_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda file: None)
    first = add_job(tmp_path, {"attention": "a0"})
    results = first.read_results()
    for k in range(1, 1000):
        run = f"attention-a{k}/s0"
        folder = RunFolder(tmp_path / run)
        folder.write_status("done", seed=0)
        folder.write_results(results)
        job = {"overrides": [f"attention=a{k}", "seed=0"], "choices": {}, "seed": 0, "number": k, "run": run}
        write_json(tmp_path / "jobs" / f"a{k}__s0.json", job)
    began = time.process_time()
    rows = read_jobs(tmp_path)
    assert time.process_time() - began < 2, "of processor time, which a busy machine does not stretch"
    assert len(rows) == 1000 and {row.state for row in rows} == {"done"} and rows[999].metric("map50") is not None
