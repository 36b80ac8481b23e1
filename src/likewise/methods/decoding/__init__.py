"""Methods that decode: strategies by which a language model goes on with a text."""
