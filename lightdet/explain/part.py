"""What a page says of one part: facts, which are its JSON as well, and pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from lightdet.core.errors import LightdetError
from lightdet.core.files import plain
from lightdet.core.types import Subject
from lightdet.engine.image_files import ImageFile
from lightdet.engine.predictor import Predictor
from lightdet.explain.contract import Method
from lightdet.explain.embedding import box_vectors, compares_boxes, image_vectors
from lightdet.explain.explain import Explained, Explanation, timed
from lightdet.explain.nearest import Neighbour, TrainingImages, same_file
from lightdet.explain.part_pictures import Pictures
from lightdet.explain.picture import original_box, peak
from lightdet.ops.letterbox import map_to_original

MADE_BY = "lightdet explain"
SCHEMA = 1  # of the JSON files of pages
MOST_PROBABLE = 8  # classes of a classifier that a page lists


@dataclass(frozen=True, slots=True)
class Context:
    """What all parts of a call share."""

    run: str  # its name, for people
    predictor: Predictor
    training: TrainingImages | None  # None: nearest training images are left out
    attention: Method | None  # shows what the model's attention modules saw; None: it has none
    notes: Sequence[str] = ()  # lines on what is left out for every part
    beats: Mapping[str, str] = field(default_factory=dict)  # method -> in what it was measured to beat trivial maps


@dataclass(slots=True)
class Part:
    """A part as its page shows it. facts: the content of its JSON. pictures: what an `img` shows, by name."""

    facts: dict[str, Any]
    pictures: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the image, unique in its lot."""
        return str(self.facts["name"])


def part_of(file: ImageFile, explained: Explained, context: Context) -> Part:
    """The facts and pictures of an explained image."""
    result, decision = explained.result, explained.result.decision()
    images, _ = context.predictor.placed(result.image)
    pictures = Pictures(explained)
    attention, notes = _attention(explained, images, context, pictures)
    probabilities = getattr(result, "probabilities", {})
    facts = {
        "made_by": MADE_BY,
        "schema": SCHEMA,
        "run": context.run,
        "file": str(file.path),
        "name": file.name,
        "height": result.height,
        "width": result.width,
        "verdict": {True: "rejected", False: "accepted", None: ""}[decision.rejected],
        "class": decision.name,
        "label": decision.label,
        "score": decision.score,
        "margin": decision.margin,
        "second": None if decision.second is None else _guess(*decision.second),
        "decision": {
            "rule": decision.rule,
            "sentence": decision.sentence,
            "threshold": decision.threshold,
            "expected_costs": decision.costs,
        },
        "probabilities": dict(list(probabilities.items())[:MOST_PROBABLE]),
        "subjects": [
            _subject(number, subject, explained, images, context, pictures)
            for number, subject in enumerate(dict.fromkeys(each.subject for each in explained.explanations))
        ],
        "measured": {name: context.beats.get(name, "") for name in dict.fromkeys(_methods(explained))},
        "attention": attention,
        "notes": [*context.notes, *notes],
    }
    return Part(_rounded(plain(facts, numbers=False)), pictures.sources)


def _subject(
    number: int, subject: Subject, explained: Explained, images: Tensor, context: Context, pictures: Pictures
) -> dict[str, Any]:
    """A class or a box: its maps, its second guess, and the nearest training images (of a class: for the first one)."""
    model, classes = context.predictor.model, context.predictor.classes
    box = original_box(explained, subject)
    guesses = model.guesses(images, subject)
    others = [] if guesses is None else [label for label in guesses.argsort(descending=True).tolist()]
    second = next((label for label in others if label != subject.label), None)
    maps = [each for each in explained.explanations if each.subject == subject]
    for each in maps:
        pictures.add_map(f"{number}-{each.method}", each.heat, each.subject)
    if box is not None and maps:
        pictures.add_close_up(f"{number}-close", maps[0].heat, box, subject)
    near = context.training if box is not None or number == 0 else None
    return {
        "class": classes[subject.label],
        "label": subject.label,
        "score": subject.score,
        "box_xyxy": box,
        "second": None if second is None or guesses is None else _guess(classes[second], float(guesses[second])),
        "maps": [_map(each) for each in maps],
        "nearest": None if near is None else _nearest(number, subject, explained, images, context, near, pictures),
    }


def _methods(explained: Explained) -> list[str]:
    return [each.method for each in explained.explanations]


def _map(each: Explanation) -> dict[str, Any]:
    return {"method": each.method, "peak_xy": peak(each.heat), "milliseconds": each.seconds * 1000}


def _nearest(
    number: int,
    subject: Subject,
    explained: Explained,
    images: Tensor,
    context: Context,
    training: TrainingImages,
    pictures: Pictures,
) -> dict[str, Any]:
    model = context.predictor.model
    if compares_boxes(model):
        assert subject.box_xyxy is not None
        vector = box_vectors(model, images, [images.new_tensor([subject.box_xyxy])])
    else:
        vector = image_vectors(model, images)
    found = training.nearest(vector[0].cpu().numpy())
    for rank, each in enumerate(found):
        pictures.add_neighbour(f"{number}-near-{rank}", each.item)
    neighbours = [_neighbour(each, explained, context) for each in found]
    return {
        "unit": training.unit,
        "compared": len(training.items),
        "of": training.total,
        "of_this_class": sum(subject.label in each.item.labels for each in found),
        "images": neighbours,
    }


def _neighbour(each: Neighbour, explained: Explained, context: Context) -> dict[str, Any]:
    record = each.item.record
    return {
        "id": record.image_id,
        "file": str(record.path),
        "classes": [context.predictor.classes[label] for label in dict.fromkeys(each.item.labels)],
        "labels": list(dict.fromkeys(each.item.labels)),
        "box_xyxy": each.item.box_xyxy,
        "distance": each.distance,
        "percentile": each.percentile,
        "is_this_image": same_file(explained.result.path, record.path),
    }


def _attention(
    explained: Explained, images: Tensor, context: Context, pictures: Pictures
) -> tuple[dict[str, Any] | None, list[str]]:
    """What the attention modules saw, for the first subject, and a line where that cannot be shown."""
    if context.attention is None or not explained.explanations:
        return None, []
    subject = explained.explanations[0].subject
    try:
        heat, seconds = timed(context.attention, context.predictor.model, images, subject, "attention_map")
    except LightdetError as error:
        return None, [f"what the attention saw is left out: {error}"]
    placed = map_to_original(heat, explained.result.letterbox)
    pictures.add_map("attention", placed, subject)
    return {"peak_xy": peak(placed), "milliseconds": seconds * 1000}, []


def _guess(name: str, score: float) -> dict[str, Any]:
    return {"class": name, "score": score}


def _rounded(value: Any) -> Any:
    """JSON with numbers of five decimals, which is more than any of them is worth."""
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return round(value, 5) if isinstance(value, float) else value
