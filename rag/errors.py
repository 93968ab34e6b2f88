"""Errors of answering.

RagError
├── ConfigurationError   a value or key of the configuration is wrong
├── CalibrationError     a stored calibration cannot be read
├── EmptyScopeError      no document is in the scope that was asked for
├── SpeechError          something cannot be read aloud, or a recording cannot be understood
└── GenerationError      the generator could not answer
    ├── OutOfMemoryError     the model had no memory for so many tokens
    └── PromptTooLongError   question and instructions alone exceed the budget
"""


class RagError(Exception):
    """Something about answering went wrong; the message states the value, the rule and the mend."""


class ConfigurationError(RagError):
    pass


class CalibrationError(RagError):
    pass


class EmptyScopeError(RagError):
    pass


class SpeechError(RagError):
    pass


class GenerationError(RagError):
    pass


class OutOfMemoryError(GenerationError):
    pass


class PromptTooLongError(GenerationError):
    pass
