"""Use cases, one file each, called by the command line, the public API and other programs. They print nothing."""

import logging

logging.getLogger("dbc_iac").addHandler(logging.NullHandler())  # without a handler, Python prints warnings
