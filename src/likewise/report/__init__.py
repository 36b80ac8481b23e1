"""Pages for people: a run, a comparison, a search, the ledger of claims, a method."""
