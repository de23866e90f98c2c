"""What people hand over from Python: sounds as arrays."""

import numpy as np
import pytest

from castalia.assistant import as_prompt
from castalia.document import Speech
from castalia.errors import SpeechError


def test_samples_of_integers_are_scaled_to_one() -> None:
    for samples in (np.array([-32768, 16384], np.int16), np.array([-1.0, 0.5])):
        content = as_prompt(speech=samples).parts[0].content
        assert isinstance(content, Speech)
        assert content.samples.dtype == np.float32 and content.samples.tolist() == [-1.0, 0.5]


def test_samples_without_a_sign_are_refused() -> None:
    with pytest.raises(SpeechError, match="signed integers, not uint8"):
        as_prompt(speech=np.zeros(4, np.uint8))
