"""What can go wrong with a generative family.

    GenerativeError
    ├── ConfigError       a value of a configuration breaks its rule
    ├── DataError         data cannot be read or do not fit the family
    ├── CheckpointError   a file is not a checkpoint, is damaged, or is of another family
    ├── DivergedError     training met too many non-finite steps in a row
    └── UnsupportedError  the family has no such operation

`Stop` is no error: a progress report raises it to end the training after the step that it was told of.
"""


class GenerativeError(Exception):
    """The base of all of them. The message states the value, the rule and the mend."""


class ConfigError(GenerativeError, ValueError):
    """A value of a configuration breaks its rule."""


class DataError(GenerativeError):
    """Data cannot be read, or do not fit the family."""


class CheckpointError(GenerativeError):
    """A file is not a checkpoint, is damaged, or is of another family or shape."""


class DivergedError(GenerativeError):
    """Too many non-finite steps in a row; the family holds its last good state."""


class UnsupportedError(GenerativeError):
    """The family has no such operation."""


class Stop(Exception):
    """Raised by a progress report to end the training after the step that it was told of."""
