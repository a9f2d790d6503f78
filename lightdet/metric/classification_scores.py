"""The scores of image classification. No torch here."""

from lightdet.core.score import Score

TASK = "classification"
ACCURACY = Score("accuracy", "accuracy", "val/accuracy", primary=True)
BALANCED = Score("balanced_accuracy", "balanced accuracy", "val/balanced_accuracy")
COST = Score("expected_cost", "expected cost", "val/expected_cost", higher_is_better=False)
AUROC = Score("auroc", "AUROC", "val/auroc")
AVERAGE_PRECISION = Score("average_precision", "average precision", "val/average_precision")
G_MEAN = Score("g_mean", "G-mean", "val/g_mean")
ECE = Score("ece", "calibration error", "val/ece", higher_is_better=False)
RECALL = Score("recall", "recall", "val/recall", per_class=True)
CLASSIFICATION_SCORES = (ACCURACY, BALANCED, COST, AUROC, AVERAGE_PRECISION, G_MEAN, ECE, RECALL)
