"""What all tests share: an interrupt works, however the tests were started."""

import signal

# A shell that starts tests in the background lets them ignore Ctrl-C, and all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
