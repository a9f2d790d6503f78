"""What a choice brings over all settings of the others: worked by hand, and as certain as it says."""

import statistics
from pathlib import Path

import numpy as np
import pytest
from study_factory import add_job, boxes

from lightdet.metric.bootstrap import interval
from lightdet.metric.paired import over_images_and_seeds
from lightdet.report.build import report_study
from lightdet.report.comparison import Comparer
from lightdet.report.effects import Effect, effects_of
from lightdet.report.rows import Row, read_study
from lightdet.report.settings import Settings

SKILLS = {("none", "plain"): 0.4, ("cbam", "plain"): 0.75, ("none", "weighted"): 0.42, ("cbam", "weighted"): 0.8}


def factorial(study: Path, seeds: int = 3) -> list[Row]:
    """Attention helps a great deal in both settings, fusion hardly in either."""
    for (attention, fusion), skill in SKILLS.items():
        for seed in range(seeds):
            made = boxes(skill, 10 * seed + len(attention + fusion))
            add_job(study, {"attention": attention, "fusion": fusion}, seed, made=made)
    return read_study(study)


def effects(rows: list[Row], baseline: int = 0) -> dict[str, Effect]:
    return {effect.choice: effect for effect in effects_of(rows, Comparer(rows[baseline], 300))}


def test_an_effect_is_the_mean_of_its_settings(tmp_path: Path) -> None:
    rows = factorial(tmp_path)
    found = effects(rows)["attention"]
    assert (found.value, found.reference, found.settings, found.pairs, found.pooled) == ("cbam", "none", 2, 6, False)
    mean = {
        (row.choices["attention"], row.choices["fusion"]): statistics.fmean(
            value for job in row.finished if (value := job.metric("map50_95")) is not None
        )
        for row in rows
    }
    brought = [mean["cbam", fusion] - mean["none", fusion] for fusion in ("plain", "weighted")]
    difference = found.comparison.differences["map50_95"]
    assert difference.estimate == pytest.approx(statistics.fmean(brought), abs=1e-3)
    assert found.extent == pytest.approx((min(brought), max(brought)), abs=1e-3)
    assert difference.verdict == ""


def test_the_other_way_round_it_is_the_same_with_another_sign(tmp_path: Path) -> None:
    rows = factorial(tmp_path)
    there, back = effects(rows)["attention"], effects(rows, baseline=1)["attention"]
    assert back.value == "none"
    one, other = (effect.comparison.differences["map50_95"] for effect in (there, back))
    assert other.estimate == pytest.approx(-one.estimate)
    assert other.interval == pytest.approx((-one.interval[1], -one.interval[0]), abs=1e-9)


def test_more_settings_tell_more_than_a_single_row(tmp_path: Path) -> None:
    rows = factorial(tmp_path)
    comparer = Comparer(rows[0], 1000)
    alone = comparer.compare(rows[1]).differences["map50_95"]
    over_all = next(e for e in effects_of(rows, comparer) if e.choice == "attention").comparison.differences["map50_95"]
    widths = [high - low for low, high in (alone.interval, over_all.interval)]
    assert widths[1] < 0.8 * widths[0]


def test_settings_that_share_a_training_are_one_group(tmp_path: Path) -> None:
    """Without attention the grid changes nothing: three settings, but a single training on one side."""
    for seed in range(2):
        without = add_job(tmp_path, {"attention": "none", "head": "76"}, seed, made=boxes(0.4, seed))
        run = str(without.path.relative_to(tmp_path))
        for head in ("38", "19"):
            add_job(tmp_path, {"attention": "none", "head": head}, seed, run=run)
        for place, head in enumerate(("76", "38", "19")):
            add_job(tmp_path, {"attention": "cbam", "head": head}, seed, made=boxes(0.6, 5 * place + seed + 3))
    rows = read_study(tmp_path)
    comparer = Comparer(rows[0], 300)
    found = effects_of(rows, comparer)
    attention = next(effect for effect in found if effect.choice == "attention")
    assert (attention.settings, attention.pairs) == (3, 6)
    by_row = [comparer.compare(row).differences["map50"] for row in rows if row.choices["attention"] == "cbam"]
    difference = attention.comparison.differences["map50"]
    assert difference.estimate == pytest.approx(statistics.fmean(one.estimate for one in by_row))
    assert difference.p > 0.001, "six pairs, but two degrees of freedom at most: two seeds of the shared training"
    assert [effect.settings for effect in found if effect.choice == "head"] == [1, 1]


def test_with_single_seeds_the_settings_stand_for_them(tmp_path: Path) -> None:
    found = effects(factorial(tmp_path, seeds=1))["attention"]
    assert found.pooled and found.pairs == 2
    assert found.comparison.differences["map50_95"].over_both is not None


def test_a_setting_with_more_seeds_counts_no_more_than_another(tmp_path: Path) -> None:
    factorial(tmp_path, seeds=1)
    for attention in ("none", "cbam"):
        for seed in (1, 2):
            made = boxes(SKILLS[attention, "plain"], 20 * seed + len(attention))
            add_job(tmp_path, {"attention": attention, "fusion": "plain"}, seed, made=made)
    rows = {tuple(row.choices.values()): row for row in read_study(tmp_path)}
    means = {key: statistics.fmean(job.metric("map50_95") or 0.0 for job in row.finished) for key, row in rows.items()}
    found = effects(list(rows.values()))["attention"]
    assert found.pooled and found.pairs == 4
    gains = [means["cbam", fusion] - means["none", fusion] for fusion in ("plain", "weighted")]
    assert found.comparison.differences["map50_95"].estimate == pytest.approx(statistics.fmean(gains))


def test_a_study_without_a_second_setting_has_no_such_table(tmp_path: Path) -> None:
    for attention in ("none", "cbam"):
        add_job(tmp_path, {"attention": attention})
    rows = read_study(tmp_path)
    assert effects_of(rows, Comparer(rows[0], 100)) == []


def test_the_report_has_the_table_and_what_is_missing_is_said(tmp_path: Path) -> None:
    factorial(tmp_path / "study", seeds=2)
    add_job(tmp_path / "study", {"attention": "eca", "fusion": "plain"}, keep_boxes=False)
    written = report_study(tmp_path / "study", tmp_path / "out", Settings(resamples=100, sizes=()))
    table = next(table for table in written.tables if table.name == "table8_choices")
    lines = {cells[0].text: [cell.text for cell in cells] for cells in table.lines}
    assert list(lines) == ["attention=cbam", "attention=eca", "fusion=weighted"]
    assert "within noise" in lines["fusion=weighted"][6]
    assert "evaluate the run again" in lines["attention=eca"][4]
    assert "attention=cbam" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("settings", [1, 4])
def test_the_interval_holds_the_truth_as_often_as_it_says(settings: int) -> None:
    """Two seeds in each setting, every setting with an effect of its own (mean 0), trainings that vary by 1."""
    random, studies, resamples, held = np.random.default_rng(0), 1500, 400, 0
    own = np.linspace(-2, 2, settings) if settings > 1 else np.zeros(1)
    for _ in range(studies):
        groups = [np.repeat(random.normal(shift, 1, (2, 1)), resamples, axis=1) for shift in own]
        low, high = interval(over_images_and_seeds(groups, [1 / settings] * settings))
        held += low <= 0 <= high
    assert 0.9 <= held / studies <= 0.99
