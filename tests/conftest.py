"""What holds for all tests.

Property tests draw the same examples everywhere and have no deadline: a busy machine is no failure. And Ctrl-C works in
the processes that tests start, also where the tests themselves run in the background of a shell, which ignores it.
"""

import signal

from hypothesis import settings

settings.register_profile("occpose", deadline=None, derandomize=True, database=None)
settings.load_profile("occpose")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
