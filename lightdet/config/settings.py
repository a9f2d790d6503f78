"""Values of a training that can be judged before anything is built. No torch here."""

from collections.abc import Callable
from math import inf

from omegaconf import DictConfig, ListConfig, OmegaConf

from lightdet.core.channels import BITS, CHANNELS
from lightdet.core.errors import LightdetError, demand_amount, demand_expression, demand_whole
from lightdet.ops.grid import check_image_size, parse_head

EPOCHS = "trainer.max_epochs"
WHOLE = {  # from which number on
    "seed": 0,
    "data.batch_size": 1,
    "data.per_class_seed": 0,
    "trainer.devices": 1,
    "trainer.nodes": 1,
    EPOCHS: 1,
    "trainer.accumulate": 1,
    "trainer.validate_every": 1,
    "trainer.patience": 1,
    "model.max_detections": 1,
    "augment.mosaic.closing_epochs": 0,
    "data.reader.val_count": 1,
}
NOT_NEGATIVE = (
    "optimizer.lr",
    "optimizer.weight_decay",
    "schedule.warmup_epochs",
    "schedule.final_share",
    "trainer.checkpoint_seconds",
    "augment.min_side",
    "augment.mosaic.min_side",
    "augment.window.min_side",
)
SHARES = (
    "model.score_threshold",
    "model.nms_iou",
    "augment.min_visible",
    "augment.mosaic.min_visible",
    "augment.mosaic.probability",
    "augment.window.min_visible",
)
DRAWN = ("data.reader.train_images", "data.reader.val_images")  # numbers; with COCO the folders of the images
POSITIVE = (
    *("width", "depth", "trainer.clip_norm", "augment.window.share", "data.sampling.threshold"),
    "compress.parameters",
)
RANGES = ("augment.mosaic.scale", "augment.mosaic.centre")
LIMITS = ("trainer.limit_train_batches", "trainer.limit_val_batches")
NONE_ALLOWED = (
    *("trainer.patience", "trainer.clip_norm", "data.bits"),
    *("compress.flops", "compress.parameters", "compress.latency"),
    *LIMITS,
)
CHOICES: dict[str, tuple[str | bool | int, ...]] = {
    "channels": tuple(CHANNELS),
    "data.bits": BITS,
    "trainer.precision": ("auto", "32-true", "bf16-mixed"),
    "trainer.channels_last": ("auto", True, False),
    "trainer.sync_batchnorm": ("auto", True, False),
    "trainer.device": ("auto", "cpu", "cuda", "mps"),
    "trainer.progress": ("auto", "bar", "lines", "none"),
    "compress.importance": ("magnitude", "batchnorm", "taylor"),
    "compress.scope": ("global", "uniform"),
}
TARGETS = ("flops", "parameters", "latency")
HOW_MUCH = (
    "compress=prune: how much is left? One of compress.flops=0.5, compress.parameters=500000, compress.latency=0.6"
)
SELF = "self"  # as a teacher: the moving average of the training's own weights
LITE0 = "pretrained_lite0"  # as a teacher: maps of an ImageNet network that comes as a package
READERS = "lightdet.data.reader."  # of this package: their `root` is a folder, and they give no reference images
CLASSES_ALONE = (f"{READERS}folder.Folder", f"{READERS}csv_table.CsvTable")  # they give an image classes and no boxes
BATCHES = "a whole number of batches from 1, or a share of them above 0.0, up to 1.0"


def check_settings(cfg: DictConfig) -> None:
    """Raises LightdetError for a value with which no training can be done; settings that the chosen options do not
    have are skipped."""
    check_image_size(cfg.image_size)
    fitted = OmegaConf.select(cfg, "model.network.readout") is not None  # after the training, or without one
    readouts = "readout" in (OmegaConf.select(cfg, "model.network") or ())
    if OmegaConf.select(cfg, EPOCHS) == 0 and readouts and not fitted:
        raise LightdetError(
            f"{EPOCHS}=0: give a whole number, 1 or more; 0 is for a readout alone, as readout=logistic"
        )
    for name, least in WHOLE.items():
        if not _left_out(cfg, name):
            demand_whole(name, OmegaConf.select(cfg, name), 0 if fitted and name == EPOCHS else least)
    if OmegaConf.select(cfg, EPOCHS) == 0:
        _check_untrained(cfg)
    criterion = OmegaConf.select(cfg, "model.criterion") or ()
    gains = [f"model.criterion.{key}" for key in criterion if str(key).endswith("_gain")]
    taught = [f"distill.{option}.{key}" for option, each in (cfg.get("distill") or {}).items() for key in each or ()]
    gains += [name for name in taught if name.endswith("gain")]
    shares = (*SHARES, *(name for name in taught if name.endswith((".masked", ".least"))))
    _demand(cfg, (*NOT_NEGATIVE, *gains), lambda value: 0 <= value < inf, "a number that is not negative")
    _demand(cfg, shares, lambda value: 0 <= value <= 1, "a number from 0 to 1")
    _demand(cfg, ("data.reader.val_share",), lambda value: 0 < value < 1, "a number between 0 and 1")
    left = ("compress.flops", "compress.latency")
    _demand(cfg, left, lambda value: 0 < value <= 1, "a number above 0, at most 1; 1 removes nothing")
    temperatures = (name for name in taught if name.endswith(".temperature"))
    _demand(cfg, (*POSITIVE, *temperatures), lambda value: 0 < value < inf, "a number above 0")
    _demand(cfg, LIMITS, _counts_batches, f"{BATCHES}; null: all")
    _demand(cfg, ("trainer.overfit_batches",), lambda value: value == 0 or _counts_batches(value), f"0, or {BATCHES}")
    for name in RANGES:
        ends = OmegaConf.select(cfg, name)
        if not _left_out(cfg, name) and not (isinstance(ends, ListConfig) and [*map(_is_number, ends)] == [True, True]):
            raise LightdetError(f"{name}={ends}: give two numbers, [from,to]")
    for name in CHOICES:
        if not _left_out(cfg, name):
            demand_choice(name, OmegaConf.select(cfg, name))
    for name in DRAWN:
        if _is_number(OmegaConf.select(cfg, name)):
            demand_whole(name, OmegaConf.select(cfg, name), 1)
    if cfg.get("compress") and cfg.get("weights") is None:
        raise LightdetError("compress: there is no network to make smaller; weights=RUN names the one that is trained")
    if (targets := [name for name in TARGETS if name in (cfg.get("compress") or ())]) and sum(
        cfg.compress[name] is not None for name in targets
    ) != 1:
        raise LightdetError(HOW_MUCH)
    if bool(cfg.get("distill")) != (cfg.get("teacher") is not None):
        raise LightdetError("distillation needs both, what is taught and who teaches: distill=cwd teacher=RUN")
    _check_average(cfg)
    _check_reference(cfg)
    _check_boxes(cfg)
    wanted = OmegaConf.select(cfg, "data.per_class")
    for key, amount in wanted.items() if isinstance(wanted, DictConfig) else [("", wanted)]:
        if amount is not None:
            demand_amount(f"data.per_class.{key!s}".rstrip("."), amount)
    if OmegaConf.select(cfg, "data.group") is not None:
        demand_expression("data.group", cfg.data.group)
    if "head" in cfg:
        parse_head(cfg.head)


def demand_choice(name: str, value: object) -> None:
    """Raises LightdetError for a value that the setting `name`, one of CHOICES, cannot have."""
    choices = CHOICES[name]
    if not any(type(value) is type(one) and value == one for one in choices):
        null = "null, " if name in NONE_ALLOWED else ""
        raise LightdetError(f"{name}={value}: one of {null}{', '.join(str(one).lower() for one in choices)}")


def _check_untrained(cfg: DictConfig) -> None:
    """Raises LightdetError for settings that need a step of training where there is none."""
    for name, none in (("trainer.devices", 1), ("trainer.nodes", 1), ("trainer.overfit_batches", 0)):
        if OmegaConf.select(cfg, name) != none:
            raise LightdetError(f"{EPOCHS}=0: no step is trained, so {name} changes nothing; take {name}={none}")


def average_teaches_from(cfg: DictConfig) -> float:
    """The fraction of a training from which on `teacher=self` teaches: the end of the warm-up of the learning rate."""
    return float((OmegaConf.select(cfg, "schedule.warmup_epochs") or 0) / OmegaConf.select(cfg, EPOCHS))


def _check_average(cfg: DictConfig) -> None:
    """Raises LightdetError for a training's own average as its teacher where it never teaches."""
    teacher = cfg.get("teacher")
    given = teacher.get("models") if isinstance(teacher, DictConfig) else teacher
    if SELF not in (given if isinstance(given, ListConfig) else [given]):
        return
    if not OmegaConf.select(cfg, "trainer.ema_decay"):
        raise LightdetError("teacher=self: with trainer.ema_decay=0 the average is the student itself")
    if OmegaConf.select(cfg, EPOCHS) and average_teaches_from(cfg) >= 1:
        raise LightdetError(
            f"teacher=self: the average teaches after the warm-up of {cfg.schedule.warmup_epochs} epochs "
            f"(schedule.warmup_epochs), and the training has {OmegaConf.select(cfg, EPOCHS)}"
        )


def _check_reference(cfg: DictConfig) -> None:
    """Raises LightdetError for channels of a reference image where the reader is one of those that give none."""
    channels = OmegaConf.select(cfg, "channels")
    reader = str(OmegaConf.select(cfg, "data.reader._target_"))
    if channels in CHANNELS and CHANNELS[channels][1] and reader.startswith(READERS):
        raise LightdetError(
            f"channels={channels}: half of them are those of a reference image, and "
            f"{reader.rpartition('.')[2]} reads none; set channels={channels // 2}, or take a reader of your own"
        )


def _check_boxes(cfg: DictConfig) -> None:
    """Raises LightdetError for a detector on data that has no boxes."""
    reader = str(OmegaConf.select(cfg, "data.reader._target_"))
    if reader in CLASSES_ALONE and not _left_out(cfg, "model.score_threshold"):
        raise LightdetError(
            f"{reader.rpartition('.')[2]} reads classes of images, and this model is a detector, which needs boxes; "
            "give a classifier, such as model=light_classifier recipe=classifier, or data with boxes"
        )


def _demand(cfg: DictConfig, names: tuple[str, ...], fits: Callable[[float], bool], wanted: str) -> None:
    for name in names:
        value = OmegaConf.select(cfg, name)
        if not _left_out(cfg, name) and not (_is_number(value) and fits(value)):
            raise LightdetError(f"{name}={value}: give {wanted}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _counts_batches(value: float) -> bool:
    """Whether a number is one of batches, 1 or more, or a share of all batches, which 1.0 is too."""
    return 0 < value <= 1 if isinstance(value, float) else value >= 1


def _left_out(cfg: DictConfig, name: str) -> bool:
    """Whether a configuration has no such setting, or null where that is a value."""
    missing = object()
    value = OmegaConf.select(cfg, name, default=missing)
    return value is missing or (value is None and name in NONE_ALLOWED)
