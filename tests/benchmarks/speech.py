"""Speech: how many words the local transcription function gets wrong, and how fast it is.

    python -m tests.benchmarks.speech [MODEL]      (a minute; needs espeak-ng)

Fifty English sentences, said by espeak-ng in two voices, heard by MODEL (a folder or a name; else
Whisper tiny.en of the tests). A word error is a word that was changed, left out or put in, of a
hundred that were said; case and punctuation do not count. A synthetic voice is easier in some ways
and harder in others than people on a telephone: the figure compares models, and promises nothing.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from transcribe_function.speech import SpeechModel

from tests.speech import MODEL

VOICES = ("en-us", "en-gb")
PACE = "150"
"""Words a minute."""

SENTENCES = """
The flight was delayed for three hours and nobody told us why.
My suitcase arrived two days later with a broken handle.
The staff at the desk were friendly and solved it in a minute.
I waited on hold for forty minutes and then the line went dead.
The room was clean and the bed was very comfortable.
Breakfast was cold and the coffee tasted like water.
This phone is fast and the battery lasts all day.
The screen cracked after a week in my pocket.
I would buy this product again without thinking twice.
The parcel never came and the seller does not answer.
Delivery was quick and the box was well packed.
The app crashes every time I open the settings.
Your driver was rude and drove far too fast.
The new update made everything slower than before.
She explained the contract clearly and patiently.
They charged my card twice and refused a refund.
The food was excellent but the service was slow.
I have been a customer for ten years and I am leaving.
The seat was broken and the light did not work.
Thank you for the wonderful evening at your restaurant.
The instructions are confusing and some parts are missing.
It does exactly what it promises and nothing more.
The movie was long and the ending made no sense.
Our guide knew every street and told great stories.
The water in the shower was never warm.
Nobody at the airport could tell us where to go.
The price is fair for what you get.
I received the wrong size and had to send it back.
The doctor listened to me and took his time.
The website is down again this morning.
We missed our connection because the gate was changed.
The music was so loud that we could not talk.
The children loved the pool and the garden.
My order was cancelled without any message.
The technician came on time and fixed the boiler.
This is the best headphone that I have ever owned.
The fabric feels cheap and the colour has faded.
They answered my question within an hour.
The train was crowded and the air was stale.
I am disappointed with the quality of this chair.
The agent was helpful but could not change the rules.
The bank closed my account by mistake.
The garden is beautiful in the spring.
The lid does not close and everything spills.
Our baby sleeps better since we bought this lamp.
The manager apologised and gave us a free dinner.
I cannot recommend this hotel to anybody.
The keyboard is quiet and pleasant to type on.
The tickets were expensive and the show was boring.
The support team solved my problem on the first call.
""".strip().splitlines()


def main() -> None:
    print(__doc__)
    model = SpeechModel(sys.argv[1] if len(sys.argv) > 1 else str(MODEL))
    wrong = words = 0
    seconds = took_s = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for n, sentence in enumerate(SENTENCES):
            file = Path(folder) / f"{n}.wav"
            said = ["espeak-ng", "-v", VOICES[n % 2], "-s", PACE, "-w", str(file), sentence]
            subprocess.run(said, check=True)
            began = time.perf_counter()
            heard = model.transcribe(io.BytesIO(file.read_bytes()), language="en")
            took_s += time.perf_counter() - began
            seconds += heard.until_s
            spoken, written = _words(sentence), _words(heard.text)
            errors = _distance(spoken, written)
            wrong += errors
            words += len(spoken)
            if errors:
                print(f"  {errors}  {sentence}\n     {heard.text}")
    print(
        f"\n{model.name} {model.version}: {len(SENTENCES)} sentences, {words} words,"
        f" {wrong} wrong: {wrong / words:.1%}"
        f"\n{seconds:.0f} s of speech in {took_s:.1f} s: {seconds / took_s:.1f} times real time"
        " (wanted: 5, on two cores)"
    )


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())


def _distance(said: list[str], heard: list[str]) -> int:
    """Levenshtein's, in words."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != other))
    return row[-1]


if __name__ == "__main__":
    main()
