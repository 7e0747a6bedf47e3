"""The nouns: pure types, codecs, time, quality, permissions. Imports nothing of ours and does no I/O."""
