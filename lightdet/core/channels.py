"""What the channels of an input can be. No torch here."""

CHANNELS = {3: (3, False), 1: (1, False), 6: (3, True), 2: (1, True)}  # of an input: those of an image; a reference?
