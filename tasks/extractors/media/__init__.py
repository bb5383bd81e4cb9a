"""Media files: found below the media root, decoded where an utterance lies."""
