"""Apps that ship with the node; each imports only ``gongfu.appkit``. Models are found in ``gongfu.apps.*.model``."""
