"""The scores of object detection: COCO's average precision (Lin et al. 2014, arXiv 1405.0312). No torch here."""

from lightdet.core.score import Score

TASK = "detection"
MAP50 = Score("map50", "mAP50", "val/map50")
MAP75 = Score("map75", "mAP75", "val/map75")
MAP50_95 = Score("map50_95", "mAP50-95", "val/map50_95", primary=True)
AP50 = Score("ap50", "AP50", "val/ap50", per_class=True)
MEANS = (MAP50, MAP75, MAP50_95)  # over the classes with ground truth
DETECTION_SCORES = (*MEANS, AP50)
FURTHER_NUMBERS = (  # in results.json of detection: not measured after every epoch, or without a declared direction
    "metrics.per_class.NAME.ap50_95",
    "metrics.per_class.NAME.ap75",
    "metrics.operating_point.f1",
    "metrics.operating_point.escape_rate",
    "metrics.operating_point.overkill_rate",
)
