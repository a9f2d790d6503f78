"""The words of a training that takes seconds: a few synthetic images, the narrowest network, one epoch."""

SMALL_RUN = (
    *("data.reader.train_images=8", "data.reader.val_images=4", "data.reader.size=96", "data.batch_size=4"),
    *("width=0.0625", "trainer.device=cpu", "trainer.max_epochs=1", "trainer.progress=none", "logger=none"),
)
