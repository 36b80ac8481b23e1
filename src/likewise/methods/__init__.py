"""One file per paper. Methods are found by their cards: nothing is listed here."""
