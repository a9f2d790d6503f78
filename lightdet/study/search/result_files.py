"""The results of a search as files: search.json for the report, search.csv for spreadsheets. No torch here."""

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from lightdet.core.files import write_json, write_text
from lightdet.core.table import to_csv
from lightdet.study.search.trials import TrialStore
from lightdet.study.search.watch import epoch_metric

FILE_NAME, TABLE_NAME = "search.json", "search.csv"
STATES = {
    TrialState.COMPLETE: "done",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "queued",
}


def write_result_files(store: TrialStore) -> dict[str, Any]:
    """Writes both files; returns the content of search.json: all trials, the best ones and the importances."""
    search = store.search
    trials = store.trials()
    facts: dict[str, Any] = {
        "objectives": {objective.name: objective.direction for objective in search.objectives},
        "parameters": [parameter.key for parameter in search.space],
        "budget": int(search.settings.trials),
        "watched": epoch_metric(store),
        "best": store.best(),
        "importance": store.importances(),
        "trials": [_trial(store, trial) for trial in trials],
    }
    write_json(search.study_path / FILE_NAME, facts)
    write_text(search.study_path / TABLE_NAME, _as_csv(facts))
    return facts


def _trial(store: TrialStore, trial: FrozenTrial) -> dict[str, Any]:
    objectives = store.search.objectives
    words = {one.key: one.word(trial.params[one.key]) for one in store.search.space if one.key in trial.params}
    epochs = trial.intermediate_values
    return {
        "number": trial.number,
        "state": STATES[trial.state],
        "parameters": {key: word.partition("=")[2].strip("'") for key, word in words.items()},
        "overrides": list(words.values()),
        "values": {one.name: value for one, value in zip(objectives, trial.values, strict=True)}
        if trial.state == TrialState.COMPLETE
        else {},
        "epochs": max(epochs) + 1 if epochs else None,
        "reached": epochs[max(epochs)] if epochs else None,
        "run": trial.user_attrs.get("run"),
        "reason": trial.user_attrs.get("reason") if trial.state.is_finished() else None,
    }


def _as_csv(facts: Mapping[str, Any]) -> str:
    """One line per trial, values at full precision."""
    parameters, objectives = list(facts["parameters"]), list(facts["objectives"])
    lines = [["trial", "state", "best", *parameters, *objectives, "epochs", "reached", "run", "reason"]]
    for trial in facts["trials"]:
        settings = [trial["parameters"].get(name) for name in parameters]
        values = [trial["values"].get(name) for name in objectives]
        best = "yes" if trial["number"] in facts["best"] else ""
        rest = [trial[name] for name in ("epochs", "reached", "run", "reason")]
        lines.append([trial["number"], trial["state"], best, *settings, *values, *rest])
    return to_csv(lines)


def summary(facts: Mapping[str, Any], commands: Mapping[int, str], recipes: Mapping[int, str]) -> str:
    """Text for a terminal: trials by state, the best one or the Pareto front, and the commands that train them."""
    trials: Sequence[Mapping[str, Any]] = facts["trials"]
    states = [str(trial["state"]) for trial in trials]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    lines = [f"{len(trials)} trials: {counts}"]
    if not facts["best"]:
        return f"{lines[0]}; none was trained to its last epoch, so there is no best one"
    several = len(facts["objectives"]) > 1
    if several:
        lines.append(f"Pareto front, {len(facts['best'])} trials that no other trial dominates:")
    by_number = {trial["number"]: trial for trial in trials}
    for number in facts["best"]:
        reached = ", ".join(f"{name} {value:.6g}" for name, value in by_number[number]["values"].items())
        lines.append(f"{'' if several else 'best: '}trial {number}: {reached}")
        lines += [f"  {commands[number]}", f"  or {recipes[number]}"]
    for name, shares in facts["importance"].items():
        lines.append(f"importance for {name}: " + ", ".join(f"{key} {share:.0%}" for key, share in shares.items()))
    return "\n".join(lines)
