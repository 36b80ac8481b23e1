"""The checks of the contract, by what they look at. Each function's first line is the promise that it checks."""
