"""Series of images: their frames, which sequence each is, which one is taken, and which make one exam."""
