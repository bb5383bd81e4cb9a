"""Sentences from a small lexicon: some carry an emotion, many could be said with any.

The frames are shared by all emotions and some of the words by several, so no word gives an emotion away for certain.
"""

import numpy as np

from tasks.demo.script import Shown

_TOPICS = (
    "the meeting", "your sister", "the trip", "dinner", "the new job", "that letter", "the house", "the exam",
    "the car", "last night", "the doctor", "the party", "our neighbour", "the phone call", "Monday",
)  # fmt: skip

_AMBIGUOUS = (
    "I heard what you said yesterday.",
    "So you went there after all.",
    "Tell me again about {topic}.",
    "He told me about {topic}.",
    "We should talk about {topic}.",
    "You know what happened with {topic}.",
    "I did not expect you here.",
    "This is about {topic}, is it not?",
    "Well, that is how it is.",
    "I have been thinking about {topic}.",
    "They said it was {topic}.",
    "Look at me when I talk to you.",
    "I can not talk about {topic} now.",
    "It is {topic} again.",
    "Then she just walked in.",
    "And you knew it all the time.",
)

_FRAMES = (
    "{word}. I heard about {topic}.",
    "It is {word}, all of it.",
    "I am {word} about {topic}.",
    "{topic}? That is {word}.",
    "That is {word}, do you know that?",
    "About {topic}: {word}.",
    "So {word}, I can not say it otherwise.",
    "{word}, that is what I feel.",
)

_WORDS = {
    "neutral": (
        "fine", "all right", "as usual", "on time", "ready at nine", "the same as before", "okay", "on the list",
        "quiet today",
    ),
    "joy": (
        "wonderful", "so happy", "great news", "delighted", "lovely", "unbelievable", "the best day ever",
        "so much fun", "amazing",
    ),
    "sadness": (
        "so sad", "lonely", "heartbroken", "lost", "too late", "hopeless", "crying all day", "sorry", "terrible",
    ),
    "anger": (
        "furious", "so angry", "unfair", "an outrage", "sick of it", "a lie", "enough now", "your fault", "terrible",
    ),
    "surprise": (
        "unbelievable", "so unexpected", "a complete surprise", "amazing", "no way", "out of nowhere", "really true",
        "astonished", "what a shock",
    ),
    "fear": (
        "so scared", "afraid", "dangerous", "frightened", "in a panic", "what a shock", "not safe", "worried",
        "a nightmare",
    ),
    "disgust": (
        "disgusting", "gross", "revolting", "sick of it", "filthy", "nasty", "repulsive", "rotten", "horrible",
    ),
}  # fmt: skip


def write_sentence(shown: Shown, rng: np.random.Generator) -> str:
    """One English sentence; the weaker the emotion is shown, the more often it could be said with any."""
    marked = rng.random() < shown.strength
    frame = str(rng.choice(_FRAMES if marked else _AMBIGUOUS))
    sentence = frame.format(topic=rng.choice(_TOPICS), word=rng.choice(_WORDS[shown.emotion]))
    return sentence[0].upper() + sentence[1:]
