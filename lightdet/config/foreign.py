"""Settings as other projects name them, and what they are called here; those that few models have. No torch here."""

_OF_ONE_LABEL = "only classifiers of one class for an image have it, labels=one"
FOREIGN = {  # key -> advice
    "trainer.accelerator": "the device is trainer.device=auto, cpu, cuda or mps",
    "accelerator": "the device is trainer.device=auto, cpu, cuda or mps",
    "device": "the device is trainer.device=auto, cpu, cuda or mps; CUDA_VISIBLE_DEVICES=0 picks one GPU of several",
    "trainer.gpus": "several GPUs are trainer.device=cuda trainer.devices=2",
    "gpus": "several GPUs are trainer.device=cuda trainer.devices=2",
    "trainer.strategy": "several devices train one batch together with trainer.devices=2",
    "batch": "did you mean data.batch_size?",
    "workers": "did you mean data.num_workers?",
    "imgsz": "did you mean image_size?",
    "img": "did you mean image_size?",
    "lr0": "did you mean optimizer.lr?",
    "iou": "did you mean model.nms_iou?",
    "conf": "did you mean model.score_threshold?",
    "ckpt_path": "the same command continues a run; weights=RUN starts another run from its weights",
    "resume": "the same command continues a run from its last checkpoint",
    "pretrained": "weights=RUN or weights=FILE starts from trained weights",
    "callbacks": "Lightning callbacks are options of the group callback: callback=mine, or callback=[mine,other]",
    "hparams_search": "`lightdet search recipe` searches for the best settings",
    "optimized_metric": "`lightdet search` takes its objectives from search.objectives",
    "task_name": "name=NAME names a run, study=NAME the folder of a sweep",
    "project": "study=NAME names the folder of a sweep; logger.wandb.project is W&B's",
    "tags": "name=NAME names a run, study=NAME the folder of a sweep",
    "extras": "runs print nothing but their progress: trainer.progress=auto, bar, lines or none",
    "test": "where a dataset has a test split, every training reports its numbers",
    "cfg": "did you mean model?",
    "model.costs": _OF_ONE_LABEL,
    "model.decision": _OF_ONE_LABEL,
    "model.adjust": _OF_ONE_LABEL,
}
HINTS = {  # config group -> advice for an option that does not exist
    "data": "your own images: data=auto, yolo, coco or voc with data.reader.root=FOLDER",
    "model": "weights of another run: weights=RUN or weights=FILE",
    "trainer": "devices: trainer.device=cuda trainer.devices=2",
    "logger": "several at once: logger=[csv,tensorboard]",
}
