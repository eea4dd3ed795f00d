"""The one exception type that users of occpose meet."""


class OccposeError(ValueError):
    """Bad input or configuration; the message is one sentence with the offending value and the remedy."""
