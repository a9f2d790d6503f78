"""A study of a made-up task, whose error is lower for better rows, in tables, comparisons and the report."""

from pathlib import Path

import numpy as np
import pytest
from study_factory import add_job

from lightdet.core.errors import LightdetError
from lightdet.core.files import write_json
from lightdet.core.score import Score
from lightdet.metric.bootstrap import draw
from lightdet.metric.contract import Contributions
from lightdet.metric.contributions import write_contributions
from lightdet.report.build import report_study
from lightdet.report.comparison import Comparer
from lightdet.report.figures import pareto
from lightdet.report.paper import read_paper, standing
from lightdet.report.rows import Value, read_study
from lightdet.report.settings import Settings
from lightdet.runs.folder import RunFolder
from lightdet.runs.jobs import read_jobs
from lightdet.runs.scores import write_scores
from lightdet.runs.table import to_csv, to_markdown
from lightdet.study.live import progress

ERROR = Score("error", "mean error", "val/error", higher_is_better=False, primary=True)
SHARE = Score("close", "share within 1", "val/close")
LIMIT = Score("bias", "bias", "val/bias", higher_is_better=False)
IDS = tuple(f"val/{k}.png" for k in range(60))
QUICK = Settings(resamples=400, sizes=())


def errors(mean: float, seed: int) -> np.ndarray:
    """Absolute errors of 60 images (60,)."""
    return np.abs(np.random.default_rng(seed).normal(mean, 0.6, len(IDS)))


def regression(study: Path, name: str, seed: int, values: np.ndarray, test: float | None = None) -> RunFolder:
    """A finished job of the task: an error in grey levels, and the share of images with an error below 1."""
    folder = add_job(study, {"model": name}, seed, keep_boxes=False)
    write_scores(folder, "brightness", (ERROR, SHARE, LIMIT))
    ones, close = np.ones(len(values)), (values < 1).astype(float)
    contributions = Contributions(IDS, {"error": (values, ones), "close": (close, ones)})
    write_contributions(folder.path, contributions)
    results = {"schema": 2, "task": "brightness", "epochs": 3, "metrics": {}}
    results["metrics"] = {"error": float(values.mean()), "close": float(close.mean()), "bias": 0.5}
    if test is not None:
        results["test"] = {"metrics": {"error": test}}
    folder.write_results(results)
    folder.metrics_csv.write_text("epoch,train/loss,val/error,val/close\n0,3,9,0.1\n1,2,5,0.2\n2,1,4,0.3\n")
    return folder


@pytest.fixture
def study(tmp_path: Path) -> Path:
    for name, mean in (("large", 0.9), ("small", 2.4)):
        for seed in (0, 1):
            regression(tmp_path / "s", name, seed, errors(mean, seed))
    return tmp_path / "s"


def test_the_tables_have_a_column_per_leading_score(study: Path) -> None:
    jobs = read_jobs(study)
    assert to_csv(jobs).splitlines()[0] == "model,seed,mean error,share within 1,params,state,run,shared_with,reason"
    assert "mAP" not in to_markdown(jobs)
    assert progress(study, jobs[0])[1] == f"{errors(0.9, 0).mean():.3f}"


def test_an_interval_is_that_of_a_bootstrap_of_ratios(study: Path) -> None:
    rows = read_study(study)
    found = Comparer(rows[0], 400).compare(rows[1]).differences
    assert set(found) == {"error", "close"}
    gaps = np.stack([errors(2.4, seed) - errors(0.9, seed) for seed in (0, 1)])
    shares = draw(len(IDS), 400) / len(IDS)
    expected = np.quantile((gaps @ shares.T).mean(axis=0), [0.025, 0.975])
    assert found["error"].estimate == pytest.approx(gaps.mean())
    np.testing.assert_allclose(found["error"].over_images, expected, atol=1e-12)
    assert found["error"].over_both is not None and found["error"].verdict == ""


def test_a_ratio_sums_numerators_and_denominators(tmp_path: Path) -> None:
    """Not the mean of the images' ratios: an image with more boxes weighs more."""
    random = np.random.default_rng(0)
    total = random.integers(1, 9, len(IDS)).astype(float)
    right = {name: random.binomial(total.astype(int), share).astype(float) for name, share in (("a", 0.5), ("b", 0.9))}
    for name, hits in right.items():
        folder = regression(tmp_path, name, 0, errors(1, 0))
        write_contributions(folder.path, Contributions(IDS, {"close": (hits, total)}))
        folder.write_results({"metrics": {"close": hits.sum() / total.sum()}})
    rows = read_study(tmp_path)
    found = Comparer(rows[0], 300).compare(rows[1]).differences["close"]
    counts = draw(len(IDS), 300)
    resampled = (counts @ right["b"] - counts @ right["a"]) / (counts @ total)
    np.testing.assert_allclose(found.over_images, np.quantile(resampled, [0.025, 0.975]), atol=1e-12)


def test_contributions_of_other_images_or_of_another_evaluation_are_not_compared(study: Path) -> None:
    other = regression(study, "other", 0, errors(1, 0))
    sums = {key: (values, np.ones(60)) for key, values in (("error", errors(1, 0)), ("close", errors(1, 0) < 1.0))}
    write_contributions(other.path, Contributions(tuple(f"test/{k}" for k in range(60)), sums))
    fewer = regression(study, "fewer", 0, errors(1, 0))
    write_contributions(fewer.path, Contributions(IDS, {"error": sums["error"]}))
    stale = regression(study, "stale", 0, errors(1, 0))
    stale.write_results({"metrics": {"error": 3.0}})
    rows = read_study(study)
    reasons = [Comparer(rows[0], 100).compare(row).reason for row in rows[2:]]
    assert reasons[:2] == [
        "not comparable: images, labels or classes differ",
        "not comparable: other scores are kept per image",
    ]
    assert "contributions.json gives error" in reasons[2] and "evaluate the run again" in reasons[2]


def test_the_report_shows_the_task_and_its_test_split(study: Path) -> None:
    regression(study, "tested", 0, errors(1.2, 5), test=1.25)
    written = report_study(study, study / "report", QUICK)
    text = (study / "report" / "report.md").read_text(encoding="utf-8")
    assert "mAP" not in text and "mean error" in written.table and written.troubles == ()
    names = [table.name for table in written.tables]
    assert names[:2] == ["table2_scores", "table3_cost"] and "table5_seeds_error" in names
    (test,) = [table for table in written.tables if table.name == "table9_test"]
    assert [line[2].text for line in test.lines] == ["-", "-", "1.250"]
    page = written.page.read_text(encoding="utf-8")
    assert "mean error over the epochs" in page and "Table 9: test split" in page


def test_of_an_error_the_least_is_the_best(tmp_path: Path) -> None:
    for name, mean in (("a", 3.0), ("b", 1.0)):
        for seed in (0, 1, 2):
            regression(tmp_path, name, seed, errors(mean, seed))
    rows = read_study(tmp_path)
    points = [
        (row, cost, Value(mean, None, 1, mean, mean)) for row, cost, mean in zip(rows, (1, 2), (3, 1), strict=True)
    ]
    assert pareto(points, ERROR) == points and pareto(points, SHARE) == points[:1]
    (tmp_path / "paper.yaml").write_text(
        "epochs: 1\nrows:\n  model=a: {source: x, mean error: 1.0}\n  model=b: {source: x, mean error: 1.5}\n"
    )
    paper = read_paper(tmp_path / "paper.yaml", rows)
    assert [standing(row, entry, paper) for row, entry in zip(rows, paper.published, strict=True)] == [
        "trained in full, mean error not reached",
        "reproduced",
    ]


def test_several_tasks_in_one_study_share_a_table_and_no_report(study: Path) -> None:
    add_job(study, {"model": "detector"})
    assert (
        to_csv(read_jobs(study))
        .splitlines()[0]
        .startswith("model,seed,dent,scratch,stain,mean error,share within 1,mAP50,mAP50-95")
    )
    with pytest.raises(
        LightdetError, match=r"compares jobs of one task, here are brightness \(4 jobs\), detection \(1 jobs\)"
    ):
        read_study(study)


def test_declarations_that_cannot_be_read_make_their_job_unreadable(study: Path) -> None:
    write_json(study / "model-large/s0/scores.json", {"scores": [{"key": 3}]})
    first, second = read_jobs(study)[:2]
    assert first.state == "unreadable" and "scores.json" in first.reason and second.state == "done"
