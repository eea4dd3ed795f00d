"""Offline training of occpose models: `python -m training fit --config training/configs/<recipe>.yaml`."""
