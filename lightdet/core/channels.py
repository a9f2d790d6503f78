"""What the channels of an input and the bits of its images can be. No torch here."""

CHANNELS = {3: (3, False), 1: (1, False), 6: (3, True), 2: (1, True)}  # of an input: those of an image; a reference?
BITS = (8, 10, 12, 14, 16)  # of a camera's values; the file has 16 bits for each
