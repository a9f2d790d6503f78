"""The scores of classification with several classes of an image. No torch here."""

from lightdet.core.score import Score

TASK = "multi_label_classification"
HALF = 0.5  # the least probability that is a yes, where none is given
MEAN_AP = Score("map", "mAP", "val/map", primary=True)
MICRO_F1 = Score("micro_f1", "micro F1", "val/micro_f1")
MACRO_F1 = Score("macro_f1", "macro F1", "val/macro_f1")
EXACT = Score("exact_match", "exact match", "val/exact_match")
HAMMING = Score("hamming_loss", "Hamming loss", "val/hamming_loss", higher_is_better=False)
AUROC = Score("auroc", "AUROC", "val/auroc")
ECE = Score("ece", "calibration error", "val/ece", higher_is_better=False)
AP = Score("ap", "AP", "val/ap", per_class=True)
MULTI_LABEL_SCORES = (MEAN_AP, MICRO_F1, MACRO_F1, EXACT, HAMMING, AUROC, ECE, AP)
